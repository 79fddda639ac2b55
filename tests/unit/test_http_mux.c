/* The mux: patterns, precedence, conflicts, redirects, middleware. Source: Go 1.22 net/http, by behaviour. */
#include "http_site.h"

/* Says which pattern it was registered for, and the values of a, b and rest. */
static void tell(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char text[600];
    snprintf(text, sizeof text, "%s [%s] a=%s b=%s rest=%s", (const char *)arg, weft_http_request_pattern(rq),
             weft_http_request_value(rq, "a"), weft_http_request_value(rq, "b"), weft_http_request_value(rq, "rest"));
    (void)weft_http_reply_text(w, 200, "text/plain", text);
}

static weft_http_mux *mux_of(const char *const *patterns, int n)
{
    weft_http_mux *m;
    REQUIRE(weft_http_mux_new(&m) == 0);
    for (int i = 0; i < n; i++)
        if (weft_http_mux_handle(m, patterns[i], tell, (void *)(uintptr_t)patterns[i]) != 0)
            EXPECT_STR(weft_http_mux_error(m), "");
    return m;
}

#define MUX(...) mux_of((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* The answer to "METHOD path" at host, with a connection of its own. */
static const char *ask(struct site *s, const char *method, const char *host, const char *path)
{
    char text[2000];
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method, path, host);
    return ask_raw(s, text, 0);
}

static void mux_start(struct site *s, weft_http_mux *m)
{
    struct weft_http_server_opts o = {.handler = weft_http_mux_handler, .arg = m};
    site_start(s, &o);
}

static void mux_stop(struct site *s, weft_http_mux *m)
{
    site_stop(s);
    weft_http_mux_free(m);
}

#define IS(answer, want) EXPECT(strstr((answer), want) != NULL)

TEST(http_mux, the_most_specific_pattern_has_the_request)
{
    struct site s;
    weft_http_mux *m = MUX("/", "/items/", "/items/{a}", "/items/new", "/items/{a}/parts/{b}", "/items/{a}/parts/all", "/x/{$}", "/files/{rest...}");
    mux_start(&s, m);
    IS(ask(&s, "GET", "h", "/"), "\r\n\r\n/ [/]");
    IS(ask(&s, "GET", "h", "/none/such"), "\r\n\r\n/ [/]");
    IS(ask(&s, "GET", "h", "/items/"), "\r\n\r\n/items/ [");
    IS(ask(&s, "GET", "h", "/items/7"), "/items/{a} [/items/{a}] a=7 b= rest=");
    IS(ask(&s, "GET", "h", "/items/new"), "\r\n\r\n/items/new [");
    IS(ask(&s, "GET", "h", "/items/newer"), "a=newer");
    IS(ask(&s, "GET", "h", "/items/7/parts/9"), "a=7 b=9");
    IS(ask(&s, "GET", "h", "/items/7/parts/all"), "\r\n\r\n/items/{a}/parts/all [");
    IS(ask(&s, "GET", "h", "/items/7/other"), "\r\n\r\n/items/ [");
    IS(ask(&s, "GET", "h", "/x/"), "\r\n\r\n/x/{$} [");
    IS(ask(&s, "GET", "h", "/x/y"), "\r\n\r\n/ [/]");
    IS(ask(&s, "GET", "h", "/files/a/b%20c/d"), "rest=a/b c/d");
    IS(ask(&s, "GET", "h", "/files/"), "\r\n\r\n/files/{rest...} [");
    mux_stop(&s, m);
}

TEST(http_mux, values_are_decoded_after_the_path_is_cut)
{
    struct site s;
    weft_http_mux *m = MUX("/i/{a}", "/caf%C3%A9/{a}/{b}");
    mux_start(&s, m);
    IS(ask(&s, "GET", "h", "/i/x%2Fy"), "a=x/y");
    IS(ask(&s, "GET", "h", "/i/x%zz"), "a=x%zz");
    IS(ask(&s, "GET", "h", "/caf%c3%a9/1/2?q"), "a=1 b=2");
    IS(ask(&s, "GET", "h", "/%69/z"), "a=z");
    mux_stop(&s, m);
}

