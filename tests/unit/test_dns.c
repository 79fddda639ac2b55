/*
 * test_dns.c - names: answers, absences, silence, the cache, many at once. The server is a goroutine on loopback.
 */
#include <arpa/inet.h>

#include "../../src/net/dns/dns_search.h"
#include "dns_put.h"
#include "net_pair.h"

struct deaf {
    int fd, fill[8];
};

/* ---- a small server: what it answers depends on the first label ---- */

struct dns_server {
    weft_conn *conn;
    char addr[WEFT_ADDR_TEXT];
    _Atomic int asked_a, asked_all;   /* questions for A; all */
    _Atomic(weft_dur) delay;          /* before each answer */
    weft_chan(int) held;              /* closed: names "held" are answered now, and what is late of "late4" and "late6" */
    bool stream;                      /* it speaks over a stream */
    _Atomic int ttl, absent_ttl, absent_min;  /* absent_ttl: of the SOA record that comes with "nxsoa"; its last number */
    weft_chan(int) done;
    weft_waitgroup late;
};

/* Turns a question into its answer in place: its size, 0 for silence. */
static size_t dns_reply(struct dns_server *s, unsigned char *m, size_t n)
{
    static const unsigned char a1[] = {127, 0, 0, 1}, a2[] = {127, 0, 0, 2}, six[16] = {[15] = 1};
    size_t end = 12;
    while (end < n && m[end])
        end += m[end] + 1u;
    end += 5;
    if (end > n)
        return 0;
    int type = m[end - 3];
    const char *label = (const char *)m + 13;
    atomic_fetch_add(&s->asked_all, 1);
    if (type == 1)
        atomic_fetch_add(&s->asked_a, 1);
    m[2] = 0x84, m[3] = 0x00;                    /* an answer, authoritative */
    m[6] = m[7] = m[8] = m[9] = m[10] = m[11] = 0;
    if (strncmp(label, "silent", 6) == 0)
        return 0;
    if (strncmp(label, "nxsoa", 5) == 0) {
        end += put_soa(m + end, s->absent_ttl, s->absent_min);
        m[9] = 1;
    }
    if (strncmp(label, "big", 3) == 0 && !s->stream)
        m[2] |= 2;                               /* cut: to be asked for over a stream */
    else if (strncmp(label, "nx", 2) == 0)
        m[3] = 3;
    else if (strncmp(label, "fail", 4) == 0)
        m[3] = 2;
    else if (strncmp(label, "empty", 5) == 0)
        ;
    else if (type == 1) {
        end += put_record(m + end, 1, s->ttl, a1, 4);
        end += put_record(m + end, 1, s->ttl, a2, 4);
        m[7] = 2;
    } else if (type == 28 && (strncmp(label, "six", 3) == 0 || strncmp(label, "late", 4) == 0)) {
        end += put_record(m + end, 28, s->ttl, six, 16);
        m[7] = 1;
    }
    return end;
}

struct late {
    struct dns_server *s;
    weft_addr to;
    size_t n;
    unsigned char m[512];
};

static void dns_answer_late(struct late *l)
{
    (void)weft_recv_ok(l->s->held, NULL);
    weft_conn_write_to(NULL, l->s->conn, l->m, l->n, &l->to);
    weft_waitgroup_done(&l->s->late);
    free(l);
}

/* Is this answer one that comes late? Then a goroutine of its own sends it. */
static bool dns_late(struct dns_server *s, const unsigned char *m, size_t n, size_t question, const weft_addr *to)
{
    bool late = (strncmp((const char *)m + 13, "late4", 5) == 0 && m[question - 3] == 1) ||
                (strncmp((const char *)m + 13, "late6", 5) == 0 && m[question - 3] == 28);
    struct late *l = late ? malloc(sizeof *l) : NULL;
    if (!l)
        return false;
    *l = (struct late){.s = s, .to = *to, .n = n};
    memcpy(l->m, m, n);
    weft_waitgroup_add(&s->late, 1);
    weft_go(dns_answer_late, l);
    return true;
}

