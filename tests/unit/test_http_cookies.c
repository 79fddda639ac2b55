/* Cookies: whose they are, how long, and in what order they go. Source: RFC 6265 and its revision (6265bis). */
#include "../../src/http/jar_int.h"
#include "http_peer.h"

static weft_http_jar *jar_new(void)
{
    weft_http_jar *jar;
    REQUIRE(weft_http_jar_new(&jar) == 0);
    return jar;
}

static const char *jar_of(weft_http_jar *jar, const char *url)
{
    static char buf[4096];
    EXPECT(weft_http_jar_get(jar, url, buf, sizeof buf) >= 0);
    return buf;
}

/* from sets a cookie in a fresh jar: what `to` then gets. */
static const char *after(const char *from, const char *set, const char *to)
{
    static char buf[8192];
    weft_http_jar *jar = jar_new();
    EXPECT_EQ(weft_http_jar_set(jar, from, set), 0);
    EXPECT(weft_http_jar_get(jar, to, buf, sizeof buf) >= 0);
    weft_http_jar_free(jar);
    return buf;
}

TEST(http_cookies, a_cookie_goes_back_to_its_host_and_path)
{
    static const char *const cases[][4] = {
        /* from, Set-Cookie, to, Cookie */
        {"http://a.test/", "x=1", "http://a.test/", "x=1"},
        {"http://a.test/", "x=1", "https://a.test:8443/deep/er?q", "x=1"},
        {"http://a.test/", "x=1", "http://b.a.test/", ""},
        {"http://b.a.test/", "x=1", "http://a.test/", ""},
        {"http://b.a.test/", "x=1; Domain=a.test", "http://c.a.test/", "x=1"},
        {"http://b.a.test/", "x=1; domain=.A.Test", "http://a.test/", "x=1"},
        {"http://b.a.test/", "x=1; Domain=c.test", "http://c.test/", ""},
        {"http://b.a.test/", "x=1; Domain=b.a.test", "http://a.test/", ""},
        {"http://ba.test/", "x=1; Domain=a.test", "http://a.test/", ""},
        {"http://a.test/p/q", "x=1", "http://a.test/p/other", "x=1"},
        {"http://a.test/p/q", "x=1", "http://a.test/p", "x=1"},
        {"http://a.test/p/q", "x=1", "http://a.test/pp", ""},
        {"http://a.test/p/", "x=1; Path=/", "http://a.test/", "x=1"},
        {"http://a.test/", "x=1; Path=/p", "http://a.test/p?q", "x=1"},
        {"http://a.test/", "x=1; Path=/p/", "http://a.test/p", ""},
        {"http://a.test/", "x=1; Path=/p?q", "http://a.test/p?q", ""},   /* a request's path ends at its query */
        {"http://a.test/", "x=1; Path=/p/", "http://a.test/p?/", ""},
        {"http://a.test/", "x=1; Path=relative", "http://a.test/", "x=1"},
        {"http://127.0.0.1/", "x=1; Domain=0.0.1", "http://127.0.0.1/", ""},
        {"http://127.0.0.1/", "x=1; Domain=127.0.0.1", "http://127.0.0.1/", "x=1"},
        {"http://[::1]/", "x=1", "http://[::1]:81/", "x=1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        EXPECT_STR(after(cases[i][0], cases[i][1], cases[i][2]), cases[i][3]);
}

TEST(http_cookies, values_are_taken_as_they_stand)
{
    static const char *const cases[][2] = {
        {" x = y z ; Path=/", "x=y z"}, {"x=\"q;q\"", "x=\"q"}, {"x=", "x="}, {"=v", "v"}, {"lonely", "lonely"}, {"", ""}, {";", ""},
        {"x=a=b==", "x=a=b=="}, {"x=1; Max-Age", "x=1"}, {"x=1; Max-Age=no", "x=1"}, {"x=1; Max-Age=0", ""}, {"x=1; Max-Age=-1", ""},
        {"x=1; max-age=99999999999999999999", "x=1"}, {"x=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", ""},
        {"x=1; Expires=Fri, 31-Dec-2099 23:59:59 GMT", "x=1"}, {"x=1; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=9", "x=1"},
        {"x=1; Max-Age=9; expires=Thu, 01 Jan 1970 00:00:00 GMT", "x=1"}, {"x=1; Expires=never", "x=1"}, {"x=a\x01" "b", ""}, {"x=1; HttpOnly", "x=1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        EXPECT_STR(after("http://a.test/", cases[i][0], "http://a.test/"), cases[i][1]);
    char *huge = malloc(5000);
    memset(huge, 'v', 4999);
    huge[0] = 'n', huge[1] = '=', huge[4999] = '\0';
    EXPECT_STR(after("http://a.test/", huge, "http://a.test/"), "");
    huge[4097] = '\0';
    EXPECT_EQ(strlen(after("http://a.test/", huge, "http://a.test/")), 4097);
    free(huge);
}

TEST(http_cookies, what_is_secure_stays_on_https)
{
    EXPECT_STR(after("https://a.test/", "x=1; Secure", "https://a.test/"), "x=1");
    EXPECT_STR(after("https://a.test/", "x=1; Secure", "http://a.test/"), "");
    EXPECT_STR(after("http://a.test/", "x=1; Secure", "https://a.test/"), "");
    EXPECT_STR(after("https://a.test/", "__Secure-x=1", "https://a.test/"), "");
    EXPECT_STR(after("https://a.test/", "__Secure-x=1; Secure", "https://a.test/"), "__Secure-x=1");
    EXPECT_STR(after("https://a.test/", "__Host-x=1; Secure; Path=/", "https://a.test/"), "__Host-x=1");
    EXPECT_STR(after("https://a.test/", "__host-x=1; Secure; Path=/; Domain=a.test", "https://a.test/"), "");
    EXPECT_STR(after("https://a.test/p/", "__Host-x=1; Secure", "https://a.test/p/"), "");
}

TEST(http_cookies, a_cookie_without_a_name_cannot_pass_for_one_with_a_prefix)
{
    EXPECT_STR(after("http://a.test/", "=__Host-x=1", "https://a.test/"), "");
    EXPECT_STR(after("http://a.test/", "__secure-x", "https://a.test/"), "");
    EXPECT_STR(after("http://a.test/", "=_Host-x=1", "https://a.test/"), "_Host-x=1");
}

/* RFC 6265bis 5.7, "leave secure cookies alone". */
TEST(http_cookies, without_https_a_secure_cookie_is_neither_replaced_nor_shadowed)
{
    weft_http_jar *jar = jar_new();
    EXPECT_EQ(weft_http_jar_set(jar, "https://a.h.test/", "sid=good; Secure; Path=/p; Domain=h.test"), 0);
    static const char *const tries[] = {"sid=bad; Path=/p; Domain=h.test", "sid=bad; Path=/p", "sid=bad; Path=/p/deeper",
                                        "sid=; Max-Age=0; Path=/p; Domain=h.test"};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        EXPECT_EQ(weft_http_jar_set(jar, "http://a.h.test/", tries[i]), 0);
    EXPECT_EQ(weft_http_jar_set(jar, "http://h.test/", "sid=bad; Path=/p/; Domain=h.test"), 0);
    EXPECT_STR(jar_of(jar, "https://a.h.test/p/deeper/x"), "sid=good");
    EXPECT_EQ(weft_http_jar_set(jar, "http://a.h.test/", "sid=other; Path=/"), 0);       /* another path, */
    EXPECT_EQ(weft_http_jar_set(jar, "http://b.test/", "sid=theirs; Path=/p"), 0);       /* another host */
    EXPECT_STR(jar_of(jar, "https://a.h.test/p"), "sid=good; sid=other");
    EXPECT_STR(jar_of(jar, "http://b.test/p"), "sid=theirs");
    EXPECT_EQ(weft_http_jar_set(jar, "https://a.h.test/", "sid=new; Path=/p; Domain=h.test"), 0);
    EXPECT_STR(jar_of(jar, "https://a.h.test/p"), "sid=new; sid=other");
    weft_http_jar_free(jar);
}

/* In a file it would end a word, and write those behind it. */
TEST(http_cookies, a_tab_inside_a_cookie_is_refused)
{
    static const char *const bad[] = {"a\tb=1", "x=1\t2", "x=1; Path=/\tTRUE\t0\ty\tz", "x=1; Domain=a.test\t"};
    for (size_t i = 0; i < 3; i++)
        EXPECT_STR(after("http://a.test/", bad[i], "http://a.test/"), "");
    EXPECT_STR(after("http://a.test/", bad[3], "http://a.test/"), "x=1");   /* around a value they are blanks */
    EXPECT_STR(after("http://a.test/", "\tx\t=\t1\t;\tPath=/\t", "http://a.test/"), "x=1");
}

TEST(http_cookies, nobody_sets_a_cookie_for_a_public_suffix)
{
    EXPECT_STR(after("http://a.com./", "x=1; Domain=com.", "http://b.com./"), "");
    EXPECT_STR(after("http://a.com/", "x=1; Domain=com", "http://b.com/"), "");
#ifdef WEFT_HAVE_PSL
    EXPECT_STR(after("http://a.co.uk/", "x=1; Domain=co.uk", "http://b.co.uk/"), "");
    EXPECT_STR(after("http://a.github.io/", "x=1; Domain=github.io", "http://b.github.io/"), "");
    EXPECT_STR(after("http://github.io/", "x=1; Domain=github.io", "http://github.io/"), "x=1");   /* then its own */
    EXPECT_STR(after("http://github.io/", "x=1; Domain=github.io", "http://a.github.io/"), "");
#endif
    EXPECT_STR(after("http://x.a.co.uk/", "x=1; Domain=a.co.uk", "http://y.a.co.uk/"), "x=1");
}

TEST(http_cookies, longer_paths_go_first_and_then_older_ones)
{
    weft_http_jar *jar = jar_new();
    static const char *const set[] = {"a=1; Path=/", "b=2; Path=/p", "c=3; Path=/", "d=4; Path=/p/q", "a=5; Path=/", "b=6; Path=/p; Domain=h.test"};
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        EXPECT_EQ(weft_http_jar_set(jar, "http://h.test/", set[i]), 0);
    EXPECT_STR(jar_of(jar, "http://h.test/p/q/r"), "d=4; b=6; a=5; c=3");   /* replaced ones keep their age */
    EXPECT_EQ(weft_http_jar_set(jar, "http://h.test/", "a=; Path=/; Max-Age=0"), 0);
    EXPECT_STR(jar_of(jar, "http://h.test/"), "c=3");
    char room[4];
    EXPECT_EQ(weft_http_jar_get(jar, "http://h.test/", room, 4), 3);
    EXPECT_EQ(weft_http_jar_get(jar, "http://h.test/", room, 3), WEFT_ETOOBIG);
    EXPECT_EQ(weft_http_jar_get(jar, "nonsense", room, 3), WEFT_EADDR);
    weft_http_jar_free(jar);
}

TEST(http_cookies, those_of_the_domains_above_go_in_one_order_with_the_hosts_own)
{
    weft_http_jar *jar = jar_new();
    static const char *const set[] = {"a=1; Path=/", "b=1; Path=/; Domain=h.test", "c=1; Path=/p/q; Domain=h.test", "d=1; Path=/p",
                                      "e=1; Path=/p/q; Domain=x.h.test", "f=1; Path=/p/q", "g=1; Path=/; Domain=x.h.test", "h=1; Path=/p; Domain=h.test"};
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        EXPECT_EQ(weft_http_jar_set(jar, "http://y.x.h.test/", set[i]), 0);
    EXPECT_STR(jar_of(jar, "http://y.x.h.test/p/q"), "c=1; e=1; f=1; d=1; h=1; a=1; b=1; g=1");
    EXPECT_STR(jar_of(jar, "http://x.h.test/p/q"), "c=1; e=1; h=1; b=1; g=1");
    EXPECT_STR(jar_of(jar, "http://z.h.test/"), "b=1");
    weft_http_jar_free(jar);
}

TEST(http_cookies, a_jar_has_an_end)
{
    weft_http_jar *jar = jar_new();
    char text[64], url[64];
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "n%d=v", i);
        EXPECT_EQ(weft_http_jar_set(jar, "http://one.test/", text), 0);
    }
    EXPECT(strncmp(jar_of(jar, "http://one.test/"), "n20=v; n21=v", 12) == 0);   /* 180 a domain */
    for (int i = 0; i < 3100; i++) {
        snprintf(url, sizeof url, "http://h%d.test/", i);
        EXPECT_EQ(weft_http_jar_set(jar, url, "x=y"), 0);
    }
    EXPECT_STR(jar_of(jar, "http://h0.test/"), "");
    EXPECT_STR(jar_of(jar, "http://h3099.test/"), "x=y");
    weft_http_jar_free(jar);
}

TEST(http_cookies, dates_of_all_forms_are_read)
{
    static const struct {
        const char *text;
        int64_t at;
    } cases[] = {{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777}, {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
                 {"Sun Nov  6 08:49:37 1994", 784111777}, {"06 nov 1994 8:49:37", 784111777}, {"1 Jan 1970 00:00:00", 0},
                 {"29-Feb-2000 00:00:01", 951782401}, {"1 Jan 69 00:00:00", 3124224000}, {"1 Jan 1601 0:0:0", -11644473600},
                 {"06 Nov 1994", -1}, {"06 Nov 1994 24:00:00", -1}, {"32 Nov 1994 08:49:37", -1}, {"06 Now 1994 08:49:37", -1},
                 {"06 Nov 1600 08:49:37", -1}, {"", -1}, {"08:49:37 08:49:37", -1}, {"Nov 06 1994 08:49:60", -1},
                 {"30 Feb 2000 00:00:00", -1}, {"29 Feb 2100 00:00:00", -1}, {"29 Feb 2023 00:00:00", -1}, {"31 Apr 2030 00:00:00", -1},
                 {"31 Dec 2030 00:00:00", 1924905600}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t at = -1;
        EXPECT_EQ(weft__cookie_date(cases[i].text, strlen(cases[i].text), &at), cases[i].at != -1);
        EXPECT_EQ(at, cases[i].at);
    }
}

TEST(http_cookies, a_jar_is_saved_and_loaded_as_curl_has_it)
{
    weft_http_jar *jar = jar_new(), *again = jar_new();
    char *text;
    size_t len;
    EXPECT_EQ(weft_http_jar_set(jar, "https://b.a.test/", "x=1; Domain=a.test; Path=/p; Secure; Expires=Fri, 31-Dec-2099 23:59:59 GMT"), 0);
    EXPECT_EQ(weft_http_jar_set(jar, "http://b.test/", "y=2; HttpOnly"), 0);
    REQUIRE(weft_http_jar_save(jar, &text, &len) == 0);
    EXPECT_EQ(strlen(text), len);
    EXPECT(strncmp(text, "# Netscape HTTP Cookie File\n", 28) == 0);
    EXPECT(strstr(text, "\n.a.test\tTRUE\t/p\tTRUE\t4102444799\tx\t1\n") != NULL);
    EXPECT(strstr(text, "\n#HttpOnly_b.test\tFALSE\t/\tFALSE\t0\ty\t2\n") != NULL);
    EXPECT_EQ(weft_http_jar_load(again, text), 0);
    EXPECT_EQ(weft_http_jar_load(again, "junk\n# more\n\na\tb\tc\nz.test\tTRUE\t/\tFALSE\tnever\tn\tv\nz.test\tTRUE\trel\tFALSE\t0\tn\tv\n"
                                        "old.test\tTRUE\t/\tFALSE\t5\tn\tv\r\nnew.test\tFALSE\t/\tFALSE\t0\tn\tv w\r\n"), 0);
    EXPECT_STR(jar_of(again, "https://c.a.test/p"), "x=1");
    EXPECT_STR(jar_of(again, "http://c.a.test/p"), "");
    EXPECT_STR(jar_of(again, "http://b.test/"), "y=2");
    EXPECT_STR(jar_of(again, "http://z.test/"), "");
    EXPECT_STR(jar_of(again, "http://old.test/"), "");
    EXPECT_STR(jar_of(again, "http://new.test/"), "n=v w");
    free(text);
    weft_http_jar_free(jar);
    weft_http_jar_free(again);
}

/* Saved and loaded again, ".a.test" would be the cookie of a.test alone, and "#HttpOnly_b.test" that of b.test. */
TEST(http_cookies, lines_whose_domain_is_no_host_are_passed_over)
{
    static const char *const lines[] = {"..a.test\tFALSE\t/\tFALSE\t0\tn\tv\n", ".#HttpOnly_b.test\tFALSE\t/\tFALSE\t0\tn\tv\n",
                                        "#HttpOnly_.\tTRUE\t/\tFALSE\t0\tn\tv\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        weft_http_jar *jar = jar_new();
        char *text;
        size_t len;
        EXPECT_EQ(weft_http_jar_load(jar, lines[i]), 0);
        REQUIRE(weft_http_jar_save(jar, &text, &len) == 0);
        EXPECT_STR(text, "# Netscape HTTP Cookie File\n");
        free(text);
        weft_http_jar_free(jar);
    }
}

TEST(http_cookies, a_client_keeps_and_sends_them_through_redirects)
{
    struct peer p;
    PEER_START(&p, {"HTTP/1.1 302 On\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\nLocation: /two\r\nContent-Length: 0\r\n\r\n"},
               {"HTTP/1.1 200 OK\r\nSet-Cookie: a=; Max-Age=0; Path=/\r\nContent-Length: 0\r\n\r\n"}, {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
               {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});
    weft_http_jar *jar = jar_new();
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.jar = jar});
    char body[64];
    EXPECT_EQ(fetch(c, peer_url(&p, "/one"), body, sizeof body), 200);
    EXPECT(strstr(peer_last(&p), "\r\nCookie: a=1; b=2\r\n") != NULL);
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT(strstr(peer_last(&p), "\r\nCookie: b=2\r\n") != NULL);
    weft_http_response *r;
    struct weft_http_field own = {"cookie", "mine=3"};
    REQUIRE(weft_http_do(NULL, c, &(struct weft_http_call){.url = peer_url(&p, "/"), .fields = &own, .fields_len = 1}, &r) == 0);
    weft_http_response_free(r);
    EXPECT(strstr(peer_last(&p), "\r\ncookie: mine=3\r\n") != NULL && strstr(peer_last(&p), "b=2") == NULL);
    weft_http_client_free(c);
    weft_http_jar_free(jar);
    peer_stop(&p);
}

static void set_and_get(weft_http_jar *jar, int k)
{
    char text[32], url[64], got[8192];
    for (int i = 0; i < 60; i++) {  /* each name is set by each goroutine; a get walks all of them */
        snprintf(text, sizeof text, "n%d=%d; Domain=shared.test", (i * 7 + k) % 40, i);
        snprintf(url, sizeof url, "http://h%d.shared.test/", k);
        EXPECT_EQ(weft_http_jar_set(jar, url, text), 0);
        EXPECT(weft_http_jar_get(jar, url, got, sizeof got) > 0);
    }
}

TEST(http_cookies, many_goroutines_share_a_jar)
{
    weft_http_jar *jar = jar_new();
    weft_waitgroup wg = {0};
    for (int k = 0; k < 8; k++)
        weft_waitgroup_go(&wg, set_and_get, jar, k);
    weft_waitgroup_wait(&wg);
    weft_http_jar_free(jar);
}

static void come_and_go(weft_http_jar *jar, weft_chan(char) stop)
{
    while (!weft_try_recv(stop, NULL)) {
        EXPECT_EQ(weft_http_jar_set(jar, "http://a.test/", "name=valuevaluevaluevaluevaluevalue"), 0);
        EXPECT_EQ(weft_http_jar_set(jar, "http://a.test/", "name=; Max-Age=0"), 0);
    }
}

/* A cookie may go between the look at how long the text is and the writing of it. */
TEST(http_cookies, a_cookie_that_goes_meanwhile_is_not_sent)
{
    weft_http_jar *jar = jar_new();
    weft_chan(char) stop = weft_make(char, 1);
    weft_waitgroup wg = {0};
    char got[256];
    weft_waitgroup_go(&wg, come_and_go, jar, stop);
    for (int i = 0; i < 100000; i++) {
        int n = weft_http_jar_get(jar, "http://a.test/", got, sizeof got);
        if (n != 0 && strcmp(got, "name=valuevaluevaluevaluevaluevalue") != 0) {
            weft_test_fail(__FILE__, __LINE__, "%d bytes: %.40s", n, got);
            break;
        }
        if (i % 64 == 0)
            weft_yield();
    }
    weft_send(stop, 0);
    weft_waitgroup_wait(&wg);
    weft_free(stop);
    weft_http_jar_free(jar);
}
