/*
 * dns_udp.c - the sockets that c-ares asks through: datagrams go and come many at a time.
 *
 * Role    What c-ares writes to a datagram socket is kept and leaves in one sendmmsg; what it reads comes from one recvmmsg.
 *         Streams (answers that are too long for a datagram) go straight through. Near dns_ares.c. Layer 4.
 *
 * Invariants, under the lock of dns_ares.c
 *   B1  A datagram socket of c-ares has a batch, as long as there are any left; one without goes straight through.
 *   B2  in_at .. in_len of a batch have been received and not been handed out; out_len wait for the next flush, which comes
 *       before anybody waits for their answers.
 *   B3  A short recvmmsg has emptied the socket: then c-ares hears "again" without a system call.
 *   B4  Datagrams of one length that follow each other go through the kernel as one, which it cuts at the far end of its way
 *       (UDP_SEGMENT); where a way cannot (whole), all go one by one from then on. A name's two questions are of one length.
 *
 * Limits  DNS_BATCHES servers at a time with a batch; an answer of more than DNS_IN bytes is cut, which c-ares takes for one
 *         that is too long (it asks for none above 512) and repeats over a stream. A datagram that the kernel does not take
 *         is lost like any other, and asked again after a time.
 * Failure an error that a send meets (a port that nobody listens on) is told by the next receive, for which the flush asks.
 * Source  sendmmsg(2), recvmmsg(2), udp(7); ares_set_socket_functions(3).
 */
#include "dns_udp.h"

#include <netinet/udp.h>
#include <string.h>
#include <sys/uio.h>

#include "../../sys/sys.h"
#include "dns_wire.h"

enum { DNS_BATCHES = 4, DNS_MANY = 32, DNS_IN = 1024, DNS_RCVBUF = 1 << 20 };

struct batch {
    int fd;                        /* with used */
    bool used;
    bool emptied;                  /* B3 */
    bool whole;                    /* B4 */
    int err;                       /* errno to be told by the next receive, or 0 */
    int in_at, in_len, out_len;    /* B2 */
    struct batch_room *room;
};

/* Room for UDP_SEGMENT's control message. */
union segment {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(uint16_t))];
};

struct batch_room {
    struct mmsghdr in[DNS_MANY], out[DNS_MANY];
    union segment segment[DNS_MANY];
    struct iovec in_iov[DNS_MANY], out_iov[DNS_MANY];
    struct sockaddr_storage from[DNS_MANY];
    unsigned char out_data[DNS_MANY][WEFT__DNS_QUERY_MAX + 1];
    unsigned char in_data[DNS_MANY][DNS_IN];
};

static struct batch batches[DNS_BATCHES];   /* [asker.lock] */

static struct batch *batch_of(int fd)
{
    for (int i = 0; i < DNS_BATCHES; i++)
        if (batches[i].used && batches[i].fd == fd)
            return &batches[i];
    return NULL;
}

static void batch_open(int fd)
{
    int i = 0;
    while (i < DNS_BATCHES && batches[i].used)
        i++;
    struct batch_room *room = i < DNS_BATCHES ? weft__sys_alloc(sizeof *room) : NULL;
    if (!room)
        return;   /* B1: straight through */
    for (int k = 0; k < DNS_MANY; k++) {
        room->in_iov[k] = (struct iovec){room->in_data[k], DNS_IN};
        room->in[k].msg_hdr = (struct msghdr){.msg_name = &room->from[k], .msg_iov = &room->in_iov[k], .msg_iovlen = 1};
    }
    batches[i] = (struct batch){.fd = fd, .used = true, .room = room};
}

/* The datagrams from out_iov[from] on, as many as may go as one: B4. */
static struct msghdr batch_message(struct batch *b, int from, bool whole, union segment *control)
{
    struct iovec *v = b->room->out_iov + from;
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 1};
    while (!whole && from + (int)m.msg_iovlen < b->out_len && v[m.msg_iovlen].iov_len == v->iov_len)
        m.msg_iovlen++;
    if (m.msg_iovlen > 1) {
        uint16_t len = (uint16_t)v->iov_len;
        *control = (union segment){.head = {.cmsg_len = CMSG_LEN(sizeof len), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT}};
        memcpy(CMSG_DATA(&control->head), &len, sizeof len);
        m.msg_control = control;
        m.msg_controllen = sizeof *control;
    }
    return m;
}