static void dns_serve(struct dns_server *s)
{
    unsigned char m[1024];
    weft_addr from;
    ssize_t n;
    while ((n = weft_conn_read_from(NULL, s->conn, m, 512, &from)) > 0) {
        size_t out = dns_reply(s, m, (size_t)n);
        if (s->delay)
            weft_sleep(s->delay);
        if (strncmp((char *)m + 13, "held", 4) == 0)
            (void)weft_recv(s->held);
        if (out && !dns_late(s, m, out, (size_t)n, &from))
            weft_conn_write_to(NULL, s->conn, m, out, &from);
    }
    weft_send(s->done, (int)n);
}

/* Answers questions on streams, each in a piece of its own, until the listener is closed. */
static void dns_serve_stream(weft_listener *ln)
{
    struct dns_server s = {.ttl = 300, .stream = true};
    weft_conn *c;
    while (weft_accept(NULL, ln, &c) == 0) {
        unsigned char m[1024];
        while (weft_conn_read_full(NULL, c, m, 2) == 2) {
            size_t n = (size_t)m[0] << 8 | m[1];
            if (n > 512 || weft_conn_read_full(NULL, c, m + 2, n) != (ssize_t)n)
                break;
            n = dns_reply(&s, m + 2, n);
            m[0] = (unsigned char)(n >> 8);
            m[1] = (unsigned char)n;
            if (weft_conn_write(NULL, c, m, n + 2) < 0)
                break;
        }
        weft_conn_close(c);
    }
}

static struct dns_server *dns_start(const struct weft_resolver_opts *more)
{
    struct dns_server *s = calloc(1, sizeof *s);
    struct weft_resolver_opts o = more ? *more : (struct weft_resolver_opts){0};
    s->ttl = 300;
    s->done = weft_make(int, 1);
    s->held = weft_make(int);
    if (!o.try_timeout)
        o.try_timeout = 60 * WEFT_SEC; /* no question is asked twice because the machine is slow: they are counted */
    REQUIRE(weft_listen_packet(&s->conn, "udp", "127.0.0.1:0") == 0);
    REQUIRE(weft_conn_local(s->conn, s->addr, sizeof s->addr) > 0);
    setsockopt(weft_conn_fd(s->conn), SOL_SOCKET, SO_RCVBUF, &(int){4 << 20}, sizeof(int));
    o.servers = s->addr;
    weft_conn_ref(s->conn);
    weft_go(dns_serve, s);
    REQUIRE(weft_resolver_configure(&o) == 0);
    return s;
}

static void dns_stop(struct dns_server *s)
{
    weft_waitgroup_wait(&s->late);
    weft_conn_close(s->conn);
    EXPECT_EQ(weft_recv(s->done), WEFT_ECLOSED);
    weft_conn_unref(s->conn);
    weft_free(s->done);
    weft_free(s->held);
    free(s);
}

/* ---- answers ---- */

TEST(dns, a_name_gives_its_addresses)
{
    struct dns_server *s = dns_start(NULL);
    weft_addr a[8];
    char text[WEFT_ADDR_TEXT];
    EXPECT_EQ(weft_resolve(NULL, "good.test", a, 8), 2);
    weft_addr_text(&a[0], text, sizeof text);
    EXPECT(strcmp(text, "127.0.0.1:0") == 0 || strcmp(text, "127.0.0.2:0") == 0);
    EXPECT_EQ(weft_resolve(NULL, "good.test", a, 1), 1);
    EXPECT_EQ(weft_resolve(NULL, "six.test", a, 8), 3);
    dns_stop(s);
}

TEST(dns, an_answer_is_kept_in_any_case_of_letters)
{
    struct dns_server *s = dns_start(NULL);
    weft_addr a[8];
    EXPECT_EQ(weft_resolve(NULL, "good.test", a, 8), 2);
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(weft_resolve(NULL, i % 2 ? "good.test" : "GOOD.Test", a, 8), 2);
    EXPECT_EQ(s->asked_a, 1);
    dns_stop(s);
}

TEST(dns, an_answer_is_asked_for_again_after_its_ttl)
{
    struct dns_server *s = dns_start(NULL);
    weft_addr a[8];
    weft_time from;
    int asked;
    s->ttl = 0; /* cut to 1 s */
    do {        /* again where the machine takes a second for the two */
        asked = s->asked_a;
        from = weft_now();
        EXPECT_EQ(weft_resolve(NULL, "good.test", a, 8), 2);
        EXPECT_EQ(weft_resolve(NULL, "good.test", a, 8), 2);
    } while (weft_now() - from >= WEFT_SEC);
    EXPECT(s->asked_a <= asked + 1);
    asked = s->asked_a;
    weft_sleep(1050 * WEFT_MS);
    EXPECT_EQ(weft_resolve(NULL, "good.test", a, 8), 2);
    EXPECT_EQ(s->asked_a, asked + 1);
    dns_stop(s);
}

