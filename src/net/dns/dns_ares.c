/*
 * dns_ares.c - questions to the servers: c-ares, driven by one goroutine while there are any.
 *
 * Role    weft__dns_ask hands a name to c-ares under a mutex; c-ares sends. The pump, a goroutine that lives while
 *         questions are under way, waits for the answers. Near dns_cache.c (who waits for what). Layer 4.
 *
 * Invariants
 *   A1  Everything of c-ares happens under asker.lock (a goroutine mutex: c-ares allocates and makes system calls, none of
 *       which waits). Its callbacks run under it too.
 *   A2  set_fd is open exactly while questions are under way or one is being asked: c-ares closes its sockets with the
 *       last question, so an idle resolver holds no descriptor and no goroutine.
 *   A3  c-ares' sockets are in set_fd, level-triggered; set_fd is in the poller, edge-triggered. The pump waits only after
 *       epoll_wait on set_fd has found nothing.
 *   A4  At most DNS_ASKED names are asked about at a time, the others queue: more answers at once than a socket's buffer
 *       holds would be lost, and their repetitions again. A queue is never left without a pump.
 *
 * The pump wakes at least every 200 ms: a new question's first deadline cannot come sooner than it looks.
 * Addresses are put in order here: c-ares would make and connect a socket for each of them (RFC 6724), and read /etc/hosts
 * for each name. Within a family the server's order stays, and where there are both, one probe tells which goes first.
 *
 * Limits  Answers of more than 64 addresses are cut. Failure: WEFT_EDNS for whatever is not "no such name".
 * Source  c-ares 1.18 (ares_getaddrinfo: search domains, A and AAAA); RFC 6724 rule 1, RFC 6761 (localhost).
 */
#include <ares.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <weft/sync.h>

#include "../../sys/sys.h"
#include "dns.h"

#define DNS_PUMP_MAX (200 * WEFT_MS)
enum { DNS_ASKED = 240, DNS_RCVBUF = 1 << 20 };

static struct {
    weft_mutex lock;
    struct weft_resolver_opts opts;   /* [lock] servers: malloc'ed */
    ares_channel channel;             /* [lock] NULL until first asked */
    bool stale;                       /* [lock] options changed: a new channel with the next question of an idle resolver */
    int set_fd;                       /* [lock] A2; valid while set_pd is not NULL */
    struct weft__pd *set_pd;          /* [lock] its waits are the pump's */
    uint32_t asked;                   /* [lock] questions under way */
    struct weft__dns_question *queue; /* [lock] A4: oldest first */
    struct weft__dns_question **tail; /* [lock] where the next one is hung; NULL: queue was never used */
    bool pumping;                     /* [lock] */
    struct weft__hosts hosts;         /* [lock] */
} asker;

/* ---- c-ares' sockets ---- */

static ares_socket_t ares_open(int family, int type, int protocol, void *arg)
{
    (void)arg;
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (fd >= 0)
        (void)weft__sock_set(fd, SOL_SOCKET, SO_RCVBUF, DNS_RCVBUF); /* what the system allows of it */
    return fd;
}

static int ares_shut(ares_socket_t fd, void *arg)
{
    (void)arg;
    return close(fd);
}

static int ares_link(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t n, void *arg)
{
    (void)arg;
    return connect(fd, to, n);
}

static ares_ssize_t ares_take(ares_socket_t fd, void *buf, size_t n, int flags, struct sockaddr *from,
                              ares_socklen_t *from_n, void *arg)
{
    (void)arg;
    return recvfrom(fd, buf, n, flags, from, from_n);
}

static ares_ssize_t ares_put(ares_socket_t fd, const struct iovec *v, int count, void *arg)
{
    struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = (size_t)count};
    (void)arg;
    return sendmsg(fd, &m, MSG_NOSIGNAL);
}

static const struct ares_socket_functions ares_sockets = {ares_open, ares_shut, ares_link, ares_take, ares_put};

