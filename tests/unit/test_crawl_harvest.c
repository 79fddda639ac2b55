/*
 * test_crawl_harvest.c - from a page's bytes to canonical links within the scope.
 *
 * Role    fetch/harvest.c: resolution against page and base, charset, duplicates, scope, redirects' targets.
 */
#include "../../crawl/fetch/harvest.h"
#include <weft_test.h>

/* The links of a page at http://h/dir/page, joined by blanks. */
static const char *harvested(const char *type, const char *html, const struct scope *scope)
{
    static struct text joined;
    struct reader *r = reader_new();
    struct text body = {0};
    text_adds(&body, html);
    struct harvest *h = harvest_page(r, "http://h/dir/page", type, false, &body, scope);
    text_clear(&joined, 0);
    for (size_t i = 0; h && i < h->len; i++) {
        text_addf(&joined, "%s%s", i ? " " : "", h->links[i].url);
        EXPECT_EQ(strlen(h->links[i].url), h->links[i].parts.len);
        struct fingerprint fp = seen_print(h->links[i].url, h->links[i].parts.len);
        EXPECT(fp.lo == h->links[i].print.lo && fp.hi == h->links[i].print.hi);
    }
    free(h);
    text_done(&body);
    reader_free(r);
    return text_str(&joined);
}

static const struct scope all = {.everything = true};

TEST(crawl_harvest, links_are_resolved_and_each_is_there_once)
{
    EXPECT_STR(harvested("text/html", "<a href=a><a href=./a#x><a href=/dir/%61><a href=../b><a href='?q'><a href='#top'>", &all),
               "http://h/dir/a http://h/b http://h/dir/page?q http://h/dir/page");
}

TEST(crawl_harvest, the_base_element_counts_and_a_bad_one_does_not)
{
    EXPECT_STR(harvested("text/html", "<a href=one><base href=/p/x/><a href=../two>", &all), "http://h/p/x/one http://h/p/two");
    EXPECT_STR(harvested("text/html", "<base href='http://['><a href=one>", &all), "http://h/dir/one");
    EXPECT_STR(harvested("text/html", "<base href='//other/'><a href=one>", &all), "http://other/one");
}

TEST(crawl_harvest, the_charset_decides_what_a_letter_is)
{
    EXPECT_STR(harvested("text/html; charset=iso-8859-1", "<a href='/\xe9?\xe9'>", &all), "http://h/%C3%A9?%E9");
    EXPECT_STR(harvested("text/html; charset=utf-8", "<a href='/\xc3\xa9?\xc3\xa9'>", &all), "http://h/%C3%A9?%C3%A9");
}

TEST(crawl_harvest, links_out_of_scope_are_left_out)
{
    struct scope s = {0};
    struct canon_parts parts = {.host_at = 7, .host_len = 1, .site_len = 8, .port = 80, .len = 9};
    scope_add(&s, "http://h/", &parts);
    EXPECT_STR(harvested("text/html", "<a href=/in><a href=//other/out><a href=mailto:x@h><a href='http://h:81/'>", &s), "http://h/in");
    scope_done(&s);
}

TEST(crawl_harvest, nofollow_pages_and_title_scans_give_no_links)
{
    EXPECT_STR(harvested("text/html", "<meta name=robots content=nofollow><a href=/x>", &all), "");
    EXPECT_STR(harvested("text/html", "<title>t</title><a href=/x>", NULL), "");
}

TEST(crawl_harvest, a_page_of_many_links_is_harvested_whole)
{
    struct text html = {0};
    for (int i = 0; i < 30000; i++)
        text_addf(&html, "<a href=/%d>", i % 20000);
    const char *got = harvested("text/html", html.p, &all);
    size_t n = 1;
    for (const char *p = got; *p; p++)
        n += *p == ' ';
    EXPECT_EQ(n, 20000);
    text_done(&html);
}

TEST(crawl_harvest, a_redirect_leads_to_one_url_or_says_why_not)
{
    struct reader *r = reader_new();
    const char *why = "";
    struct harvest *h = harvest_one(r, "http://h/a/b", "../c?d#e", &why);
    REQUIRE(h);
    EXPECT_EQ(h->len, 1);
    EXPECT_STR(h->links[0].url, "http://h/c?d");
    free(h);
    EXPECT(!harvest_one(r, "http://h/a/b", "ftp://x/", &why));
    EXPECT_STR(why, "not an http or https URL");
    EXPECT(!harvest_one(r, "http://h/a/b", "http://[", &why));
    EXPECT_STR(why, "malformed URL");
    reader_free(r);
}