TEST(dns, absence_is_told_and_kept)
{
    struct dns_server *s = dns_start(NULL);
    weft_addr a[8];
    EXPECT_EQ(weft_resolve(NULL, "nx.test", a, 8), WEFT_ENOHOST);
    int asked = s->asked_all;
    EXPECT_EQ(weft_resolve(NULL, "nx.test", a, 8), WEFT_ENOHOST);
    EXPECT_EQ(s->asked_all, asked);
    EXPECT_EQ(weft_resolve(NULL, "empty.test", a, 8), WEFT_ENOHOST); /* the name is there, addresses are not */
    dns_stop(s);
}

TEST(dns, absence_is_kept_as_long_as_the_servers_record_says)
{
    struct dns_server *s = dns_start(NULL);
    weft_addr a[8];
    weft_time from;
    int asked;
    s->absent_ttl = 3000;
    s->absent_min = 1;
    EXPECT_EQ(weft_resolve(NULL, "nxsoa1.test", a, 8), WEFT_ENOHOST);
    weft_sleep(1050 * WEFT_MS), asked = s->asked_all;
    EXPECT(weft_resolve(NULL, "nxsoa1.test", a, 8) == WEFT_ENOHOST && s->asked_all > asked);
    s->absent_ttl = 300;
    s->absent_min = 3000;
    do {        /* again where the machine takes more than its ten seconds without a record */
        from = weft_now();
        EXPECT_EQ(weft_resolve(NULL, "nxsoa2.test", a, 8), WEFT_ENOHOST);
        asked = s->asked_all;
        EXPECT_EQ(weft_resolve(NULL, "nxsoa2.test", a, 8), WEFT_ENOHOST);
        EXPECT_EQ(s->asked_all, asked);
    } while (weft_now() - from >= 250 * WEFT_SEC);
    dns_stop(s);
}

TEST(dns, an_answer_that_was_cut_is_asked_for_over_a_stream)
{
    struct dns_server *s = dns_start(NULL);
    weft_listener *ln;
    weft_addr a[8];
    while (weft_listen(&ln, "tcp", s->addr) != 0) {   /* somebody may have the port for TCP */
        dns_stop(s);
        s = dns_start(NULL);
    }
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, dns_serve_stream, ln);
    EXPECT_EQ(weft_resolve(NULL, "big.test", a, 8), 2);
    weft_listener_close(ln);
    weft_waitgroup_wait(&wg);
    dns_stop(s);
}

TEST(dns, a_server_that_refuses_is_passed_over)
{
    struct dns_server *s = dns_start(NULL);
    weft_addr a[8];
    char servers[2 * WEFT_ADDR_TEXT], dead[WEFT_ADDR_TEXT];
    weft_conn *c;
    REQUIRE(weft_listen_packet(&c, "udp", "127.0.0.1:0") == 0);
    REQUIRE(weft_conn_local(c, dead, sizeof dead) > 0);
    weft_conn_close(c);
    snprintf(servers, sizeof servers, "%s,%s", dead, s->addr);
    REQUIRE(weft_resolver_configure(&(struct weft_resolver_opts){.servers = servers, .try_timeout = 3600 * WEFT_SEC}) == 0);
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%d.test", i);
        EXPECT_EQ(weft_resolve(NULL, name, a, 8), 2);
    }
    dns_stop(s);
}

TEST(dns, a_failing_server_is_an_error_that_is_not_kept)
{
    struct weft_resolver_opts o = {.tries = 1};
    struct dns_server *s = dns_start(&o);
    weft_addr a[8];
    EXPECT_EQ(weft_resolve(NULL, "fail.test", a, 8), WEFT_EDNS);
    int asked = s->asked_all;
    EXPECT_EQ(weft_resolve(NULL, "fail.test", a, 8), WEFT_EDNS);
    EXPECT(s->asked_all > asked);
    dns_stop(s);
}

