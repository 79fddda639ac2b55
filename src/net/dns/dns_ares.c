/*
 * dns_ares.c - questions to the servers: c-ares, driven by one goroutine while there are any.
 *
 * Role    weft__dns_ask hands a name to c-ares under a mutex, as two questions, for IPv6 and IPv4 addresses; c-ares sends,
 *         repeats, goes from server to server. The pump, a goroutine that lives while questions are under way, waits for the
 *         answers. Near dns_cache.c (who waits for what), dns_wire.c (what questions and answers look like), dns_udp.c (how
 *         they leave and come), dns_search.c (which names are tried for one). Layer 4.
 *
 * Invariants
 *   A1  Everything of c-ares happens under asker.lock (a goroutine mutex: c-ares allocates and makes system calls, none of
 *       which waits). Its callbacks run under it too.
 *   A2  set_fd is open exactly while names are under way or one is being asked: c-ares closes its sockets with the
 *       last question, so an idle resolver holds no descriptor and no goroutine.
 *   A3  c-ares' sockets are in set_fd, level-triggered; set_fd is in the poller, edge-triggered: whatever comes makes an edge
 *       again. The pump waits only after every socket that was ready has been emptied, or found empty by epoll_wait.
 *   A4  At most DNS_ASKED names are asked about at a time, the others queue: more answers at once than a socket's buffer
 *       holds would be lost, and their repetitions again. A queue is never left without a pump.
 *   A5  An ask is in the line `half` while it has addresses of one family, the other one is due and `soon` was not said;
 *       the line is in the order of time. After DNS_DELAY they are told to those who want to dial (RFC 8305 3).
 *   A6  look_at is never later than c-ares' first time-out: a question's comes no sooner than half of try_timeout after it
 *       was sent, and what ends makes it later only. c-ares itself walks over all questions to tell.
 *
 * Addresses are put in order here: c-ares would make and connect a socket for each of them (RFC 6724). Within a family the
 * server's order stays, and where there are both, one probe tells which goes first.
 *
 * Limits  Answers of more than 64 addresses are cut. Failure: WEFT_EDNS for whatever is not "no such name".
 * Source  c-ares 1.18 (ares_send); RFC 6724 rule 1, RFC 6761 6.3 (localhost), RFC 7686 (onion), RFC 8305 3. Not so:
 *         ares_getaddrinfo, which tells nothing of a SOA record, gives both families together, and takes half as long again.
 */
#include <ares.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <weft/sync.h>

#include "../../sys/sys.h"
#include "dns_search.h"
#include "dns_udp.h"
#include "dns_wire.h"

#define DNS_TRY_TIMEOUT (2 * WEFT_SEC)
#define DNS_DELAY (50 * WEFT_MS)           /* RFC 8305 3: Resolution Delay */
#define DNS_ABSENT (10 * WEFT_SEC)         /* an absence that came without a SOA record */
enum { DNS_ASKED = 240 };

/* A name under way. */
struct ask {
    struct ask *next, *prev;       /* A5: in `half`; next alone in the list of free ones */
    struct weft__dns_question *q;
    int step;                      /* place among the names that are tried */
    int open;                      /* answers that are to come */
    bool waiting;                  /* in `half` */
    bool failed;                   /* one of its answers said nothing useful */
    weft_time half_at;             /* when `soon` is due */
    weft_dur ttl, absent;          /* shortest so far; absent < 0: no SOA record has said */
    int count;
    weft_addr list[WEFT__DNS_ADDRS];
};

static struct {
    weft_mutex lock;
    struct weft_resolver_opts opts;   /* [lock] servers: malloc'ed */
    ares_channel channel;             /* [lock] NULL until first asked */
    bool stale;                       /* [lock] options changed: a new channel with the next question of an idle resolver */
    int set_fd;                       /* [lock] A2; valid while set_pd is not NULL */
    struct weft__pd *set_pd;          /* [lock] its waits are the pump's */
    uint32_t asked;                   /* [lock] names under way */
    weft_dur patience;                /* [lock] of a first try */
    weft_time look_at;                /* [lock] A6 */
    struct weft__dns_search search;   /* [lock] of the channel */
    struct ask *half, *half_last;     /* [lock] A5 */
    struct ask *free;                 /* [lock] */
    uint64_t random;                  /* [lock] numbers for questions, 16 bits each */
    int random_left;                  /* [lock] how many of them */
    struct weft__dns_question *queue; /* [lock] A4: oldest first */
    struct weft__dns_question **tail; /* [lock] where the next one is hung; NULL: queue was never used */
    bool pumping;                     /* [lock] */
    struct weft__hosts hosts;         /* [lock] */
} asker;

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

static void asker_close_channel(void)
{
    if (asker.channel)
        ares_destroy(asker.channel);
    asker.channel = NULL;
    weft__dns_search_done(&asker.search);
}

