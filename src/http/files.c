/*
 * files.c - the handler that serves a folder.
 *
 * Role    Path to file, beneath the root whatever it says; file to reply, whole or one range, or "not modified".
 * Near    reply.c (its buffer takes the file's bytes directly), mimetype.c. Layer 5.
 *
 * Invariants
 *   F1  nothing outside of the root is opened: openat2(RESOLVE_BENEATH) follows symlinks only as far as they stay
 *       inside. On kernels without it (before 5.6) each component is opened with O_NOFOLLOW instead: no symlinks at all.
 *   F2  only regular files are read; opening cannot block (O_NONBLOCK) and takes no terminal.
 *
 * Limits  Paths of 4,095 bytes. Several ranges at once are answered with the whole file, as RFC 9110 14.2 allows.
 * Failure Whatever cannot be opened is 404; a file that shrinks while it is sent breaks the connection.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "mimetype.h"
#include "server_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PATH_BYTES 4096
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

struct weft_http_files {
    int root;          /* O_PATH */
    bool no_openat2;   /* the kernel does not know it; only ever set */
};

weft_err weft_http_file_server(const char *root, weft_http_files **ret_files)
{
    struct weft_http_files *f = calloc(1, sizeof *f);
    if (!f)
        return WEFT_ENOMEM;
    f->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (f->root < 0) {
        weft_err err = -errno;
        free(f);
        return err;
    }
    *ret_files = f;
    return 0;
}

void weft_http_files_free(weft_http_files *f)
{
    if (!f)
        return;
    (void)close(f->root);
    free(f);
}

/* ---- opening, F1 ---- */

/* Component by component, without symlinks. path is cut up. */
static int open_walk(int root, char *path)
{
    int dir = dup(root);
    while (dir >= 0) {
        char *slash = strchr(path, '/');
        if (slash)
            *slash = '\0';
        int flags = OPEN_FLAGS | O_NOFOLLOW | (slash ? O_DIRECTORY : 0);
        int fd = strcmp(path, "..") == 0 ? -1 : openat(dir, *path ? path : ".", flags);
        (void)close(dir);
        if (!slash)
            return fd;
        *slash = '/';
        path = slash + 1;
        dir = fd;
    }
    return -1;
}

/* Test hook: as on a kernel without openat2. */
void weft__t_files_walk(weft_http_files *f);
WEFT_API void weft__t_files_walk(weft_http_files *f)
{
    __atomic_store_n(&f->no_openat2, true, __ATOMIC_RELAXED);
}

/* path is relative to the root. -1 when it cannot be had. */
static int open_beneath(struct weft_http_files *f, char *path)
{
    if (!__atomic_load_n(&f->no_openat2, __ATOMIC_RELAXED)) {
        struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
        long fd = syscall(SYS_openat2, f->root, path, &how, sizeof how);
        if (fd >= 0 || (errno != ENOSYS && errno != EPERM))   /* EPERM: a sandbox that filters it */
            return (int)fd;
        __atomic_store_n(&f->no_openat2, true, __ATOMIC_RELAXED);
    }
    return open_walk(f->root, path);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The request's path as a file name relative to the root; "." for the root. False for what cannot be one. */
static bool path_decode(const char *path, char *out)
{
    size_t n = 0;
    while (*path == '/')
        path++;
    while (*path) {
        char c = *path++;
        if (c == '%') {
            int hi = hex_value(path[0]), lo = hi < 0 ? -1 : hex_value(path[1]);
            if (lo < 0)
                return false;
            c = (char)(hi << 4 | lo);
            path += 2;
        }
        if (c == '\0' || n >= PATH_BYTES - 16)   /* room for index.html */
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    for (const char *s = out; *s;) {   /* ".." is refused even where it would stay inside */
        size_t len = strcspn(s, "/");
        if (len == 2 && s[0] == '.' && s[1] == '.')
            return false;
        s += len + (s[len] == '/');
    }
    if (!n)
        memcpy(out, ".", 2);
    return true;
}

/* ---- conditions and ranges ---- */

static bool http_date_parse(const char *text, time_t *ret_at)
{
    struct tm t = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &t);
    if (!end || *end)
        return false;
    *ret_at = timegm(&t);
    return true;
}

enum range { RANGE_NONE, RANGE_ONE, RANGE_BAD };

/* "bytes=first-last", "bytes=first-" or "bytes=-count" of a file of size bytes, at most 18 digits. */
static enum range range_parse(const char *s, uint64_t size, uint64_t *ret_first, uint64_t *ret_len)
{
    if (strncasecmp(s, "bytes=", 6) != 0)
        return RANGE_NONE;
    s += 6;
    size_t n1 = strspn(s, "0123456789");
    const char *second = s + n1 + 1;
    size_t n2 = s[n1] == '-' ? strspn(second, "0123456789") : 0;
    if (s[n1] != '-' || second[n2] || n1 + n2 == 0 || n1 > 18 || n2 > 18)
        return RANGE_NONE;
    uint64_t a = strtoull(s, NULL, 10), b = n2 ? strtoull(second, NULL, 10) : UINT64_MAX;
    if (n1 && b < a)
        return RANGE_NONE;
    if (!n1) {   /* the last b bytes */
        a = b < size ? size - b : 0;
        b = b ? UINT64_MAX : 0;
        if (!b)
            return RANGE_BAD;
    }
    if (a >= size)
        return RANGE_BAD;
    *ret_first = a;
    *ret_len = (b < size - 1 ? b : size - 1) - a + 1;
    return RANGE_ONE;
}

/* Does the client have this file already? Only dates: there are no entity tags. */
static bool not_modified(const weft_http_request *rq, time_t modified)
{
    const char *since = weft_http_request_header(rq, "if-modified-since");
    time_t at;
    return since && !weft_http_request_header(rq, "if-none-match") && http_date_parse(since, &at) && modified <= at;
}

static enum range range_wanted(const weft_http_request *rq, const char *last_modified, uint64_t size, uint64_t *first,
                               uint64_t *len)
{
    const char *range = weft_http_request_header(rq, "range"), *only_if = weft_http_request_header(rq, "if-range");
    if (!range || (only_if && strcmp(only_if, last_modified) != 0))
        return RANGE_NONE;
    return range_parse(range, size, first, len);
}

/* ---- sending ---- */

static void send_bytes(weft_http_writer *w, int fd, uint64_t at, uint64_t len)
{
    while (len) {
        size_t room;
        char *to = weft__reply_room(w, &room);
        if (!to)
            return;
        ssize_t n = pread(fd, to, room < len ? room : (size_t)len, (off_t)at);
        if (n <= 0)
            return;   /* it shrank or broke: what was promised stays short, and the connection ends */
        if (weft__reply_commit(w, (size_t)n) < 0)
            return;
        at += (uint64_t)n;
        len -= (uint64_t)n;
    }
}

static void send_file(weft_http_request *rq, weft_http_writer *w, int fd, const struct stat *st, const char *name)
{
    char date[30], text[80];
    uint64_t size = (uint64_t)st->st_size, first = 0, len = size;
    weft__http_date(st->st_mtim.tv_sec, date);
    (void)weft_http_reply_field(w, "Last-Modified", date);
    if (not_modified(rq, st->st_mtim.tv_sec)) {
        weft_http_reply_status(w, 304);
        return;
    }
    (void)weft_http_reply_field(w, "Accept-Ranges", "bytes");
    switch (range_wanted(rq, date, size, &first, &len)) {
    case RANGE_NONE:
        break;
    case RANGE_ONE:
        weft_http_reply_status(w, 206);
        (void)snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)first,
                       (unsigned long long)(first + len - 1), (unsigned long long)size);
        (void)weft_http_reply_field(w, "Content-Range", text);
        break;
    case RANGE_BAD:
        (void)snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
        (void)weft_http_reply_field(w, "Content-Range", text);
        (void)weft_http_reply_text(w, 416, "text/plain; charset=utf-8", "range not satisfiable\n");
        return;
    }
    (void)weft_http_reply_field(w, "Content-Type", weft__mime_type(name));
    weft_http_reply_length(w, len);
    if (strcmp(weft_http_request_method(rq), "HEAD") != 0)
        send_bytes(w, fd, first, len);
}