TEST(dns, a_silent_server_ends_after_its_tries)
{
    struct weft_resolver_opts o = {.try_timeout = 100 * WEFT_MS, .tries = 2};
    struct dns_server *s = dns_start(&o);
    weft_addr a[8];
    weft_time t0 = weft_now();
    EXPECT_EQ(weft_resolve(NULL, "silent.test", a, 8), WEFT_EDNS);
    EXPECT(weft_now() - t0 >= 100 * WEFT_MS);
    dns_stop(s);
}

static void resolve_held(_Atomic int *ret_n)
{
    weft_addr a[8];
    atomic_store(ret_n, weft_resolve(NULL, "held.test", a, 8));
}

TEST(dns, a_context_ends_one_wait_and_not_the_others)
{
    struct dns_server *s = dns_start(NULL);
    weft_addr a[8];
    weft_conn *c;
    weft_waitgroup wg = {0};
    _Atomic int n = 0;
    weft_ctx *ctx = weft_with_timeout(NULL, 20 * WEFT_MS);
    weft_waitgroup_go(&wg, resolve_held, &n);
    EXPECT_EQ(weft_resolve(ctx, "held.test", a, 8), WEFT_EDEADLINE);
    EXPECT_EQ(weft_dial(ctx, "tcp", "held.test:80", &c), WEFT_EDEADLINE);
    EXPECT_EQ(atomic_load(&n), 0);
    weft_close(s->held);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&n), 2);
    weft_ctx_unref(ctx);
    dns_stop(s);
}

TEST(dns, bad_names_do_not_reach_the_server)
{
    struct dns_server *s = dns_start(NULL);
    weft_addr a[8];
    char longest[400];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    EXPECT_EQ(weft_resolve(NULL, "", a, 8), WEFT_EADDR);
    EXPECT_EQ(weft_resolve(NULL, longest, a, 8), WEFT_EADDR);
    EXPECT_EQ(weft_resolve(NULL, NULL, a, 8), WEFT_EINVAL);
    EXPECT(weft_resolve(NULL, "a..b", a, 8) < 0);
    EXPECT_EQ(weft_resolve(NULL, "127.0.0.9", a, 8), 1);
    EXPECT(weft_resolve(NULL, "localhost", a, 8) >= 1);
    EXPECT_EQ(weft_resolve(NULL, "some.localhost", a, 8), 2);
    EXPECT_EQ(weft_resolve(NULL, "some.onion", a, 8), WEFT_ENOHOST);
    EXPECT_EQ(s->asked_all, 0);
    dns_stop(s);
}

TEST(dns, the_environment_can_name_the_servers)
{
    struct dns_server *s = dns_start(NULL);
    weft_addr a[8];
    setenv("WEFT_DNS", s->addr, 1);
    EXPECT_EQ(weft_resolver_configure(&(struct weft_resolver_opts){.try_timeout = 60 * WEFT_SEC}), 0);
    EXPECT_EQ(weft_resolve(NULL, "good.test", a, 8), 2);
    EXPECT_EQ(s->asked_a, 1);
    struct weft_resolver_opts bad = {.servers = "not an address"};
    EXPECT_EQ(weft_resolver_configure(&bad), WEFT_EADDR);
    dns_stop(s);
}

/* ---- many ---- */

static void look_up(int i, weft_waitgroup *wg, _Atomic int *good)
{
    char name[32];
    weft_addr a[4];
    snprintf(name, sizeof name, "n%d.test", i);
    if (weft_resolve(NULL, name, a, 4) == 2)
        atomic_fetch_add(good, 1);
    weft_waitgroup_done(wg);
}

TEST(dns, a_thousand_names_at_once)
{
    struct dns_server *s = dns_start(NULL);
    weft_waitgroup wg = {0};
    _Atomic int good = 0;
    weft_waitgroup_add(&wg, 1000);
    for (int i = 0; i < 1000; i++)
        weft_go(look_up, i, &wg, &good);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(good, 1000);
    EXPECT(s->asked_a >= 1000);
    dns_stop(s);
}

TEST(dns, a_thousand_goroutines_share_one_question)
{
    struct dns_server *s = dns_start(NULL);
    weft_waitgroup wg = {0};
    _Atomic int good = 0;
    s->delay = 20 * WEFT_MS;
    weft_waitgroup_add(&wg, 1000);
    for (int i = 0; i < 1000; i++)
        weft_go(look_up, 7, &wg, &good);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(good, 1000);
    EXPECT_EQ(s->asked_a, 1);
    dns_stop(s);
}

