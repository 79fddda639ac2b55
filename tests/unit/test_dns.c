/*
 * test_dns.c - names: answers, absences, silence, the cache, many at once. The server is a goroutine on loopback.
 */
#include <arpa/inet.h>

#include "../../src/net/dns/dns.h"
#include "net_pair.h"

struct deaf {
    int fd, fill[8];
};

/* ---- a small server: what it answers depends on the first label ---- */

struct dns_server {
    weft_conn *conn;
    char addr[WEFT_ADDR_TEXT];
    _Atomic int asked_a, asked_all;   /* questions for A; all */
    weft_dur delay;                   /* before each answer */
    weft_chan(int) held;              /* closed: names "held" are answered now */
    int ttl;
    weft_chan(int) done;
};

static size_t put_record(unsigned char *at, int type, int ttl, const void *data, size_t n)
{
    unsigned char head[12] = {0xc0, 12, 0, (unsigned char)type, 0, 1, 0, 0, (unsigned char)(ttl >> 8), (unsigned char)ttl, 0,
                              (unsigned char)n};
    memcpy(at, head, 12);
    memcpy(at + 12, data, n);
    return 12 + n;
}

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
    if (strncmp(label, "nx", 2) == 0)
        m[3] = 3;
    else if (strncmp(label, "fail", 4) == 0)
        m[3] = 2;
    else if (strncmp(label, "empty", 5) == 0)
        ;
    else if (type == 1) {
        end += put_record(m + end, 1, s->ttl, a1, 4);
        end += put_record(m + end, 1, s->ttl, a2, 4);
        m[7] = 2;
    } else if (type == 28 && strncmp(label, "six", 3) == 0) {
        end += put_record(m + end, 28, s->ttl, six, 16);
        m[7] = 1;
    }
    return end;
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
        if (out)
            weft_conn_write_to(NULL, s->conn, m, out, &from);
    }
    weft_send(s->done, (int)n);
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
