/*
 * uring.c - the floor through io_uring: the hello of floor/server.c with as few system calls as io_uring allows.
 *
 * Role    One thread, one ring: multishot accept, multishot recv into a ring of provided buffers, answers sent by requests
 *         that go with the next wait. bench/http.py sets it beside the epoll floor. With -p it is polled readiness instead,
 *         as libweft's back end uses it: a multishot poll for each connection, recv and send as system calls. With -c the
 *         completions run whenever the thread is in the kernel (COOP_TASKRUN), without it only where it waits for them
 *         (DEFER_TASKRUN).
 * Limits  A request is expected whole in one buffer, as the load sends it; another ends the connection. Descriptors up to
 *         65,535; 1,024 buffers of 4 KiB, so an idle connection holds none.
 */
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNS = 65536, BUFS = 1024, BUF = 4096, ANSWERS = 20, GROUP = 1 };
enum { ACCEPT = 1, RECV, SEND, CLOSE, POLL }; /* low bits of user_data; the descriptor is above */

struct out {                    /* an answer on its way; one a connection, as the load waits for it before it asks on */
    struct out *next;
    size_t len;
    bool last;
    char data[ANSWERS * 160];
};
static struct out *sending[CONNS], *free_out;
static char answer[2][256];     /* [1] says Connection: close */
static size_t answer_len[2];
static time_t answer_at;
static struct io_uring ring;
static struct io_uring_buf_ring *bufs;
static char *buf_mem;
static bool polled;

/* The Date line is made once a second. */
static void answer_make(void)
{
    time_t now = time(NULL);
    char date[40];
    struct tm t;
    if (now == answer_at)
        return;
    answer_at = now;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &t));
    for (int i = 0; i < 2; i++)
        answer_len[i] = (size_t)snprintf(answer[i], sizeof answer[i], "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Length: 13\r\n%s"
                                         "Content-Type: text/plain\r\n\r\nHello, World!", date, i ? "Connection: close\r\n" : "");
}

static struct io_uring_sqe *request(int fd, unsigned what)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    while (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    sqe->user_data = (unsigned)fd << 3 | what;
    return sqe;
}

/* The preparing functions clear user_data. */
#define REQUEST(fd, what, prep, ...)                       \
    do {                                                   \
        struct io_uring_sqe *sqe_ = request(fd, what);     \
        __u64 data_ = sqe_->user_data;                     \
        prep(sqe_, __VA_ARGS__);                           \
        sqe_->user_data = data_;                           \
    } while (0)

static void buf_give(int id)
{
    io_uring_buf_ring_add(bufs, buf_mem + (size_t)id * BUF, BUF, (unsigned short)id, io_uring_buf_ring_mask(BUFS), 0);
    io_uring_buf_ring_advance(bufs, 1);
}

static void ask_recv(int fd)
{
    struct io_uring_sqe *sqe = request(fd, RECV);
    __u64 data = sqe->user_data;
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->user_data = data;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
}

/* The multishot recv then ends, and conn_gone closes. */
static void conn_end(int fd)
{
    shutdown(fd, SHUT_RDWR);
}

static void conn_gone(int fd)
{
    if (sending[fd]) {
        sending[fd]->next = free_out;
        free_out = sending[fd];
        sending[fd] = NULL;
    }
    REQUEST(fd, CLOSE, io_uring_prep_close, fd);
}

/* The answers to all requests in data[0 .. len): their length in out; 0: not whole requests. */
static size_t answers(const char *data, size_t len, char *out, bool *ret_last)
{
    const char *at = data, *end;
    size_t n = 0;
    *ret_last = false;
    for (int i = 0; i < ANSWERS && !*ret_last && (end = memmem(at, len - (size_t)(at - data), "\r\n\r\n", 4)); i++) {
        *ret_last = memmem(at, (size_t)(end - at), "Connection: close", 17) != NULL;
        memcpy(out + n, answer[*ret_last], answer_len[*ret_last]);
        n += answer_len[*ret_last];
        at = end + 4;
    }
    return at == data + len ? n : 0;
}

static void conn_data(int fd, const char *data, size_t len)
{
    struct out *o = sending[fd] ? NULL : free_out;
    if (o)
        free_out = o->next;
    else if (!sending[fd])
        o = malloc(sizeof *o);
    if (!o)
        return conn_end(fd);
    sending[fd] = o;
    o->len = answers(data, len, o->data, &o->last);
    if (!o->len)
        return conn_end(fd);
    REQUEST(fd, SEND, io_uring_prep_send, fd, o->data, o->len, MSG_NOSIGNAL);
}