TEST(dns, the_cache_keeps_to_its_limit)
{
    struct weft_resolver_opts o = {.cache_max = 10};
    struct dns_server *s = dns_start(&o);
    weft_addr a[4];
    char name[32];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "n%d.test", i);
        EXPECT_EQ(weft_resolve(NULL, name, a, 4), 2);
    }
    EXPECT_EQ(s->asked_a, 50);
    EXPECT_EQ(weft_resolve(NULL, "n49.test", a, 4), 2);
    EXPECT_EQ(s->asked_a, 50);
    EXPECT_EQ(weft_resolve(NULL, "n0.test", a, 4), 2);
    EXPECT_EQ(s->asked_a, 51);
    dns_stop(s);
}

TEST(dns, dialling_a_name_goes_to_the_address_that_listens)
{
    struct dns_server *s = dns_start(NULL);
    weft_listener *ln;
    weft_conn *c;
    char addr[WEFT_ADDR_TEXT], name[WEFT_ADDR_TEXT];
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.2:0") == 0); /* the other address of the name refuses */
    weft_listener_addr(ln, addr, sizeof addr);
    snprintf(name, sizeof name, "good.test%s", strchr(addr, ':'));
    REQUIRE(weft_dial(NULL, "tcp", name, &c) == 0);
    weft_conn_remote(c, name, sizeof name);
    EXPECT_STR(name, addr);
    weft_conn_close(c);
    weft_listener_close(ln);
    dns_stop(s);
}

/* ---- several addresses (RFC 8305) ---- */

/* A listener on ip:port (0: any) whose queue is full: dials to it hang. The port through *port. */
static void deaf_open(struct deaf *d, const char *ip, int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)*port)};
    socklen_t len = sizeof a;
    REQUIRE(inet_pton(AF_INET, ip, &a.sin_addr) == 1);
    d->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(bind(d->fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(d->fd, 0) == 0);
    REQUIRE(getsockname(d->fd, (struct sockaddr *)&a, &len) == 0);
    for (int i = 0; i < 8; i++) {
        d->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(d->fill[i], (struct sockaddr *)&a, sizeof a);
    }
    *port = ntohs(a.sin_port);
}

static void deaf_close(struct deaf *d)
{
    for (int i = 0; i < 8; i++)
        close(d->fill[i]);
    close(d->fd);
}

TEST(dns, a_deaf_address_does_not_hold_up_the_others)
{
    static const char *const ip[] = {"127.0.0.1", "127.0.0.2"};
    struct dns_server *s = dns_start(NULL);
    for (int k = 0; k < 2; k++) {   /* whichever comes first */
        struct deaf d;
        int port = 0;
        char addr[WEFT_ADDR_TEXT], name[WEFT_ADDR_TEXT];
        weft_listener *ln;
        weft_conn *c;
        deaf_open(&d, ip[k], &port);
        snprintf(addr, sizeof addr, "%s:%d", ip[!k], port);
        REQUIRE(weft_listen(&ln, "tcp", addr) == 0);
        snprintf(name, sizeof name, "good.test:%d", port);
        weft_time t0 = weft_now();
        REQUIRE(weft_dial_with(NULL, "tcp", name, &(struct weft_dial_opts){.timeout = 60 * WEFT_SEC}, &c) == 0);
        EXPECT(weft_now() - t0 < 20 * WEFT_SEC);   /* one after the other would give the first one 30 s */
        weft_conn_remote(c, name, sizeof name);
        EXPECT_STR(name, addr);
        weft_conn_close(c);
        weft_listener_close(ln);
        deaf_close(&d);
    }
    dns_stop(s);
}

static void cancel_soon(weft_ctx *ctx)
{
    weft_sleep(400 * WEFT_MS);
    weft_cancel(ctx);
}

