/*
 * h2server.c - the floor: what an HTTP/2 hello costs with epoll and nghttp2 alone. Not a server to use.
 *
 * Role    One thread, one edge-triggered epoll set, nghttp2 for the protocol: a read, the session, one write of all that the
 *         session has to say. Requests are not looked at. bench/http2.py divides other servers' CPU time by its.
 * Limits  An answer that the socket does not take at once ends the connection: the load never does that.
 *         nghttp2 allocates from lists of used blocks ("-m": from malloc, to see what that is worth).
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNS = 65536, ROOM = 65536, CLASSES = 16, STEP = 64 };

static nghttp2_session *sessions[CONNS];   /* by descriptor */
static char date[40], in[ROOM], out[ROOM];
static time_t date_at;

/* ---- memory: blocks of one size in a list; 16 bytes before each say which ---- */

struct block {
    union {
        size_t class;
        char align[16];
    } head;
    struct block *next;
};
static struct block *used[CLASSES];

static void *pool_malloc(size_t n, void *arg)
{
    size_t class = n / STEP;
    struct block *b = class < CLASSES ? used[class] : NULL;
    (void)arg;
    if (b)
        used[class] = b->next;
    else if (!(b = malloc(sizeof b->head + (class + 1) * STEP)))
        return NULL;
    b->head.class = class;
    return &b->next;
}

static void pool_free(void *p, void *arg)
{
    struct block *b = p ? (struct block *)((char *)p - sizeof b->head) : NULL;
    (void)arg;
    if (!b)
        return;
    if (b->head.class >= CLASSES) {
        free(b);
        return;
    }
    b->next = used[b->head.class];
    used[b->head.class] = b;
}

static void *pool_calloc(size_t n, size_t size, void *arg)
{
    void *p = pool_malloc(n * size, arg);
    return p ? memset(p, 0, n * size) : NULL;
}

static void *pool_realloc(void *p, size_t n, void *arg)
{
    void *q = pool_malloc(n, arg);
    if (p && q) {
        size_t had = (((struct block *)((char *)p - sizeof used[0]->head))->head.class + 1) * STEP;
        memcpy(q, p, had < n ? had : n);
        pool_free(p, arg);
    }
    return q;
}

static nghttp2_mem pool = {.malloc = pool_malloc, .free = pool_free, .calloc = pool_calloc, .realloc = pool_realloc}, *memory = &pool;

/* ---- answers ---- */

/* The Date line is made once a second. */
static void date_make(void)
{
    time_t now = time(NULL);
    struct tm t;
    if (now == date_at)
        return;
    date_at = now;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &t));
}

static ssize_t body_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    (void)session, (void)id, (void)length, (void)source, (void)arg;
    memcpy(buf, "Hello, World!", 13);
    *flags = NGHTTP2_DATA_FLAG_EOF;
    return 13;
}

#define NV(n, v, len) {(uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, len, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    nghttp2_nv nv[] = {NV(":status", "200", 3), NV("date", date, 29), NV("content-length", "13", 2), NV("content-type", "text/plain", 10)};
    nghttp2_data_provider body = {.read_callback = body_read};
    (void)arg;
    if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return nghttp2_submit_response(session, frame->hd.stream_id, nv, 4, &body);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t nn, const uint8_t *value,
                     size_t nv, uint8_t flags, void *arg)
{
    (void)session, (void)frame, (void)name, (void)nn, (void)value, (void)nv, (void)flags, (void)arg;
    return 0;
}

static nghttp2_session *session_new(void)
{
    nghttp2_session_callbacks *cb;
    nghttp2_option *opt;
    nghttp2_session *s;
    nghttp2_settings_entry iv[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 250}, {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
    if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
        exit(1);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_option_set_no_closed_streams(opt, 1);
    if (nghttp2_session_server_new3(&s, cb, NULL, opt, memory) || nghttp2_submit_settings(s, NGHTTP2_FLAG_NONE, iv, 2))
        exit(1);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(opt);
    return s;
}

/* ---- connections ---- */

static void conn_end(int fd)
{
    nghttp2_session_del(sessions[fd]);
    sessions[fd] = NULL;
    close(fd);
}

/* All that the session has to say, in one write. */
static int conn_write(int fd)
{
    size_t len = 0;
    ssize_t n;
    const uint8_t *p;
    while ((n = nghttp2_session_mem_send(sessions[fd], &p)) > 0) {
        if (len + (size_t)n > ROOM)
            return -1;
        memcpy(out + len, p, (size_t)n);
        len += (size_t)n;
    }
    return n < 0 || (len && send(fd, out, len, MSG_NOSIGNAL) != (ssize_t)len) ? -1 : 0;
}

static void conn_read(int fd)
{
    ssize_t n;
    do {
        n = recv(fd, in, ROOM, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 || nghttp2_session_mem_recv(sessions[fd], (uint8_t *)in, (size_t)n) != n) {
            conn_end(fd);
            return;
        }
    } while (n == ROOM);   /* a short read has emptied the socket: the next bytes make a new edge */
}

static void accept_all(int ep, int ln)
{
    int fd;
    while ((fd = accept4(ln, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
        if (fd >= CONNS || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
            close(fd);
            continue;
        }
        sessions[fd] = session_new();
        if (conn_write(fd) < 0)
            conn_end(fd);
    }
}

static int listen_on(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);   /* connections inherit it */
    if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 4096) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return -1;
    printf("ready 127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    struct rlimit r;
    struct epoll_event ev[128];
    if (argc > 1 && strcmp(argv[1], "-m") == 0)
        memory = NULL;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    int ep = epoll_create1(EPOLL_CLOEXEC), ln = listen_on(0);
    ev[0] = (struct epoll_event){.events = EPOLLIN, .data.fd = ln};
    if (ep < 0 || ln < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, ln, ev) < 0) {
        perror("floor-h2server");
        return 1;
    }
    for (;;) {
        int n = epoll_wait(ep, ev, 128, -1);
        date_make();
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd == ln)
                accept_all(ep, ln);
            else if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
                conn_read(ev[i].data.fd);
        }
        for (int i = 0; i < n; i++)   /* when all is read: the other side is woken once */
            if (sessions[ev[i].data.fd] && conn_write(ev[i].data.fd) < 0)
                conn_end(ev[i].data.fd);
    }
}
