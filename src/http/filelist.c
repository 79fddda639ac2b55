/*
 * filelist.c - a folder as a page of links.
 *
 * Role    The names in a directory, in order, as HTML. Near files.c, which has opened it beneath its root. Layer 5.
 * Limits  The first 100,000 names that the kernel gives; a last line says that there are more. Reading a directory may wait for
 *         the disk: the monitor then hands the processor on.
 * Failure 500, when memory is short or the directory cannot be read.
 * Source  Go net/http FileServer, dirList.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filecond.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 100000, NAME_MOST = 6 * 256 /* bytes that a byte can become, times the longest name */ };

struct list {
    char **names;                  /* malloc'ed each; a directory's ends in a slash */
    size_t len, cap;
    bool more;
};

static bool list_put(struct list *l, const char *name, bool dir)
{
    if (l->len == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        char **names = realloc(l->names, cap * sizeof *names);
        if (!names)
            return false;
        l->names = names;
        l->cap = cap;
    }
    size_t n = strlen(name);
    char *s = malloc(n + 2);
    if (!s)
        return false;
    memcpy(s, name, n);
    memcpy(s + n, dir ? "/" : "", dir ? 2 : 1);
    l->names[l->len++] = s;
    return true;
}

static bool list_is_dir(DIR *d, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;   /* of a symlink nothing is told: it may lead outside */
    return fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool list_read(struct list *l, DIR *d)
{
    const struct dirent *e;
    while ((e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        l->more = l->len == NAMES_MAX;
        if (l->more)
            break;
        if (!list_put(l, e->d_name, list_is_dir(d, e)))
            return false;
    }
    return true;
}

static int list_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* name as part of a URL: what is not plain is coded. Behind it. */
static char *put_href(char *to, const char *name)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/", digits[] = "0123456789ABCDEF";
    for (const unsigned char *s = (const unsigned char *)name; *s; s++) {
        if (strchr(plain, *s)) {
            *to++ = (char)*s;
            continue;
        }
        *to++ = '%';
        *to++ = digits[*s >> 4];
        *to++ = digits[*s & 15];
    }
    return to;
}

/* name as text of a page. Behind it. */
static char *put_text(char *to, const char *name)
{
    for (const char *s = name; *s; s++) {
        const char *as = *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : *s == '"' ? "&#34;" : *s == '\'' ? "&#39;" : NULL;
        if (as)
            to = stpcpy(to, as);
        else
            *to++ = *s;
    }
    return to;
}

/* "./" in front: a name with a colon is no scheme. */
static weft_err list_write(weft_http_writer *w, const struct list *l, char *buf)
{
    static const char head[] = "<!doctype html>\n<meta charset=\"utf-8\">\n"
                               "<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n";
    weft_err err = weft_http_reply_write(w, head, sizeof head - 1);
    for (size_t i = 0; i < l->len && err == 0; i++) {
        char *to = put_href(stpcpy(buf, "<a href=\"./"), l->names[i]);
        to = stpcpy(put_text(stpcpy(to, "\">"), l->names[i]), "</a>\n");
        err = weft_http_reply_write(w, buf, (size_t)(to - buf));
    }
    if (err == 0 && l->more)
        err = weft_http_reply_write(w, "and more\n", 9);
    return err ? err : weft_http_reply_write(w, "</pre>\n", 7);
}

void weft__file_list(weft_http_writer *w, int fd)
{
    struct list l = {0};
    DIR *d = fdopendir(fd);
    if (!d)
        (void)close(fd);
    bool ok = d && list_read(&l, d);
    if (d)
        (void)closedir(d);
    char *buf = ok ? malloc(2 * NAME_MOST) : NULL;
    if (buf) {
        if (l.len)
            qsort(l.names, l.len, sizeof *l.names, list_order);
        (void)weft_http_reply_field(w, "Content-Type", "text/html; charset=utf-8");
        (void)list_write(w, &l, buf);
    } else {
        (void)weft_http_reply_text(w, 500, "text/plain; charset=utf-8", "the folder cannot be read\n");
    }
    free(buf);
    for (size_t i = 0; i < l.len; i++)
        free(l.names[i]);
    free(l.names);
}