static weft_err asker_make_channel(void)
{
    const char *servers = asker.opts.servers ? asker.opts.servers : getenv("WEFT_DNS");
    struct ares_options o = {.sock_state_cb = ares_interest, .lookups = (char *)"b"};
    asker.patience = asker.opts.try_timeout > 0 ? asker.opts.try_timeout : DNS_TRY_TIMEOUT;
    o.timeout = (int)((asker.patience + WEFT_MS - 1) / WEFT_MS);
    o.tries = asker.opts.tries > 0 ? asker.opts.tries : 3;
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return WEFT_EDNS;
    int mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
    if (ares_init_options(&asker.channel, &o, mask) != ARES_SUCCESS) {
        asker.channel = NULL;
        return WEFT_EDNS;
    }
    ares_set_socket_functions(asker.channel, &weft__dns_sockets, NULL);
    if (servers && *servers && ares_set_servers_ports_csv(asker.channel, servers) != ARES_SUCCESS)
        return WEFT_EADDR;
    return weft__dns_search_of(asker.channel, &asker.search);
}

static weft_err asker_open_channel(void)
{
    if (asker.channel && !(asker.stale && asker.asked == 0))
        return 0;
    asker_close_channel();
    weft_err err = asker_make_channel();
    if (err)
        asker_close_channel();
    else
        asker.stale = false;
    return err;
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
    for (struct ask *a = asker.free, *next; a; a = next) {
        next = a->next;
        weft__sys_free(a);
    }
    asker.free = NULL;
}

/* ---- the order of addresses ---- */

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

/* ---- answers ---- */

/* A5 */
static void half_out(struct ask *a)
{
    if (!a->waiting)
        return;
    *(a->prev ? &a->prev->next : &asker.half) = a->next;
    *(a->next ? &a->next->prev : &asker.half_last) = a->prev;
    a->waiting = false;
}

static void half_in(struct ask *a)
{
    a->half_at = weft__now() + DNS_DELAY;
    a->waiting = true;
    a->next = NULL;
    a->prev = asker.half_last;
    *(a->prev ? &a->prev->next : &asker.half) = a;
    asker.half_last = a;
}

/* Those whose time has come. The instant at which the next one is due; 0: none waits. */
static weft_time half_tell(weft_time now)
{
    while (asker.half && asker.half->half_at <= now) {
        struct ask *a = asker.half;
        half_out(a);
        weft__dns_soon(a->q, a->list, a->count);
    }
    return asker.half ? asker.half->half_at : 0;
}

/* The end of a name. */
static void ask_end(struct ask *a, weft_err err)
{
    struct weft__dns_question *q = a->q;
    weft_dur ttl = err ? a->absent : a->ttl;
    asker_order(a->list, a->count);
    asker.asked--;
    weft__dns_answer(q, err, a->list, a->count, ttl < 0 ? DNS_ABSENT : ttl);
    a->next = asker.free;
    asker.free = a;
}

static void ask_send(struct ask *a);

/* Both answers are there. */
static void ask_done(struct ask *a)
{
    half_out(a);
    if (a->count == 0 && !a->failed) {
        a->step++;
        ask_send(a);
    } else {
        ask_end(a, a->count ? 0 : WEFT_EDNS);
    }
}

static void ask_reply(struct ask *a, int type, int status, const uint8_t *m, int n)
{
    struct weft__dns_found f = {.err = status == ARES_ENOMEM ? WEFT_ENOMEM : WEFT_EDNS};
    if (status == ARES_SUCCESS)
        f = weft__dns_parse(m, (size_t)n, type, a->list + a->count, WEFT__DNS_ADDRS - a->count);
    a->open--;
    a->failed |= f.err != 0;
    a->count += f.count;
    if (f.count && f.ttl < a->ttl)
        a->ttl = f.ttl;
    if (!f.err && !f.count && f.absent && (a->absent < 0 || f.absent_ttl < a->absent))
        a->absent = f.absent_ttl;
    if (a->open == 0)
        ask_done(a);
    else if (f.count)
        half_in(a);
}

static void ask_reply_6(void *arg, int status, int timeouts, unsigned char *m, int n)
{
    (void)timeouts;
    ask_reply(arg, WEFT__DNS_AAAA, status, m, n);
}

static void ask_reply_4(void *arg, int status, int timeouts, unsigned char *m, int n)
{
    (void)timeouts;
    ask_reply(arg, WEFT__DNS_A, status, m, n);
}

/* ---- questions ---- */

/* Nobody can guess it: who could, would answer in the server's stead. */
static uint16_t ask_id(void)
{
    if (asker.random_left == 0) {
        asker.random = weft__sys_entropy();
        asker.random_left = 4;
    }
    uint16_t id = (uint16_t)asker.random;
    asker.random >>= 16;
    asker.random_left--;
    return id;
}