/* c-ares tells what it wants to know of a socket. */
static void ares_interest(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct epoll_event ev = {.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u), .data.fd = fd};
    (void)arg;
    if (!asker.set_pd)
        return;
    if (!readable && !writable)
        (void)epoll_ctl(asker.set_fd, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(asker.set_fd, EPOLL_CTL_MOD, fd, &ev) < 0)
        (void)epoll_ctl(asker.set_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* ---- the channel ---- */

static int asker_options(struct ares_options *o)
{
    *o = (struct ares_options){.sock_state_cb = ares_interest, .lookups = (char *)"b"};
    o->timeout = asker.opts.try_timeout > 0 ? (int)((asker.opts.try_timeout + WEFT_MS - 1) / WEFT_MS) : 2000;
    o->tries = asker.opts.tries > 0 ? asker.opts.tries : 3;
    return ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
}

static weft_err asker_open_channel(void)
{
    struct ares_options o;
    int mask = asker_options(&o);
    if (asker.channel && asker.stale && asker.asked == 0) {
        ares_destroy(asker.channel);
        asker.channel = NULL;
    }
    if (asker.channel)
        return 0;
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS || ares_init_options(&asker.channel, &o, mask) != ARES_SUCCESS) {
        asker.channel = NULL;
        return WEFT_EDNS;
    }
    asker.stale = false;
    ares_set_socket_functions(asker.channel, &ares_sockets, NULL);
    const char *servers = asker.opts.servers ? asker.opts.servers : getenv("WEFT_DNS");
    if (servers && *servers && ares_set_servers_ports_csv(asker.channel, servers) != ARES_SUCCESS) {
        ares_destroy(asker.channel);
        asker.channel = NULL;
        return WEFT_EADDR;
    }
    return 0;
}

static weft_err asker_open_set(void)
{
    if (asker.set_pd)
        return 0;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return -errno;
    weft_err err = weft__pd_open(fd, &asker.set_pd);
    if (err) {
        weft__sock_close(fd);
        return err;
    }
    asker.set_fd = fd;
    return 0;
}

/* A2: nothing is under way any more. */
static void asker_close_set(void)
{
    if (asker.asked != 0 || !asker.set_pd)
        return;
    weft__pd_close(asker.set_pd);
    weft__sock_close(asker.set_fd);
    asker.set_pd = NULL;
}

/* ---- answers ---- */

static weft_err asker_error(int status)
{
    switch (status) {
    case ARES_SUCCESS: return 0;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_ENONAME: return WEFT_ENOHOST;
    case ARES_EBADNAME: return WEFT_EADDR;
    case ARES_ENOMEM: return WEFT_ENOMEM;
    default: return WEFT_EDNS;
    }
}

/* The addresses of a result, in its order. How many; *ret_ttl is the shortest of their lives. */
static int asker_copy(const struct ares_addrinfo *info, weft_addr *ret, int max, weft_dur *ret_ttl)
{
    int n = 0, ttl = INT32_MAX;
    for (const struct ares_addrinfo_node *a = info->nodes; a && n < max; a = a->ai_next) {
        if (a->ai_addrlen > sizeof ret->u || (a->ai_family != AF_INET && a->ai_family != AF_INET6))
            continue;
        ret[n] = (weft_addr){.len = a->ai_addrlen};
        memcpy(&ret[n++].u, a->ai_addr, a->ai_addrlen);
        if (a->ai_ttl < ttl)
            ttl = a->ai_ttl;
    }
    *ret_ttl = ttl * WEFT_SEC;
    return n;
}

/* Is there a way to this address? Connecting a datagram socket asks the routing table and sends nothing. */
static bool asker_reaches(const weft_addr *a)
{
    struct weft__saddr to = {.len = a->len};
    int fd = weft__sock_new(a->u.sa.sa_family, SOCK_DGRAM);
    if (fd < 0)
        return false;
    memcpy(&to.u, &a->u, sizeof a->u);
    to.u.in6.sin6_port = htons(53);   /* at the same place for both families; 0 is refused by some systems */
    bool ok = weft__sock_connect(fd, &to) == 0;
    weft__sock_close(fd);
    return ok;
}

/* IPv6 first if it can be reached, IPv4 first if not; each family in the order that it came in. */
static void asker_order(weft_addr *list, int n)
{
    int sixes = 0, fours = 0;
    for (int i = 0; i < n; i++)
        *(list[i].u.sa.sa_family == AF_INET6 ? &sixes : &fours) += 1;
    if (!sixes || !fours)
        return;
    int first = 0;
    while (list[first].u.sa.sa_family != AF_INET6)
        first++;
    int front = asker_reaches(&list[first]) ? AF_INET6 : AF_INET;
    for (int i = 1; i < n; i++) {   /* stable: those of the front family move ahead of the others */
        weft_addr a = list[i];
        int k = i;
        while (a.u.sa.sa_family == front && k > 0 && list[k - 1].u.sa.sa_family != front) {
            list[k] = list[k - 1];
            k--;
        }
        list[k] = a;
    }
}

