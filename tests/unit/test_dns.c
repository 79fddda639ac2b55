/*
 * test_dns.c - names: answers, absences, silence, the cache, many at once.
 */
#include "dns_server.h"

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
    if (!s->roomy) { /* as by Linux's default: what no longer fits is lost, and asked again */
        struct weft_resolver_opts o = {.servers = s->addr, .try_timeout = WEFT_SEC, .tries = 6};
        REQUIRE(weft_resolver_configure(&o) == 0);
    }
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
