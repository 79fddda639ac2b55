/*
 * test_crawl_links.c - what is a link and what is not, titles, charsets.
 *
 * Role    parse/pagelinks.c and parse/charset.c.
 */
#include "../../crawl/parse/charset.h"
#include "../../crawl/parse/pagelinks.h"
#include <weft_test.h>

static struct page_scan scan;

/* The references of a page, joined by blanks. */
static const char *links_as(const char *html, bool xhtml)
{
    static struct text joined;
    struct page_reader *r = page_reader_new();
    page_reader_scan(r, html, strlen(html), xhtml, false, &scan);
    text_clear(&joined, 0);
    for (size_t i = 0, at = 0; i < scan.links_len; at = scan.ends[i++] + 1) {
        if (i)
            text_addc(&joined, ' ');
        text_add(&joined, scan.hrefs.p + at, scan.ends[i] - at);
    }
    page_reader_free(r);
    return text_str(&joined);
}
static const char *links_of(const char *html)
{
    return links_as(html, false);
}

TEST(crawl_links, anchors_are_links_however_they_are_written)
{
    EXPECT_STR(links_of("<a href=\"/1\">x</a><A HREF=/2 ID=x>x</A><a\n\thref\n=\n'/3'\t>x<a data-x=1 href=' /4 ' >"),
               "/1 /2 /3  /4 ");
    EXPECT_STR(links_of("<a title=\"a > b\" href=/1><a href=/2><b><i></b></i> a < b"), "/1 /2");
    EXPECT_STR(links_of("<a name=x>x</a><a>y</a><area href=/map><a href>empty</a>"), "/map");
}

TEST(crawl_links, character_references_in_addresses_are_decoded)
{
    EXPECT_STR(links_of("<a href=\"&#47;p&#x2F;7\">"), "/p/7");
    EXPECT_STR(links_of("<a href=\"/e?a=1&amp;b=2\"><a href=\"/e?c=1&d=2\"><a href=\"/e-&#x2d;&#45;&hyphen;\">"),
               "/e?a=1&b=2 /e?c=1&d=2 /e---\xe2\x80\x90");
    EXPECT_STR(links_of("<a href=\"/e?copy=1&copy=2&amp=3\">"), "/e?copy=1&copy=2&amp=3");
}

TEST(crawl_links, other_elements_that_lead_to_pages)
{
    EXPECT_STR(links_of("<iframe src=/i></iframe><frameset><frame src=/f></frameset>"), "/i /f");
    EXPECT_STR(links_of("<link rel=next href=/n><link rel='prev up' href=/v><link rel=canonical href=/c>"), "/n /v /c");
    EXPECT_STR(links_of("<link rel=alternate href=/a><link rel=alternate type=application/rss+xml href=/rss>"), "/a");
    EXPECT_STR(links_of("<link rel=stylesheet href=/s><link rel='alternate stylesheet' href=/t><link rel=icon href=/i>"), "");
    EXPECT_STR(links_of("<meta http-equiv=Refresh content=\"5; url='/r'\">"), "/r");
    EXPECT_STR(links_of("<meta http-equiv=refresh content='0;URL=/q'><meta http-equiv=refresh content=30>"), "/q");
    EXPECT_STR(links_of("<svg><a xlink:href='/x' /><a href='/y'></a></svg><noscript><a href=/z></noscript>"), "/x /y /z");
}

TEST(crawl_links, what_only_looks_like_a_link_is_none)
{
    EXPECT_STR(links_of("<!-- <a href=/comment> --><script>var u='<a href=\"/script\">';</script>"
                        "<style>a{background:url(/css)}</style><textarea><a href=/textarea></textarea>"
                        "<img alt='<a href=\"/attr\">' src=/img><title><a href=/title></title>"
                        "<template><a href=/template></template><xmp><a href=/xmp></xmp>"
                        "<script type=application/json>{\"next\":\"/json\"}</script><noembed><a href=/noembed></noembed>"
                        "<iframe><a href=/in-iframe></iframe><div data-href=/data onclick=\"location='/js'\">"
                        "<form action=/form></form><blockquote cite=/cite></blockquote><a href=/real>"),
               "/real");
}

TEST(crawl_links, nofollow_is_respected)
{
    EXPECT_STR(links_of("<a rel='external NoFollow' href=/no><a rel=nofollowing href=/yes>"), "/yes");
    (void)links_of("<meta name=robots content='noindex, NOFOLLOW'><a href=/x>");
    EXPECT(scan.nofollow);
    (void)links_of("<meta name=ROBOTS content=none>");
    EXPECT(scan.nofollow);
    (void)links_of("<meta name=robots content='noindex,follow'><meta name=otherbot content=nofollow>");
    EXPECT(!scan.nofollow);
}