/* Ask for the name that is next, both families. The answers may come at once. */
static void ask_send(struct ask *a)
{
    uint8_t six[WEFT__DNS_QUERY_MAX], four[WEFT__DNS_QUERY_MAX];
    char name[256];
    int r = weft__dns_search_name(&asker.search, a->q->host, a->step, name, sizeof name);
    if (r <= 0) {
        ask_end(a, r < 0 && a->step == 0 ? r : WEFT_ENOHOST);
        return;
    }
    int n = weft__dns_query(ask_id(), name, WEFT__DNS_AAAA, six);
    if (n < 0) {
        ask_end(a, n);
        return;
    }
    (void)weft__dns_query(ask_id(), name, WEFT__DNS_A, four);
    weft_time first = weft__now() + asker.patience / 2;
    if (!asker.look_at || first < asker.look_at) /* A6 */
        asker.look_at = first;
    a->open = 2;
    ares_send(asker.channel, six, n, ask_reply_6, a);
    ares_send(asker.channel, four, n, ask_reply_4, a);
}

/* An answer without a server: the hosts file, localhost, or what no server is to be asked. */
static bool asker_knows(struct weft__dns_question *q)
{
    weft_addr known[8];
    int n = weft__hosts_find(&asker.hosts, "/etc/hosts", q->host, known, 8);
    if (n == 0 && weft__dns_under(q->host, "localhost"))
        n = weft__addr_literal("::1", &known[0]) + weft__addr_literal("127.0.0.1", &known[1]);
    if (n == 0 && !weft__dns_under(q->host, "onion"))
        return false;
    asker_order(known, n);
    weft__dns_answer(q, n ? 0 : WEFT_ENOHOST, known, n, 0);
    return true;
}

static struct ask *ask_new(struct weft__dns_question *q)
{
    struct ask *a = asker.free;
    if (a)
        asker.free = a->next;
    else if (!(a = weft__sys_alloc(sizeof *a)))
        return NULL;
    memset(a, 0, offsetof(struct ask, list));
    a->q = q;
    a->ttl = INT32_MAX * WEFT_SEC;
    a->absent = -1;
    return a;
}

/* Hand one name to c-ares. The answer may come at once. */
static void asker_send(struct weft__dns_question *q)
{
    if (asker_knows(q))
        return;
    weft_err err = asker_open_channel();
    if (!err)
        err = asker_open_set();
    struct ask *a = err ? NULL : ask_new(q);
    if (!a) {
        weft__dns_answer(q, err ? err : WEFT_ENOMEM, NULL, 0, 0);
        return;
    }
    asker.asked++;
    ask_send(a);
}

/* A4: send what the limit allows. */
static void asker_send_queued(void)
{
    ares_socket_t bad;
    do {
        while (asker.queue && asker.asked < DNS_ASKED) {
            struct weft__dns_question *q = asker.queue;
            asker.queue = q->next;
            if (!asker.queue)
                asker.tail = &asker.queue;
            asker_send(q);
        }
        bad = weft__dns_flush();
        if (bad != ARES_SOCKET_BAD) /* c-ares goes on to another server, and may end what it has asked */
            ares_process_fd(asker.channel, bad, ARES_SOCKET_BAD);
    } while (bad != ARES_SOCKET_BAD);
}

/* What is ready in set_fd. True: look again, as not all of it is known to have been emptied (A3). */
static bool asker_read_ready(void)
{
    struct epoll_event ev[32];
    bool again = false;
    int n = epoll_wait(asker.set_fd, ev, 32, 0);
    for (int i = 0; i < n; i++) {
        bool in = ev[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = ev[i].events & EPOLLOUT;
        again |= out || !weft__dns_empties(ev[i].data.fd);
        ares_process_fd(asker.channel, in ? ev[i].data.fd : ARES_SOCKET_BAD, out ? ev[i].data.fd : ARES_SOCKET_BAD);
    }
    return again || n == 32;
}

/* Handle what has come in, and time-outs. The instant to look again at; 0: nothing is under way any more. */
static weft_time asker_process(void)
{
    weft_time now = weft__now();
    if (now >= asker.look_at) { /* A6 */
        struct timeval tv, *t;
        ares_process_fd(asker.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        t = ares_timeout(asker.channel, NULL, &tv);
        asker.look_at = now + (t ? t->tv_sec * WEFT_SEC + t->tv_usec * WEFT_US + WEFT_MS : asker.patience / 2);
    }
    asker_send_queued();
    while (asker.asked > 0 && asker_read_ready())
        asker_send_queued();
    asker_send_queued();
    weft_time soon = half_tell(now);
    return asker.asked == 0 ? 0 : soon && soon < asker.look_at ? soon : asker.look_at;
}

static void asker_pump(void)
{
    weft_time at;
    weft_mutex_lock(&asker.lock);
    while ((at = asker_process()) != 0) {
        struct weft__pd *pd = asker.set_pd;
        weft_mutex_unlock(&asker.lock);
        weft__pd_set_deadline(pd, WEFT__DIR_READ, at);
        (void)weft__pd_wait(pd, WEFT__DIR_READ); /* readiness or the deadline: either way look */
        weft_mutex_lock(&asker.lock);
    }
    asker.pumping = false;
    asker.look_at = 0;
    asker_close_set();
    weft_mutex_unlock(&asker.lock);
}

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
