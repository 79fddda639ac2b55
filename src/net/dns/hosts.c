/*
 * hosts.c - the file of names that need no server, /etc/hosts.
 *
 * Role    weft__hosts_find: the addresses of a name in a file that is read again when it has changed. c-ares reads it for
 *         each name anew: five system calls. Near dns_ares.c. Layer 4.
 * Locks   none: the caller has one. Limits: a file of 16 MiB; it is looked at every 5 s at most. Larger, or not to be read:
 *         an empty one.
 * Source  hosts(5); Go net/hosts.go.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../sys/sys.h"
#include "dns.h"

#define HOSTS_LOOK (5 * WEFT_SEC)
#define HOSTS_BYTES_MAX (16 << 20)

struct weft__hosts_entry {
    uint32_t hash, next;   /* next: index + 1 in the bucket, in the file's order; 0 ends it */
    const char *name;      /* in text, lower case */
    weft_addr addr;
};

static uint32_t hosts_hash(const char *s)
{
    uint32_t h = 2166136261u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

static void hosts_clear(struct weft__hosts *h)
{
    weft__sys_free(h->text);
    free(h->entry);
    h->text = NULL;
    h->entry = NULL;
    h->len = h->cap = 0;
    memset(h->bucket, 0, sizeof h->bucket);
}

/* Behind the others of its bucket. False: memory is short. */
static bool hosts_add(struct weft__hosts *h, const char *name, const weft_addr *addr)
{
    if (h->len == h->cap) {
        uint32_t cap = h->cap ? h->cap * 2 : 32;
        struct weft__hosts_entry *e = realloc(h->entry, cap * sizeof *e);
        if (!e)
            return false;
        h->entry = e;
        h->cap = cap;
    }
    uint32_t hash = hosts_hash(name), *at = &h->bucket[hash % WEFT__HOSTS_BUCKETS];
    while (*at)
        at = &h->entry[*at - 1].next;
    h->entry[h->len] = (struct weft__hosts_entry){.hash = hash, .name = name, .addr = *addr};
    *at = ++h->len;
    return true;
}

/* One line, NUL-terminated and cut here. */
static void hosts_line(struct weft__hosts *h, char *s)
{
    weft_addr addr;
    s[strcspn(s, "#\r")] = '\0';
    bool first = true, known = false;
    for (s += strspn(s, " \t"); *s; s += strspn(s, " \t")) {
        char *word = s;
        s += strcspn(s, " \t");
        if (*s)
            *s++ = '\0';
        if (first)
            known = weft__addr_literal(word, &addr);
        for (char *p = word; !first && *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        if (!first && (!known || !hosts_add(h, word, &addr)))
            return;
        first = false;
    }
}

/* All of the file into h->text. */
static bool hosts_load(struct weft__hosts *h, int fd, size_t size)
{
    size_t len = 0;
    ssize_t n = 1;
    h->text = weft__sys_alloc(size + 1);
    while (h->text && len < size && (n = read(fd, h->text + len, size - len)) > 0)
        len += (size_t)n;
    if (!h->text || n < 0)
        return false;
    for (char *line = h->text, *end; line; line = end) {
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        hosts_line(h, line);
    }
    return true;
}

static void hosts_read(struct weft__hosts *h, const char *path)
{
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool there = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= HOSTS_BYTES_MAX;
    bool same = there && h->read && st.st_size == h->size && st.st_ino == h->inode && st.st_mtim.tv_sec == h->mtime.tv_sec &&
                st.st_mtim.tv_nsec == h->mtime.tv_nsec;
    if (!same)
        hosts_clear(h);
    if (!same && there && !hosts_load(h, fd, (size_t)st.st_size))
        hosts_clear(h);
    h->read = there;
    h->size = st.st_size;
    h->inode = st.st_ino;
    h->mtime = st.st_mtim;
    if (fd >= 0)
        weft__sock_close(fd);
}

int weft__hosts_find(struct weft__hosts *h, const char *path, const char *name, weft_addr *ret, int max)
{
    weft_time now = weft__now();
    if (!h->looked || now - h->looked >= HOSTS_LOOK) {
        hosts_read(h, path);
        h->looked = now;
    }
    int n = 0;
    uint32_t hash = hosts_hash(name);
    for (uint32_t i = h->bucket[hash % WEFT__HOSTS_BUCKETS]; i && n < max; i = h->entry[i - 1].next)
        if (h->entry[i - 1].hash == hash && strcmp(h->entry[i - 1].name, name) == 0)
            ret[n++] = h->entry[i - 1].addr;
    return n;
}

void weft__hosts_done(struct weft__hosts *h)
{
    hosts_clear(h);
}
