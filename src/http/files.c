/*
 * files.c - the handler that serves a folder.
 *
 * Role    Path to file, beneath the root whatever it says; file to reply, whole or in ranges, or "not modified".
 * Near    filecond.c, mimetype.c, reply.c (its buffer takes a short file's bytes directly; long ones go by sendfile). Layer 5.
 *
 * Invariants
 *   F1  nothing outside of the root is opened: openat2(RESOLVE_BENEATH) follows symlinks only as far as they stay
 *       inside. On kernels without it (before 5.6) each component is opened with O_NOFOLLOW instead: no symlinks at all.
 *   F2  only regular files are read; opening cannot block (O_NONBLOCK) and takes no terminal.
 *
 * Limits  Paths of 4,095 bytes; 16 ranges. sendfile may wait for the disk: the monitor then hands the processor on.
 * Failure Whatever cannot be opened is 404; a file that shrinks while it is sent breaks the connection.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../io/file_int.h"
#include "filecond.h"
#include "mimetype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SENDFILE_MIN 16384   /* shorter ones leave with their head, from the buffer */
#define PATH_BYTES 4096
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

struct weft_http_files {
    int root;          /* O_PATH */
    bool no_openat2;   /* the kernel does not know it; only ever set */
    bool list;         /* set before it is served */
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

void weft_http_files_list(weft_http_files *f, bool on)
{
    f->list = on;
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

/* ---- sending ---- */

static void send_bytes(weft_http_writer *w, int fd, uint64_t at, uint64_t len)
{
    if (len >= SENDFILE_MIN && weft__reply_file(w, fd, &at, &len) < 0)
        return;
    while (len) {
        size_t room;
        char *to = weft__reply_room(w, &room);
        if (!to)
            return;
        ssize_t n = weft__disk_read(fd, to, room < len ? room : (size_t)len, (int64_t)at);
        if (n <= 0)
            return;   /* it shrank or broke: what was promised stays short, and the connection ends */
        if (weft__reply_commit(w, (size_t)n) < 0)
            return;
        at += (uint64_t)n;
        len -= (uint64_t)n;
    }
}

/* "bytes 0-9/100" */
static void range_text(char *to, size_t cap, const struct weft__range *r, uint64_t size)
{
    (void)snprintf(to, cap, "bytes %llu-%llu/%llu", (unsigned long long)r->first, (unsigned long long)(r->first + r->len - 1),
                   (unsigned long long)size);
}

static const char boundary[] = "weft-5f1c9e0b7a3d";

/* The head of one part of a multipart answer: its length. */
static size_t part_head(char *to, size_t cap, const struct weft__range *r, uint64_t size, const char *type, bool first)
{
    char text[80];
    range_text(text, sizeof text, r, size);
    int n = snprintf(to, cap, "%s--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n", first ? "" : "\r\n", boundary, type, text);
    return n < 0 || (size_t)n >= cap ? 0 : (size_t)n;
}

static void send_parts(weft_http_writer *w, int fd, uint64_t size, const char *type, const struct weft__range *r, int n, bool is_head)
{
    char text[256], end[64];
    uint64_t total = (uint64_t)snprintf(end, sizeof end, "\r\n--%s--\r\n", boundary);
    for (int i = 0; i < n; i++)
        total += part_head(text, sizeof text, &r[i], size, type, i == 0) + r[i].len;
    (void)snprintf(text, sizeof text, "multipart/byteranges; boundary=%s", boundary);
    (void)weft_http_reply_field(w, "Content-Type", text);
    weft_http_reply_length(w, total);
    for (int i = 0; i < n && !is_head; i++) {
        if (weft_http_reply_write(w, text, part_head(text, sizeof text, &r[i], size, type, i == 0)) < 0)
            return;
        send_bytes(w, fd, r[i].first, r[i].len);
    }
    if (!is_head)
        (void)weft_http_reply_write(w, end, strlen(end));
}

static void send_file(weft_http_request *rq, weft_http_writer *w, int fd, const struct stat *st, const char *name)
{
    struct weft__filever v;
    struct weft__range r[WEFT__RANGES_MAX];
    char text[80];
    const char *type = weft__mime_type(name);
    uint64_t size = (uint64_t)st->st_size;
    bool is_head = strcmp(weft_http_request_method(rq), "HEAD") == 0;
    weft__filever_of(st, &v);
    (void)weft_http_reply_field(w, "Last-Modified", v.date);
    (void)weft_http_reply_field(w, "ETag", v.etag);
    int status = weft__filever_check(rq, &v);
    if (status) {
        weft_http_reply_status(w, status);
        return;
    }
    (void)weft_http_reply_field(w, "Accept-Ranges", "bytes");
    int n = is_head ? 0 : weft__ranges_wanted(rq, &v, size, r);   /* RFC 9110 14.2: Range means something for GET only */
    if (n < 0) {
        (void)snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
        (void)weft_http_reply_field(w, "Content-Range", text);
        (void)weft_http_reply_text(w, 416, "text/plain; charset=utf-8", "range not satisfiable\n");
        return;
    }
    if (n > 0)
        weft_http_reply_status(w, 206);
    if (n > 1) {
        send_parts(w, fd, size, type, r, n, is_head);
        return;
    }
    if (n == 1) {
        range_text(text, sizeof text, r, size);
        (void)weft_http_reply_field(w, "Content-Range", text);
    } else {
        r[0] = (struct weft__range){0, size};
    }
    (void)weft_http_reply_field(w, "Content-Type", type);
    weft_http_reply_length(w, r[0].len);
    if (!is_head)
        send_bytes(w, fd, r[0].first, r[0].len);
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

/* A folder without an index: what is in it, where that may be said. False: nothing was answered. */
static bool file_list(struct weft_http_files *f, weft_http_writer *w, char *name)
{
    struct stat st;
    int fd = f->list ? open_beneath(f, name) : -1;
    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        weft__file_list(w, fd);
        return true;
    }
    (void)close(fd);
    return false;
}

/* name is the decoded path, with room for more. The open file, or -1 after an answer was given. */
static int file_open(struct weft_http_files *f, weft_http_request *rq, weft_http_writer *w, char *name, struct stat *ret_st)
{
    const char *path = weft_http_request_path(rq);
    size_t n = strlen(name);
    bool folder = path[strlen(path) - 1] == '/';
    if (folder)   /* a folder, then: its index; path_decode left room */
        (void)snprintf(name + n, PATH_BYTES - n, "%s", name[n - 1] == '/' ? "index.html" : "/index.html");
    int fd = open_beneath(f, name);
    bool ok = fd >= 0 && fstat(fd, ret_st) == 0;
    if (ok && S_ISREG(ret_st->st_mode))   /* F2 */
        return fd;
    if (fd >= 0)
        (void)close(fd);
    name[n] = '\0';
    if (ok && S_ISDIR(ret_st->st_mode) && !folder)
        send_slash_redirect(rq, w, path, name);
    else if (fd >= 0 || !folder || !file_list(f, w, name))
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