static void asker_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    static weft_addr list[WEFT__DNS_ADDRS]; /* A1: one callback at a time */
    weft_dur ttl = 0;
    weft_err err = asker_error(status);
    (void)timeouts;
    int n = info && !err ? asker_copy(info, list, WEFT__DNS_ADDRS, &ttl) : 0;
    if (info)
        ares_freeaddrinfo(info);
    asker_order(list, n);
    asker.asked--;
    weft__dns_answer(arg, err ? err : n ? 0 : WEFT_ENOHOST, list, n, ttl);
}

/* Hand one name to c-ares. The answer may come at once. */
static void asker_send(struct weft__dns_question *q)
{
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT};
    weft_addr known[8];
    int n = weft__hosts_find(&asker.hosts, "/etc/hosts", q->host, known, 8);
    if (n > 0) {
        asker_order(known, n);
        weft__dns_answer(q, 0, known, n, 0);
        return;
    }
    weft_err err = asker_open_channel();
    if (!err)
        err = asker_open_set();
    if (err) {
        weft__dns_answer(q, err, NULL, 0, 0);
        return;
    }
    asker.asked++;
    ares_getaddrinfo(asker.channel, q->host, NULL, &hints, asker_answer, q);
}

/* A4: send what the limit allows. */
static void asker_send_queued(void)
{
    while (asker.queue && asker.asked < DNS_ASKED) {
        struct weft__dns_question *q = asker.queue;
        asker.queue = q->next;
        if (!asker.queue)
            asker.tail = &asker.queue;
        asker_send(q);
    }
}

/* Handle what has come in, and time-outs. False when nothing is under way any more. */
static bool asker_process(void)
{
    struct epoll_event ev[32];
    int n = 1;
    ares_process_fd(asker.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    asker_send_queued();
    while (asker.asked > 0 && n > 0) { /* A3 */
        n = epoll_wait(asker.set_fd, ev, 32, 0);
        for (int i = 0; i < n; i++) {
            bool in = ev[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = ev[i].events & EPOLLOUT;
            ares_process_fd(asker.channel, in ? ev[i].data.fd : ARES_SOCKET_BAD, out ? ev[i].data.fd : ARES_SOCKET_BAD);
        }
        asker_send_queued();
    }
    return asker.asked > 0;
}

static void asker_pump(void)
{
    weft_mutex_lock(&asker.lock);
    while (asker_process()) {
        struct timeval most = {.tv_usec = DNS_PUMP_MAX / WEFT_US}, tv, *t = ares_timeout(asker.channel, &most, &tv);
        weft_time at = weft__now() + t->tv_sec * WEFT_SEC + t->tv_usec * WEFT_US;
        struct weft__pd *pd = asker.set_pd;
        weft_mutex_unlock(&asker.lock);
        weft__pd_set_deadline(pd, WEFT__DIR_READ, at);
        (void)weft__pd_wait(pd, WEFT__DIR_READ); /* readiness or the deadline: either way look */
        weft_mutex_lock(&asker.lock);
    }
    asker.pumping = false;
    asker_close_set();
    weft_mutex_unlock(&asker.lock);
}

/* ---- questions ---- */

void weft__dns_ask(struct weft__dns_question *q)
{
    weft_mutex_lock(&asker.lock);
    q->next = NULL;
    *(asker.tail ? asker.tail : &asker.queue) = q;
    asker.tail = &q->next;
    asker_send_queued();
    if (asker.asked > 0 && !asker.pumping) {
        asker.pumping = true;
        weft_go_named("dns", asker_pump);
    } else if (!asker.pumping) {
        asker_close_set();
    }
    weft_mutex_unlock(&asker.lock);
}

weft_err weft_resolver_configure(const struct weft_resolver_opts *opts)
{
    struct weft_resolver_opts mine = opts ? *opts : (struct weft_resolver_opts){0};
    if (mine.servers && !(mine.servers = strdup(mine.servers)))
        return WEFT_ENOMEM;
    weft_mutex_lock(&asker.lock);
    free((char *)asker.opts.servers);
    asker.opts = mine;
    asker.stale = true;
    weft_err err = asker.asked == 0 ? asker_open_channel() : 0;
    weft_mutex_unlock(&asker.lock);
    weft__dns_forget(mine.cache_max);
    return err;
}