TEST(crawl_links, the_first_base_counts_wherever_it_is)
{
    EXPECT_STR(links_of("<a href=one><base target=_top><base href=/t/ok/><base href=/second/><a href=two>"), "one two");
    EXPECT(scan.has_base);
    EXPECT_STR(scan.base.p, "/t/ok/");
    (void)links_of("<p>");
    EXPECT(!scan.has_base);
}

TEST(crawl_links, scripts_of_svg_and_xhtml_end_where_they_begin)
{
    EXPECT_STR(links_as("<html><script src=\"a\"/><a href=\"/1\">y</a></html>", true), "/1");
    EXPECT_STR(links_of("<svg><title>icon</title><style/></svg><a href=/2>"), "/2");
}

TEST(crawl_links, titles_are_decoded_and_collapsed)
{
    (void)links_of("<title>\n Item 7 &mdash; Tools  &amp;\tCo\n</title><title>second</title>");
    EXPECT_STR(scan.title.p, "Item 7 \xe2\x80\x94 Tools & Co");
    (void)links_of("<svg><title>icon</title></svg><title>page</title>");
    EXPECT_STR(scan.title.p, "page");
    (void)links_of("<title>a <b> c");
    EXPECT_STR(scan.title.p, "a <b> c");
    (void)links_of("<p>none");
    EXPECT_STR(text_str(&scan.title), "");
}

TEST(crawl_links, a_scan_for_the_title_stops_behind_it)
{
    struct page_reader *r = page_reader_new();
    const char *html = "<head><title>A &amp; B</title><a href=/1>";
    for (int i = 0; i < 3; i++) {
        page_reader_scan(r, html, strlen(html), false, true, &scan);
        EXPECT_STR(scan.title.p, "A & B");
        EXPECT_EQ(scan.links_len, 0);
        page_reader_scan(r, html, strlen(html), false, false, &scan);
        EXPECT_EQ(scan.links_len, 1);
    }
    page_reader_free(r);
}

TEST(crawl_links, a_reader_is_reused_page_after_page)
{
    struct page_reader *r = page_reader_new();
    for (int i = 0; i < 200; i++) {
        page_reader_scan(r, "<a href=/1><x-custom y-attr=1><script>", 38, false, false, &scan);
        EXPECT_EQ(scan.links_len, 1);
    }
    page_reader_free(r);
}

TEST(crawl_links, any_bytes_are_a_page)
{
    struct page_reader *r = page_reader_new();
    static const char alphabet[] = "<>/=\"'&; ahref\0\xff\x80#!-titlescripturl";
    char junk[4096];
    unsigned seed = 12345;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof junk; i++) {
            seed = seed * 1103515245u + 12345u;
            junk[i] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        page_reader_scan(r, junk, sizeof junk, round & 1, round & 2, &scan);
    }
    page_reader_free(r);
    EXPECT(scan.links_len <= PAGELINKS_MAX);
}

static const char *decoded(const char *type, const char *body, size_t len)
{
    static struct text t;
    size_t skip;
    lxb_encoding_t enc = charset_find(type, body, len, &skip);
    text_clear(&t, 0);
    charset_decode(enc, body + skip, len - skip, &t);
    return text_str(&t);
}

TEST(crawl_links, the_encoding_comes_from_mark_header_or_meta)
{
    EXPECT_STR(decoded("text/html; charset=ISO-8859-1", "\xe9", 1), "\xc3\xa9");
    EXPECT_STR(decoded("text/html; Charset=\"windows-1252\"", "\x80", 1), "\xe2\x82\xac");
    EXPECT_STR(decoded("text/html; charset=Shift_JIS", "\x93\x8c\x8b\x9e", 4), "\xe6\x9d\xb1\xe4\xba\xac");
    EXPECT_STR(decoded("text/html; charset=utf-16le", "G\0\xf6\0", 4), "G\xc3\xb6");
    EXPECT_STR(decoded("text/html", "\xfe\xff\0G\0\xf6", 6), "G\xc3\xb6");
    EXPECT_STR(decoded("text/html; charset=iso-8859-1", "\xef\xbb\xbf\xc3\xa9", 5), "\xc3\xa9");
    EXPECT_STR(decoded("text/html", "<meta charset=iso-8859-1>\xe9", 26), "<meta charset=iso-8859-1>\xc3\xa9");
    EXPECT_STR(decoded(NULL, "\xc3\xa9\xff", 3), "\xc3\xa9\xef\xbf\xbd");
    EXPECT_STR(decoded("text/html; charset=no-such", "\xc3\xa9", 2), "\xc3\xa9");
}

TEST(crawl_links, long_texts_are_decoded_whole)
{
    struct text in = {0};
    for (int i = 0; i < 20000; i++)
        text_addc(&in, '\xe9');
    EXPECT_EQ(strlen(decoded("text/html; charset=latin1", in.p, in.len)), 40000);
    text_done(&in);
}