TEST(http_mux, methods_choose_and_405_names_those_that_fit)
{
    struct site s;
    weft_http_mux *m = MUX("GET /r", "POST /r", "/any", "DELETE /any", "PUT /only/{a}");
    mux_start(&s, m);
    IS(ask(&s, "GET", "h", "/r"), "\r\n\r\nGET /r [");
    IS(ask(&s, "POST", "h", "/r"), "\r\n\r\nPOST /r [");
    const char *head = ask(&s, "HEAD", "h", "/r");
    IS(head, "HTTP/1.1 200 OK");
    EXPECT(strstr(head, "GET /r") == NULL);
    const char *no = ask(&s, "PATCH", "h", "/r");
    IS(no, "HTTP/1.1 405 Method Not Allowed");
    IS(no, "GET, HEAD");
    IS(no, "POST");
    IS(ask(&s, "PATCH", "h", "/any"), "\r\n\r\n/any [");
    IS(ask(&s, "DELETE", "h", "/any"), "\r\n\r\nDELETE /any [");
    IS(ask(&s, "GET", "h", "/only/1"), "Allow: PUT\r\n");
    IS(ask(&s, "GET", "h", "/nothing"), "HTTP/1.1 404 Not Found");
    IS(ask(&s, "OPTIONS", "h", "*"), "HTTP/1.1 200 OK\r\n");   /* the server as a whole */
    mux_stop(&s, m);
}

TEST(http_mux, hosts_go_before_patterns_without)
{
    struct site s;
    weft_http_mux *m = MUX("/", "a.test/", "a.test/x", "GET b.test/x/{a}");
    mux_start(&s, m);
    IS(ask(&s, "GET", "a.test", "/x"), "\r\n\r\na.test/x [");
    IS(ask(&s, "GET", "A.Test:8080", "/y"), "\r\n\r\na.test/ [");
    IS(ask(&s, "GET", "b.test", "/x/1"), "a=1");
    IS(ask(&s, "GET", "c.test", "/x"), "\r\n\r\n/ [/]");
    IS(ask(&s, "GET", "[::1]:80", "/x"), "\r\n\r\n/ [/]");
    mux_stop(&s, m);
}

TEST(http_mux, paths_are_cleaned_by_a_redirect)
{
    struct site s;
    weft_http_mux *m = MUX("/tree/", "/a/b", "/{$}", "POST /tree2/");
    mux_start(&s, m);
    IS(ask(&s, "GET", "h", "/a//b?q=1"), "HTTP/1.1 301 Moved Permanently");
    IS(ask(&s, "GET", "h", "/a//b?q=1"), "Location: /a/b?q=1\r\n");
    IS(ask(&s, "GET", "h", "/a/./c/../b"), "Location: /a/b\r\n");
    IS(ask(&s, "GET", "h", "/a/%2e%2E/x/"), "Location: /x/\r\n");
    IS(ask(&s, "GET", "h", "/../../etc/.."), "Location: /\r\n");
    IS(ask(&s, "GET", "h", "//evil.test/x"), "Location: /evil.test/x\r\n");
    IS(ask(&s, "GET", "h", "/\\evil.test//x"), "Location: /%5Cevil.test/x\r\n");   /* a browser's "//evil.test" */
    IS(ask(&s, "GET", "h", "/tree"), "Location: /tree/\r\n");
    IS(ask(&s, "POST", "h", "/tree2"), "HTTP/1.1 308 Permanent Redirect");
    IS(ask(&s, "GET", "h", "/a/b."), "HTTP/1.1 404");
    IS(ask(&s, "GET", "h", "/a/..."), "HTTP/1.1 404");
    IS(ask(&s, "GET", "h", "/.a"), "HTTP/1.1 404");
    mux_stop(&s, m);
}