/* Send out[0 .. n). How many datagrams are dealt with: fewer than there are where several were refused as one. */
static int batch_send(struct batch *b, int n)
{
    struct mmsghdr *out = b->room->out;
    int done = 0;
    for (int at = 0; at < n;) {
        int sent = sendmmsg(b->fd, out + at, (unsigned)(n - at), MSG_NOSIGNAL);
        bool several = out[at].msg_hdr.msg_iovlen > 1;
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && several && (errno == EIO || errno == EINVAL))
            b->whole = true;
        else if (sent < 0 && errno != EAGAIN)
            b->err = errno;
        if (sent < 0 && several)
            break;
        for (int end = at + (sent > 0 ? sent : 1); at < end; at++)   /* the one that failed is lost */
            done += (int)out[at].msg_hdr.msg_iovlen;
    }
    return done;
}

static void batch_flush(struct batch *b)
{
    bool whole = b->whole;
    for (int sent = 0; sent < b->out_len;) {
        int n = 0;
        for (int at = sent; at < b->out_len; n++) {
            b->room->out[n].msg_hdr = batch_message(b, at, whole, &b->room->segment[n]);
            at += (int)b->room->out[n].msg_hdr.msg_iovlen;
        }
        sent += batch_send(b, n);
        whole = true;   /* what was refused as one goes one by one */
    }
    b->out_len = 0;
}

/* ---- for c-ares ---- */

static ares_socket_t udp_open(int family, int type, int protocol, void *arg)
{
    (void)arg;
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (fd < 0 || type != SOCK_DGRAM)
        return fd;
    (void)weft__sock_set(fd, SOL_SOCKET, SO_RCVBUF, DNS_RCVBUF); /* what the system allows of it */
    batch_open(fd);
    return fd;
}

static int udp_close(ares_socket_t fd, void *arg)
{
    struct batch *b = batch_of(fd);
    (void)arg;
    if (b) {
        weft__sys_free(b->room);
        *b = (struct batch){0};
    }
    return close(fd);
}

static int udp_connect(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t n, void *arg)
{
    (void)arg;
    return connect(fd, to, n);
}

/* The next datagrams into b: how many, 0 for none; or -1 with errno. */
static int batch_fill(struct batch *b)
{
    int n;
    if (b->err) {
        errno = b->err;
        b->err = 0;
        return -1;
    }
    if (b->emptied) {
        b->emptied = false;
        return 0;
    }
    for (int i = 0; i < DNS_MANY; i++)
        b->room->in[i].msg_hdr.msg_namelen = sizeof b->room->from[i];
    do
        n = recvmmsg(b->fd, b->room->in, DNS_MANY, MSG_DONTWAIT, NULL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    b->emptied = n < DNS_MANY;
    b->in_at = 0;
    b->in_len = n;
    return n;
}

static ares_ssize_t udp_take(ares_socket_t fd, void *buf, size_t n, int flags, struct sockaddr *from, ares_socklen_t *from_n,
                             void *arg)
{
    struct batch *b = batch_of(fd);
    (void)arg;
    if (!b)
        return recvfrom(fd, buf, n, flags, from, from_n);
    if (b->in_at == b->in_len) {
        int got = batch_fill(b);
        if (got == 0)
            errno = EAGAIN;
        if (got <= 0)
            return -1;
    }
    struct mmsghdr *m = &b->room->in[b->in_at];
    size_t len = m->msg_len < n ? m->msg_len : n;
    memcpy(buf, b->room->in_data[b->in_at], len);
    if (from && m->msg_hdr.msg_namelen <= *from_n) {
        memcpy(from, &b->room->from[b->in_at], m->msg_hdr.msg_namelen);
        *from_n = m->msg_hdr.msg_namelen;
    }
    b->in_at++;
    return (ares_ssize_t)len;
}

static ares_ssize_t udp_put(ares_socket_t fd, const struct iovec *v, int count, void *arg)
{
    struct batch *b = batch_of(fd);
    struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = (size_t)count};
    (void)arg;
    if (!b || count != 1 || v->iov_len > sizeof b->room->out_data[0])
        return sendmsg(fd, &m, MSG_NOSIGNAL);
    if (b->out_len == DNS_MANY)
        batch_flush(b);
    int k = b->out_len++;
    memcpy(b->room->out_data[k], v->iov_base, v->iov_len);
    b->room->out_iov[k] = (struct iovec){b->room->out_data[k], v->iov_len};
    return (ares_ssize_t)v->iov_len;
}

const struct ares_socket_functions weft__dns_sockets = {udp_open, udp_close, udp_connect, udp_take, udp_put};

ares_socket_t weft__dns_flush(void)
{
    ares_socket_t bad = ARES_SOCKET_BAD;
    for (int i = 0; i < DNS_BATCHES; i++) {
        if (batches[i].used && batches[i].out_len)
            batch_flush(&batches[i]);
        if (batches[i].used && batches[i].err)
            bad = batches[i].fd;
    }
    return bad;
}

bool weft__dns_empties(ares_socket_t fd)
{
    return batch_of(fd) != NULL;
}