static void send_not_found(weft_http_writer *w)
{
    (void)weft_http_reply_text(w, 404, "text/plain; charset=utf-8", "404 page not found\n");
}

/* A directory without its slash: the last segment again, with one. Relative, so that no "//host" can come out. */
static void send_slash_redirect(weft_http_request *rq, weft_http_writer *w, const char *path, char *buf)
{
    const char *slash = strrchr(path, '/'), *query = weft_http_request_query(rq);
    int n = snprintf(buf, PATH_BYTES, "./%s/%s%s", slash ? slash + 1 : "", query ? "?" : "", query ? query : "");
    if (n >= PATH_BYTES || weft_http_reply_field(w, "Location", buf) < 0) {
        send_not_found(w);
        return;
    }
    weft_http_reply_status(w, 301);
}

/* name is the decoded path, with room for more. The open file, or -1 after an answer was given. */
static int file_open(struct weft_http_files *f, weft_http_request *rq, weft_http_writer *w, char *name, struct stat *ret_st)
{
    const char *path = weft_http_request_path(rq);
    size_t n = strlen(name);
    if (path[strlen(path) - 1] == '/')   /* a folder, then: its index; path_decode left room */
        (void)snprintf(name + n, PATH_BYTES - n, "%s", name[n - 1] == '/' ? "index.html" : "/index.html");
    int fd = open_beneath(f, name);
    bool ok = fd >= 0 && fstat(fd, ret_st) == 0;
    if (ok && S_ISREG(ret_st->st_mode))   /* F2 */
        return fd;
    if (fd >= 0)
        (void)close(fd);
    if (ok && S_ISDIR(ret_st->st_mode) && path[strlen(path) - 1] != '/')
        send_slash_redirect(rq, w, path, name);
    else
        send_not_found(w);
    return -1;
}

void weft_http_file_handler(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    struct weft_http_files *f = arg;
    const char *method = weft_http_request_method(rq);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        (void)weft_http_reply_field(w, "Allow", "GET, HEAD");
        (void)weft_http_reply_text(w, 405, "text/plain; charset=utf-8", "method not allowed\n");
        return;
    }
    struct weft__hbuf *name = weft__hbuf_get(PATH_BYTES);
    struct stat st;
    if (!name || weft_http_request_path(rq)[0] != '/' || !path_decode(weft_http_request_path(rq), name->data)) {
        send_not_found(w);
    } else {
        int fd = file_open(f, rq, w, name->data, &st);
        if (fd >= 0) {
            send_file(rq, w, fd, &st, name->data);
            (void)close(fd);
        }
    }
    weft__hbuf_put(name);
}