TEST(http_mux, conflicts_are_found_when_patterns_are_added)
{
    static const char *const pairs[][2] = {
        {"/a", "/a"}, {"/{x}", "/{y}"}, {"/a/{x}", "/{y}/b"}, {"GET /a/{x}", "/a/b"}, {"/x/{rest...}", "/x/"},
        {"HEAD /{x}", "GET /a"}, {"a.test/p/{x}", "A.TEST/p/{y}"}, {"/{a}/b/{rest...}", "/c/{b}/d"},
    };
    static const char *const fine[][2] = {
        {"/a", "/b"}, {"/a/{x}", "/a/b"}, {"/{x...}", "/{x}"}, {"GET /a", "/a"}, {"GET /a", "HEAD /a"}, {"/a/", "/a/{$}"},
        {"/a/{x}", "/a/{$}"}, {"a.test/", "/"}, {"GET /a/{x}", "POST /{y}/b"}, {"/a/{x}/c", "/{y}/b"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        weft_http_mux *m;
        REQUIRE(weft_http_mux_new(&m) == 0);
        EXPECT_EQ(weft_http_mux_handle(m, pairs[i][0], tell, NULL), 0);
        if (weft_http_mux_handle(m, pairs[i][1], tell, NULL) != -EEXIST)
            EXPECT_STR(pairs[i][1], "a conflict");
        EXPECT(strstr(weft_http_mux_error(m), "conflicts with") != NULL);
        weft_http_mux_free(m);
    }
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        weft_http_mux_free(mux_of(fine[i], 2));
}

TEST(http_mux, what_is_no_pattern_is_refused)
{
    static const char *const bad[] = {"", "a", "GET", "G@T /", "/a{b}", "/{b}c", "/{}", "/{1a}", "/{a-b}", "/{a...}/b", "/{$}/b", "/{a}/{a}", "/}",
                                      "/a//b", "/a/../b", "/%zz", "host:80/", "{h}/x", "/{a", "/%00"};
    weft_http_mux *m;
    REQUIRE(weft_http_mux_new(&m) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (weft_http_mux_handle(m, bad[i], tell, NULL) != WEFT_EINVAL)
            EXPECT_STR(bad[i], "refused");
    EXPECT_EQ(weft_http_mux_handle(m, "/", NULL, NULL), WEFT_EINVAL);
    weft_http_mux_free(m);
}

static void stamp(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)weft_http_reply_field(w, "X-Seen", arg);
    weft_http_next(rq, w);
    weft_http_next(rq, w);   /* changes nothing */
}

static void guard(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    if (strcmp(weft_http_request_path(rq), "/secret") == 0)
        (void)weft_http_reply_text(w, 403, "text/plain", "no\n");
    else
        weft_http_next(rq, w);
}

TEST(http_mux, middleware_runs_in_order_and_may_answer)
{
    struct site s;
    weft_http_mux *inner = MUX("/in/{a}"), *m = MUX("/out/{a}", "/secret");
    EXPECT_EQ(weft_http_mux_use(inner, stamp, "inner"), 0);
    EXPECT_EQ(weft_http_mux_use(m, stamp, "first"), 0);
    EXPECT_EQ(weft_http_mux_use(m, guard, NULL), 0);
    EXPECT_EQ(weft_http_mux_use(m, stamp, "third"), 0);
    EXPECT_EQ(weft_http_mux_handle(m, "/in/", weft_http_mux_handler, inner), 0);
    mux_start(&s, m);
    const char *out = ask(&s, "GET", "h", "/out/1");
    IS(out, "X-Seen: first\r\nX-Seen: third\r\n");
    EXPECT_EQ(count(out, "a=1"), 1);
    out = ask(&s, "GET", "h", "/secret");
    IS(out, "403 Forbidden");
    IS(out, "X-Seen: first\r\n");
    EXPECT(strstr(out, "third") == NULL);
    out = ask(&s, "GET", "h", "/in/5");
    IS(out, "X-Seen: first\r\nX-Seen: third\r\nX-Seen: inner\r\n");
    EXPECT_EQ(count(out, "a=5"), 1);
    mux_stop(&s, m);
    weft_http_mux_free(inner);
}
