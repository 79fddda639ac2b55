/*
 * test_crawl_robots.c - robots.txt by RFC 9309.
 *
 * Role    robots/robots.c.
 */
#include "../../crawl/base/text.h"
#include "../../crawl/robots/robots.h"
#include "../../crawl/robots/robotstag.h"
#include <weft_test.h>

static bool allows(const char *file, const char *path)
{
    struct robots *r = robots_parse(file, strlen(file), "weft");
    bool yes = robots_allows(r, path, strlen(path));
    robots_free(r);
    return yes;
}
static long long delay(const char *file)
{
    struct robots *r = robots_parse(file, strlen(file), "weft");
    long long ms = robots_delay_ms(r);
    robots_free(r);
    return ms;
}

TEST(crawl_robots, no_rules_allow_everything)
{
    EXPECT(allows("", "/x"));
    EXPECT(allows("User-agent: *\nDisallow:\n", "/x"));
    EXPECT(allows("<!DOCTYPE html><html><body>Welcome! User-agent: *</body></html>", "/x"));
    EXPECT(allows("Disallow: /\n", "/x"));
}

TEST(crawl_robots, the_longest_match_wins_and_allow_wins_ties)
{
    const char *f = "User-agent: *\nDisallow: /private/\nAllow: /private/ok/\n";
    EXPECT(!allows(f, "/private/1"));
    EXPECT(allows(f, "/private/ok/1"));
    EXPECT(allows(f, "/private"));
    EXPECT(allows("User-agent: *\nAllow: /p\nDisallow: /\n", "/page"));
    EXPECT(allows("User-agent: *\nDisallow: /page\nAllow: /page\n", "/page"));
    EXPECT(!allows("User-agent: *\nAllow: /page\nDisallow: /*.htm\n", "/page.htm"));
    EXPECT(allows("User-agent: *\nDisallow: /\nAllow: /p/0$\n", "/p/0"));
    EXPECT(!allows("User-agent: *\nDisallow: /\nAllow: /p/0$\n", "/p/01"));
}

TEST(crawl_robots, stars_and_ends_in_patterns)
{
    EXPECT(!allows("User-agent: *\nDisallow: /*.pdf$\n", "/a/b.pdf"));
    EXPECT(allows("User-agent: *\nDisallow: /*.pdf$\n", "/a/b.pdf?x"));
    EXPECT(!allows("User-agent: *\nDisallow: /*.pdf$\n", "/a.pdf.pdf"));
    EXPECT(!allows("User-agent: *\nDisallow: /search?*q=\n", "/search?a=1&q=2"));
    EXPECT(allows("User-agent: *\nDisallow: /search?*q=\n", "/search?a=1"));
    EXPECT(!allows("User-agent: *\nDisallow: *deny\n", "/x/deny"));
    EXPECT(!allows("User-agent: *\nDisallow: /a**b\n", "/axxb"));
    EXPECT(allows("User-agent: *\nDisallow: /ab$\n", "/abab"));
    EXPECT(!allows("User-agent: *\nDisallow: /a*\n", "/a"));
    EXPECT(allows("User-agent: *\nDisallow: /a*a$\n", "/a"));
    EXPECT(!allows("User-agent: *\nDisallow: /*$\n", "/a"));
}

TEST(crawl_robots, escapes_are_compared_in_one_form)
{
    EXPECT(!allows("User-agent: *\nDisallow: /pr%69vate2/\n", "/private2/x"));
    EXPECT(!allows("User-agent: *\nDisallow: /caf\xc3\xa9\n", "/caf%C3%A9"));
    EXPECT(!allows("User-agent: *\nDisallow: /caf%c3%a9\n", "/caf%C3%A9"));
    EXPECT(allows("User-agent: *\nDisallow: /a%2fb\n", "/a/b"));
    EXPECT(!allows("User-agent: *\nDisallow: /a%2fb\n", "/a%2Fb"));
}

TEST(crawl_robots, our_group_replaces_the_one_for_all)
{
    const char *f = "User-agent: *\nDisallow: /all\n\nUser-agent: WEFT\nDisallow: /ours\n";
    EXPECT(allows(f, "/all"));
    EXPECT(!allows(f, "/ours"));
    EXPECT(allows("User-agent: weftbot\nDisallow: /\n", "/x"));
    EXPECT(!allows("User-agent: Weft/1.0\nDisallow: /\n", "/x"));
    EXPECT(!allows("User-agent: other\nUser-agent: weft\nDisallow: /\n", "/x"));
    EXPECT(allows("User-agent: other\nDisallow: /\nUser-agent: weft\nDisallow: /y\n", "/x"));
}