TEST(dns, a_race_ends_with_its_context_and_leaves_nobody_behind)
{
    struct dns_server *s = dns_start(NULL);
    struct deaf d[2];
    int port = 0;
    char name[WEFT_ADDR_TEXT];
    weft_conn *c;
    deaf_open(&d[0], "127.0.0.1", &port);
    deaf_open(&d[1], "127.0.0.2", &port);
    snprintf(name, sizeof name, "good.test:%d", port);
    weft_ctx *ctx = weft_with_cancel(NULL);
    weft_go(cancel_soon, ctx);
    EXPECT_EQ(weft_dial(ctx, "tcp", name, &c), WEFT_ECANCELED);
    weft_ctx_unref(ctx);
    EXPECT_EQ(weft_dial_with(NULL, "tcp", name, &(struct weft_dial_opts){.timeout = 300 * WEFT_MS}, &c), WEFT_EDEADLINE);
    deaf_close(&d[0]);
    deaf_close(&d[1]);
    EXPECT_EQ(weft_dial(NULL, "tcp", name, &c), -ECONNREFUSED);
    dns_stop(s);
}

/* The answer for IPv6 does not come: what there is of IPv4 is dialled; who wants all addresses waits. */
TEST(dns, a_late_family_does_not_hold_up_a_dial)
{
    struct dns_server *s = dns_start(NULL);
    weft_listener *ln;
    weft_conn *c;
    weft_addr a[8];
    char addr[WEFT_ADDR_TEXT], name[WEFT_ADDR_TEXT];
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_listener_addr(ln, addr, sizeof addr);
    snprintf(name, sizeof name, "late6.test%s", strchr(addr, ':'));
    for (int i = 0; i < 3; i++) {
        REQUIRE(weft_dial(NULL, "tcp", name, &c) == 0);
        weft_conn_close(c);
    }
    EXPECT_EQ(s->asked_all, 2);   /* one question for each family, also by those that came later */
    weft_ctx *ctx = weft_with_timeout(NULL, 20 * WEFT_MS);
    EXPECT_EQ(weft_resolve(ctx, "late6.test", a, 8), WEFT_EDEADLINE);
    weft_ctx_unref(ctx);
    weft_close(s->held);
    EXPECT_EQ(weft_resolve(NULL, "late6.test", a, 8), 3);
    weft_listener_close(ln);
    dns_stop(s);
}

static void dial_name(const char *name, int *ret)
{
    weft_conn *c;
    *ret = weft_dial(NULL, "tcp", name, &c);
    if (*ret == 0)
        weft_conn_close(c);
}

TEST(dns, a_late_family_is_dialled_when_the_other_leads_nowhere)
{
    struct dns_server *s = dns_start(NULL);
    weft_listener *ln;
    weft_addr a[8];
    weft_waitgroup wg = {0};
    char addr[WEFT_ADDR_TEXT], name[WEFT_ADDR_TEXT];
    bool partial = false;
    int err = -1;
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);   /* and not on ::1, which is what the name says first */
    weft_listener_addr(ln, addr, sizeof addr);
    snprintf(name, sizeof name, "late4.test%s", strchr(addr, ':'));
    weft_waitgroup_go(&wg, dial_name, (const char *)name, &err);
    EXPECT_EQ(weft__resolve(NULL, "late4.test", a, 8, &partial), 1);
    EXPECT(partial);
    weft_close(s->held);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(err, 0);
    weft_listener_close(ln);
    dns_stop(s);
}

static bool not_the_second(const struct sockaddr *sa, void *arg)
{
    ++*(int *)arg;
    return ((const struct sockaddr_in *)sa)->sin_addr.s_addr != htonl(0x7f000002);
}

TEST(dns, a_refused_address_takes_no_part_in_the_race)
{
    struct dns_server *s = dns_start(NULL);
    weft_listener *ln;
    weft_conn *c;
    char addr[WEFT_ADDR_TEXT], name[WEFT_ADDR_TEXT];
    int asked = 0;
    weft_dur took = -1;
    struct weft_dial_opts o = {.allow = not_the_second, .allow_arg = &asked, .ret_resolve = &took};
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.2:0") == 0);
    weft_listener_addr(ln, addr, sizeof addr);
    snprintf(name, sizeof name, "good.test%s", strchr(addr, ':'));
    EXPECT_EQ(weft_dial_with(NULL, "tcp", name, &o, &c), -ECONNREFUSED);
    EXPECT_EQ(asked, 2);
    EXPECT(took > 0);
    weft_listener_close(ln);
    dns_stop(s);
}

static void put_family(weft_addr *a, int family, int n)
{
    *a = (weft_addr){.len = sizeof a->u.in6};
    a->u.sa.sa_family = (sa_family_t)family;
    weft__addr_set_port(a, (uint16_t)n);
}

