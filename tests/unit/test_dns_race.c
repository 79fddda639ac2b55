/*
 * test_dns_race.c - dialling a name with several addresses (RFC 8305).
 */
#include "dns_server.h"

struct deaf {
    int fd, fill[8];
};

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

TEST(dns_race, a_deaf_address_does_not_hold_up_the_others)
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

TEST(dns_race, a_race_ends_with_its_context_and_leaves_nobody_behind)
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
TEST(dns_race, a_late_family_does_not_hold_up_a_dial)
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

TEST(dns_race, a_late_family_is_dialled_when_the_other_leads_nowhere)
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

TEST(dns_race, a_refused_address_takes_no_part_in_the_race)
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

TEST(dns_race, families_are_tried_by_turns)
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