static void conn_sent(int fd, int res)
{
    struct out *o = sending[fd];
    if (!o)
        return;
    if (res != (int)o->len || o->last)
        return conn_end(fd);
    o->next = free_out;
    free_out = o;
    sending[fd] = NULL;
}

static void conn_ready(int fd)
{
    static char in[65536], out[ANSWERS * 160];
    bool last = false;
    ssize_t n = recv(fd, in, sizeof in, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    size_t len = n > 0 ? answers(in, (size_t)n, out, &last) : 0;
    if (!len || send(fd, out, len, MSG_NOSIGNAL) != (ssize_t)len || last) {
        struct io_uring_sync_cancel_reg what = {.addr = (unsigned)fd << 3 | POLL, .fd = -1, .timeout = {-1, -1}};
        io_uring_register_sync_cancel(&ring, &what);
        close(fd);
    }
}

static void ask_accept(int ln)
{
    REQUEST(ln, ACCEPT, io_uring_prep_multishot_accept, ln, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void complete(const struct io_uring_cqe *cqe)
{
    int fd = (int)(cqe->user_data >> 3);
    bool more = cqe->flags & IORING_CQE_F_MORE;
    switch (cqe->user_data & 7) {
    case ACCEPT:
        if (!more)
            ask_accept(fd);
        if (cqe->res >= CONNS)
            close(cqe->res);
        else if (cqe->res >= 0 && polled)
            REQUEST(cqe->res, POLL, io_uring_prep_poll_multishot, cqe->res, POLLIN | POLLOUT | POLLRDHUP);
        else if (cqe->res >= 0)
            ask_recv(cqe->res);
        break;
    case RECV:
        if (cqe->res > 0) {
            int id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
            conn_data(fd, buf_mem + (size_t)id * BUF, (size_t)cqe->res);
            buf_give(id);
            if (!more)
                ask_recv(fd);
        } else if (cqe->res == -ENOBUFS) {
            ask_recv(fd);
        } else {
            conn_gone(fd);
        }
        break;
    case SEND:
        conn_sent(fd, cqe->res);
        break;
    case POLL:
        if (cqe->res > 0 && cqe->res & (POLLIN | POLLHUP | POLLERR | POLLRDHUP))
            conn_ready(fd);
        break;
    default:
        break;
    }
}

static int listen_on(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);   /* connections inherit it */
    if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 4096) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return -1;
    printf("ready 127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

static bool bufs_make(void)
{
    struct io_uring_buf_reg reg = {.ring_entries = BUFS, .bgid = GROUP};
    void *mem;
    if (posix_memalign(&mem, 4096, BUFS * sizeof(struct io_uring_buf)) != 0 || !(buf_mem = malloc((size_t)BUFS * BUF)))
        return false;
    bufs = mem;
    reg.ring_addr = (__u64)(uintptr_t)mem;
    if (io_uring_register_buf_ring(&ring, &reg, 0) < 0)
        return false;
    io_uring_buf_ring_init(bufs);
    for (int i = 0; i < BUFS; i++)
        buf_give(i);
    return true;
}

int main(int argc, char **argv)
{
    struct io_uring_params p = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL, .cq_entries = 16384};
    struct io_uring_cqe *cqe;
    struct rlimit r;
    bool coop = false;
    for (int i = 1; i < argc; i++) {
        polled |= strcmp(argv[i], "-p") == 0;
        coop |= strcmp(argv[i], "-c") == 0;
    }
    p.flags |= coop ? IORING_SETUP_COOP_TASKRUN : IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    int err = io_uring_queue_init_params(2048, &ring, &p), ln = listen_on();
    if (err < 0 || ln < 0 || !bufs_make()) {
        fprintf(stderr, "floor-uring: %s\n", err < 0 ? strerror(-err) : "no listener or no buffers");
        return 1;
    }
    ask_accept(ln);
    for (;;) {
        unsigned head, n = 0;
        io_uring_submit_and_wait(&ring, 1);
        answer_make();
        io_uring_for_each_cqe(&ring, head, cqe) {
            complete(cqe);
            n++;
        }
        io_uring_cq_advance(&ring, n);
    }
}