TEST(dns, families_are_tried_by_turns)
{
    static const char *const cases[][2] = {{"6664", "6466"}, {"446644", "464644"}, {"4", "4"}, {"444", "444"}, {"64646", "64646"}, {"66444", "64644"}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        weft_addr a[8];
        char got[9] = "";
        int n = (int)strlen(cases[c][0]), last[2] = {0, 0};
        for (int i = 0; i < n; i++)
            put_family(&a[i], cases[c][0][i] == '6' ? AF_INET6 : AF_INET, i + 1);
        weft__addr_interleave(a, n);
        for (int i = 0; i < n; i++) {
            bool six = a[i].u.sa.sa_family == AF_INET6;
            int port = ntohs(six ? a[i].u.in6.sin6_port : a[i].u.in4.sin_port);
            got[i] = six ? '6' : '4';
            EXPECT(port > last[six]);   /* each family keeps its order */
            last[six] = port;
        }
        EXPECT_STR(got, cases[c][1]);
    }
}

/* ---- the hosts file ---- */

static void file_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    REQUIRE(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static const char *hosts_text(struct weft__hosts *h, const char *path, const char *name)
{
    static char out[256];
    char one[WEFT_ADDR_TEXT];
    weft_addr a[4];
    int n = weft__hosts_find(h, path, name, a, 4);
    *out = '\0';
    for (int i = 0; i < n; i++) {
        weft_addr_text(&a[i], one, sizeof one);
        snprintf(out + strlen(out), sizeof out - strlen(out), "%s ", one);
    }
    return out;
}

TEST(dns, a_hosts_file_is_read_and_read_again_when_it_has_changed)
{
    struct weft__hosts h = {0};
    char path[64];
    snprintf(path, sizeof path, "/tmp/weft-test-hosts-%d", (int)getpid());
    file_write(path, "# comment\n127.0.0.1 localhost\n10.0.0.1\tOne.Test one # alias\r\n::1 localhost six\nnonsense name\n10.0.0.2 one.test\n"
                     "10.0.0.3\n10.0.0.4 last");
    EXPECT_STR(hosts_text(&h, path, "localhost"), "127.0.0.1:0 [::1]:0 ");
    EXPECT_STR(hosts_text(&h, path, "one.test"), "10.0.0.1:0 10.0.0.2:0 ");
    EXPECT_STR(hosts_text(&h, path, "one"), "10.0.0.1:0 ");
    EXPECT_STR(hosts_text(&h, path, "last"), "10.0.0.4:0 ");
    EXPECT_STR(hosts_text(&h, path, "name"), "");
    EXPECT_STR(hosts_text(&h, path, "alias"), "");
    file_write(path, "10.0.0.9 one.test another.name.that.makes.it.longer\n");
    h.looked = 0;   /* as if 5 s had passed */
    EXPECT_STR(hosts_text(&h, path, "one.test"), "10.0.0.9:0 ");
    EXPECT_STR(hosts_text(&h, path, "localhost"), "");
    unlink(path);
    h.looked = 0;
    EXPECT_STR(hosts_text(&h, path, "one.test"), "");
    weft__hosts_done(&h);
}

/* ---- names that are tried ---- */

TEST(dns, a_short_name_is_tried_in_the_search_domains)
{
    static char *const domains[] = {"one.example", "two.example"};
    static const struct {
        const char *host, *want;
        int dots;
    } cases[] = {{"www", "www.one.example www.two.example www ", 1}, {"www.x", "www.x www.x.one.example www.x.two.example ", 1},
                 {"www.x", "www.x.one.example www.x.two.example www.x ", 2}, {"www.", "www. ", 1}, {"w.x.", "w.x. ", 5},
                 {"www", "www www.one.example www.two.example ", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weft__dns_search s = {.domains = (char **)(uintptr_t)domains, .count = 2, .dots = cases[i].dots};
        char got[1024] = "", name[256];
        for (int k = 0; weft__dns_search_name(&s, cases[i].host, k, name, sizeof name) == 1; k++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s ", name);
        EXPECT_STR(got, cases[i].want);
    }
    EXPECT(weft__dns_under("a.localhost.", "localhost") && !weft__dns_under("alocalhost", "localhost"));
}
