/*
 * test_crawl_canon.c - one spelling per URL.
 *
 * Role    parse/canon.c: webgen's twelve spellings, what is refused, references against a base.
 */
#include "../../crawl/parse/canon.h"
#include <weft_test.h>

/* Canonical text of ref seen from base, or the reason in words. */
static const char *canon_of(const char *base, const char *ref)
{
    static struct text t;
    struct canon_parts parts;
    struct canon *c = canon_new();
    REQUIRE(canon_base(c, base, base ? strlen(base) : 0, false));
    enum canon_result r = canon_url(c, ref, strlen(ref), LXB_ENCODING_UTF_8, &t, &parts);
    canon_free(c);
    return r == CANON_OK ? text_str(&t) : canon_why(r);
}

TEST(crawl_canon, all_spellings_of_a_page_are_one)
{
    static const char *const spelled[] = {
        "/p/7", "7", "http://127.1.0.1:8080/p/7", "//127.1.0.1:8080/p/7", " /p/7 ", "/%70/7", "/p/7#s3",
        "/p/./x/../7", "HTTP://127.1.0.1:8080/p/7", "\n\t/p/7\n", "../p/7", "/p/x/%2e%2E/7", "/p\\7", "/p/%37",
    };
    for (size_t i = 0; i < sizeof spelled / sizeof *spelled; i++)
        EXPECT_STR(canon_of("http://127.1.0.1:8080/p/3", spelled[i]), "http://127.1.0.1:8080/p/7");
}

TEST(crawl_canon, scheme_host_and_port_have_one_form)
{
    EXPECT_STR(canon_of(NULL, "HTTP://Example.ORG"), "http://example.org/");
    EXPECT_STR(canon_of(NULL, "http://example.org:80/"), "http://example.org/");
    EXPECT_STR(canon_of(NULL, "https://example.org:443/a"), "https://example.org/a");
    EXPECT_STR(canon_of(NULL, "https://example.org:80/a"), "https://example.org:80/a");
    EXPECT_STR(canon_of(NULL, "http://[::1]:8080/"), "http://[::1]:8080/");
    EXPECT_STR(canon_of(NULL, "http://b\xc3\xbc" "cher.example/"), "http://xn--bcher-kva.example/");
    EXPECT_STR(canon_of(NULL, "http://0x7f.1/"), "http://127.0.0.1/");
    EXPECT_STR(canon_of(NULL, "http://%41%2eorG/"), "http://a.org/");
}

TEST(crawl_canon, escapes_have_one_form)
{
    EXPECT_STR(canon_of(NULL, "http://h/%7euser/%e9?%7e=%2f"), "http://h/~user/%E9?~=%2F");
    EXPECT_STR(canon_of(NULL, "http://h/a b/\xc3\xa9"), "http://h/a%20b/%C3%A9");
    EXPECT_STR(canon_of(NULL, "http://h/100%"), "http://h/100%");
    EXPECT_STR(canon_of(NULL, "http://h/%4"), "http://h/%4");
    EXPECT_STR(canon_of(NULL, "http://h/%zz"), "http://h/%zz");
}

/* Else the canonical text would have a canonical text of its own, and another meaning. */
TEST(crawl_canon, a_decoded_digit_makes_no_escape_of_a_lone_percent_sign)
{
    EXPECT_STR(canon_of(NULL, "http://h/%%34%31"), "http://h/%%341");
    EXPECT_STR(canon_of(NULL, "http://h/%4%31"), "http://h/%4%31");
    EXPECT_STR(canon_of(NULL, "http://h/%%7e%31%32"), "http://h/%~%312");
    EXPECT_STR(canon_of(NULL, "http://h/%%7z%31"), "http://h/%%7z1");
}

TEST(crawl_canon, queries_are_kept_as_they_are)
{
    EXPECT_STR(canon_of(NULL, "http://h/s?b=2&a=1"), "http://h/s?b=2&a=1");
    EXPECT_STR(canon_of(NULL, "http://h/s?"), "http://h/s?");
    EXPECT_STR(canon_of(NULL, "http://h?x"), "http://h/?x");
    EXPECT_STR(canon_of("http://h/p/0?v=1", "#top"), "http://h/p/0?v=1");
    EXPECT_STR(canon_of("http://h/p/0?v=1", ""), "http://h/p/0?v=1");
    EXPECT_STR(canon_of("http://h/p/0?v=1", "?v=2"), "http://h/p/0?v=2");
}

