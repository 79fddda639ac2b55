/* URLs as the HTTP client reads them. Source: RFC 3986 5.4 (the examples, all of them), RFC 9110 4.2. */
#include "../../src/http/http_int.h"
#include "../include/weft_test.h"

static const char *parsed(const char *text)
{
    static char out[4096];
    struct weft__url u = {0};
    u.text = u.near;
    weft_err err = weft__url_parse(&u, text, strlen(text));
    if (err < 0)
        return err == WEFT_EADDR ? "EADDR" : err == WEFT_EUNSUPPORTED ? "EUNSUPPORTED" : "?";
    snprintf(out, sizeof out, "%s", u.text);
    weft__url_done(&u);
    return out;
}

TEST(http_url, references_resolve_as_in_rfc_3986)
{
    static const char *const want[][2] = {
        {"g:h", "g:h"}, {"g", "http://a/b/c/g"}, {"./g", "http://a/b/c/g"}, {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"}, {"//g", "http://g"}, {"?y", "http://a/b/c/d;p?y"}, {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"}, {"g#s", "http://a/b/c/g#s"}, {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"}, {"g;x", "http://a/b/c/g;x"}, {"g;x?y#s", "http://a/b/c/g;x?y#s"},
        {"", "http://a/b/c/d;p?q"}, {".", "http://a/b/c/"}, {"./", "http://a/b/c/"}, {"..", "http://a/b/"},
        {"../", "http://a/b/"}, {"../g", "http://a/b/g"}, {"../..", "http://a/"}, {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"}, {"../../../../g", "http://a/g"}, {"/./g", "http://a/g"}, {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."}, {".g", "http://a/b/c/.g"}, {"g..", "http://a/b/c/g.."}, {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"}, {"./g/.", "http://a/b/c/g/"}, {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"}, {"g;x=1/./y", "http://a/b/c/g;x=1/y"}, {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"}, {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/./x", "http://a/b/c/g#s/./x"}, {"g#s/../x", "http://a/b/c/g#s/../x"}, {"http:g", "http:g"},
    };
    char out[256];
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        EXPECT_EQ(weft__url_join("http://a/b/c/d;p?q", want[i][0], out, sizeof out), strlen(want[i][1]));
        EXPECT_STR(out, want[i][1]);
    }
    EXPECT_EQ(weft__url_join("http://a", "g", out, sizeof out), 10);
    EXPECT_STR(out, "http://a/g");
    EXPECT_EQ(weft__url_join("http://a/b", "cccccccc", out, 12), WEFT_ETOOBIG);
}

TEST(http_url, spelling_becomes_normal)
{
    EXPECT_STR(parsed("http://h"), "http://h/");
    EXPECT_STR(parsed("  HTTP://WWW.Example.COM:80/A%2fb?Q#frag "), "http://www.example.com/A%2fb?Q");
    EXPECT_STR(parsed("https://h:443"), "https://h/");
    EXPECT_STR(parsed("https://h:80/"), "https://h:80/");
    EXPECT_STR(parsed("http://h:/x"), "http://h/x");
    EXPECT_STR(parsed("http://h:08080?x"), "http://h:8080/?x");
    EXPECT_STR(parsed("http://[::1]:9/"), "http://[::1]:9/");
    EXPECT_STR(parsed("http://h/a/../b/./%2E%2e/c"), "http://h/c");
    EXPECT_STR(parsed("http://h/a b?c d\xc3\xa9"), "http://h/a%20b?c%20d%C3%A9");
    EXPECT_STR(parsed("http://h/?a/../b"), "http://h/?a/../b");
}

TEST(http_url, what_cannot_be_dialled_is_refused)
{
    static const char *const bad[] = {"", "h", "/x", "http:", "http:/h", "http://", "http:///x", "http://u@h/", "http://h@/",
        "http://h:0/", "http://h:65536/", "http://h:99999999999/", "http://h:8a/", "http://[::1", "http://[::1]x/",
            "http://[]/", "http://[zz]/",
        "http://h\\@x/", "http://h%41/", "http://\xc3\xbc.de/", "http://h/a\nb", "http://h/a\x7f", "http://h /"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT_STR(parsed(bad[i]), "EADDR");
    EXPECT_STR(parsed("ftp://h/"), "EUNSUPPORTED");
    EXPECT_STR(parsed("javascript:alert(1)"), "EUNSUPPORTED");
}

/* Who copies a host has room for so many, and a NUL. */
TEST(http_url, a_host_has_255_bytes_at_most)
{
    char text[400], host[300];
    for (int n = 254; n <= 258; n++) {
        memset(host, 'h', sizeof host);
        host[n] = '\0';
        snprintf(text, sizeof text, "http://%s/", host);
        EXPECT_STR(parsed(text), n <= 255 ? text : "EADDR");
        snprintf(text, sizeof text, "https://%s:81/x", host);
        EXPECT_STR(parsed(text), n <= 255 ? text : "EADDR");
        memset(host, ':', (size_t)n);
        snprintf(text, sizeof text, "http://[%s]/", host);
        EXPECT_STR(parsed(text), n <= 255 ? text : "EADDR");
    }
}

TEST(http_url, long_urls_work_and_too_long_ones_do_not)
{
    char *text = malloc(WEFT__URL_MAX + 2);
    memset(text, 'a', WEFT__URL_MAX + 1);
    memcpy(text, "http://h/", 9);
    struct weft__url u = {0}, v = {0};
    u.text = u.near;
    v.text = v.near;
    EXPECT_EQ(weft__url_parse(&u, text, WEFT__URL_MAX), 0);
    EXPECT_EQ(u.len, WEFT__URL_MAX);
    EXPECT_EQ(weft__url_parse(&v, text, WEFT__URL_MAX + 1), WEFT_EADDR);
    EXPECT_EQ(weft__url_resolve(&v, &u, "../x?y#z"), 0);
    EXPECT_STR(v.text, "http://h/x?y");
    weft__url_move(&u, &v);
    EXPECT_STR(u.text, "http://h/x?y");
    EXPECT_STR(u.text + u.target, "/x?y");
    EXPECT_EQ(u.port, 80);
    weft__url_done(&u);
    weft__url_done(&v);
    free(text);
}