TEST(crawl_robots, groups_of_one_agent_are_merged)
{
    const char *f = "User-agent: weft\nDisallow: /a\n\nUser-agent: x\nDisallow: /\n\nUser-agent: weft\nDisallow: /b\n";
    EXPECT(!allows(f, "/a"));
    EXPECT(!allows(f, "/b"));
    EXPECT(allows(f, "/c"));
}

TEST(crawl_robots, odd_files_are_read)
{
    const char *f = "\xef\xbb\xbfUSER-AGENT : *\r\ndisALLOW:/private/ # c\r\nAllow : /private/ok/\r\n\r\n"
                    "User-agent:BadBot\r\nDisallow:/\r\n";
    EXPECT(!allows(f, "/private/1"));
    EXPECT(allows(f, "/private/ok/"));
    EXPECT(allows(f, "/x"));
    EXPECT(!allows("User-agent: *\rDisallow: /a\r", "/a"));
    EXPECT(!allows("User-agent: *\nSitemap: http://h/s\nfoo\n: :\nDisallow: /a", "/a"));
    EXPECT(!allows("User-agent: a\nSitemap: x\nUser-agent: *\nDisallow: /a", "/a"));
    EXPECT(allows("User-agent: *\nDisallow: private\n", "/private"));
}

TEST(crawl_robots, the_file_itself_may_be_fetched)
{
    EXPECT(allows("User-agent: *\nDisallow: /\n", "/robots.txt"));
    EXPECT(!allows("User-agent: *\nDisallow: /\n", "/robots.txt?x"));
}

TEST(crawl_robots, crawl_delay_is_read)
{
    EXPECT_EQ(delay("User-agent: *\nCrawl-delay: 1.5\nDisallow: /x\n"), 1500);
    EXPECT_EQ(delay("User-agent: *\nCrawl-delay: 5\nUser-agent: weft\nCrawl-delay: 2\n"), 2000);
    EXPECT_EQ(delay("User-agent: *\nCrawl-delay: 99999\n"), 300000);
    EXPECT_EQ(delay("User-agent: *\nCrawl-delay: -1\n"), 0);
    EXPECT_EQ(delay("User-agent: *\nCrawl-delay: nan\n"), 0);
    EXPECT_EQ(delay("User-agent: other\nCrawl-delay: 9\n"), 0);
}

TEST(crawl_robots, at_least_500_kib_are_parsed)
{
    struct text t = {0};
    text_adds(&t, "User-agent: *\nDisallow: /first\n");
    while (t.len < 511000)
        text_adds(&t, "# padding padding padding\n");
    text_adds(&t, "Disallow: /late\n");
    while (t.len < 600000)
        text_adds(&t, "Disallow: /beyond/\n");
    EXPECT(!allows(t.p, "/first"));
    EXPECT(!allows(t.p, "/late"));
    EXPECT(allows(t.p, "/beyond-not/"));
    text_done(&t);
}

TEST(crawl_robots, verdicts_without_a_file)
{
    struct robots *no = robots_all(false, "robots.txt: status 500", 7), *yes = robots_all(true, "", 0);
    EXPECT(!robots_allows(no, "/x", 2));
    EXPECT_STR(robots_why(no), "robots.txt: status 500");
    EXPECT_EQ(robots_kind(no), 7);
    EXPECT(robots_allows(yes, "/x", 2));
    robots_free(no);
    robots_free(yes);
}

static bool nofollow(const char *value)
{
    return robotstag_nofollow(value, strlen(value), "weft");
}

TEST(crawl_robots, tags_forbid_following_by_nofollow_and_none_for_us)
{
    static const char *const yes[] = {"nofollow", "NoFollow", "none", "noindex,nofollow", "noindex, none ", "noindex nofollow",
                                      "weft: nofollow", "WEFT : noindex, none", "other: noindex, weft: nofollow",
                                      "max-snippet: 20, nofollow", "unavailable_after: 25 Jun 2030 15:00:00 PST, none",
                                      "unavailable_after: Sat, 25 Jun 2030 15:00:00 GMT, nofollow"};
    static const char *const no[] = {"", ",", ":", "index, follow", "max-image-preview:none", "Max-Image-Preview: none",
                                     "other: nofollow", "other: noindex, nofollow", "nofollowing", "weft: noindex",
                                     "weft: noindex, other: none"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!nofollow(yes[i]))
            weft_test_fail(__FILE__, __LINE__, "\"%s\" must forbid", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (nofollow(no[i]))
            weft_test_fail(__FILE__, __LINE__, "\"%s\" must not forbid", no[i]);
}