TEST(crawl_canon, a_query_is_encoded_as_the_document)
{
    struct text t = {0};
    struct canon_parts parts;
    struct canon *c = canon_new();
    const char *ref = "http://h/?q=\xc3\xa9";
    EXPECT_EQ(canon_url(c, ref, strlen(ref), LXB_ENCODING_WINDOWS_1252, &t, &parts), CANON_OK);
    EXPECT_STR(t.p, "http://h/?q=%E9");
    text_done(&t);
    canon_free(c);
}

TEST(crawl_canon, what_is_no_page_is_refused)
{
    EXPECT_STR(canon_of("http://h/", "mailto:a@b.c"), "not an http or https URL");
    EXPECT_STR(canon_of("http://h/", "javascript:void('/fake')"), "not an http or https URL");
    EXPECT_STR(canon_of("http://h/", "data:text/html,x"), "not an http or https URL");
    EXPECT_STR(canon_of(NULL, "ftp://h/"), "not an http or https URL");
    EXPECT_STR(canon_of(NULL, "example.org"), "malformed URL");
    EXPECT_STR(canon_of(NULL, ""), "malformed URL");
    EXPECT_STR(canon_of(NULL, "http://"), "malformed URL");
    EXPECT_STR(canon_of(NULL, "http://h:99999/"), "malformed URL");
    EXPECT_STR(canon_of(NULL, "http://h:0/"), "malformed URL");
    EXPECT_STR(canon_of(NULL, "http://a b/"), "malformed URL");
    EXPECT_STR(canon_of(NULL, "http://[::1/"), "malformed URL");
    EXPECT_STR(canon_of(NULL, "http://u:p@h/"), "URL with user name or password");
}

TEST(crawl_canon, a_url_too_long_is_refused)
{
    struct text t = {0};
    text_adds(&t, "http://h/");
    for (int i = 0; i < 900; i++)
        text_adds(&t, "0123456789");
    EXPECT_STR(canon_of(NULL, t.p), "URL longer than 8192 bytes");
    text_done(&t);
}

TEST(crawl_canon, parts_point_into_the_text)
{
    struct text t = {0};
    struct canon_parts p;
    struct canon *c = canon_new();
    EXPECT_EQ(canon_url(c, "https://H.test:8443/a?b", 23, LXB_ENCODING_UTF_8, &t, &p), CANON_OK);
    EXPECT_STR(t.p, "https://h.test:8443/a?b");
    EXPECT_EQ(p.host_at, 8);
    EXPECT_EQ(p.host_len, 6);
    EXPECT_EQ(p.site_len, 19);
    EXPECT_EQ(p.port, 8443);
    EXPECT_EQ(p.len, 23);
    EXPECT_EQ(canon_url(c, "http://h/", 9, LXB_ENCODING_UTF_8, &t, &p), CANON_OK);
    EXPECT_EQ(p.port, 80);
    text_done(&t);
    canon_free(c);
}

TEST(crawl_canon, canonical_text_stays_as_it_is)
{
    static const char *const urls[] = {"http://h/a%20b?c=%2F%E9", "http://h/%25zz", "http://h/100%", "http://h/a;b,c=d@e!$&'()*+",
                                       "http://h/?a='b'", "http://h/s?", "http://[2001:db8::1]/", "http://h//a//b"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        char *once = strdup(canon_of(NULL, urls[i]));
        EXPECT_STR(canon_of(NULL, once), once);
        free(once);
    }
}

TEST(crawl_canon, a_base_may_be_relative_to_the_page)
{
    struct text t = {0};
    struct canon_parts p;
    struct canon *c = canon_new();
    EXPECT(canon_base(c, "http://h/p/3", 12, false));
    EXPECT(canon_base(c, "/p/x/", 5, true));
    EXPECT_EQ(canon_url(c, "../7", 4, LXB_ENCODING_UTF_8, &t, &p), CANON_OK);
    EXPECT_STR(t.p, "http://h/p/7");
    EXPECT(!canon_base(c, "http://[", 8, true));
    EXPECT_EQ(canon_url(c, "8", 1, LXB_ENCODING_UTF_8, &t, &p), CANON_OK);
    EXPECT_STR(t.p, "http://h/p/x/8");
    text_done(&t);
    canon_free(c);
}
