/*
 * test_crawl_frontier.c - order, politeness and limits of the frontier, on a clock of the test's own.
 *
 * Role    frontier/frontier.c, frontier/seen.c.
 */
#include "../../crawl/frontier/frontier.h"
#include "../../crawl/robots/robots.h"
#include <weft_test.h>

#define SEC 1000000000LL

static struct frontier *make(int per_site, int64_t delay, uint64_t pages_max, uint32_t depth_max)
{
    return frontier_new(&(struct frontier_opts){per_site, delay, pages_max, depth_max});
}

static struct link link_of(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    size_t site_len = (size_t)(strchr(host, '/') - url);
    return (struct link){.print = seen_print(url, strlen(url)), .url = url,
                         .parts = {.len = (uint32_t)strlen(url), .site_len = (uint32_t)site_len}};
}
static void add(struct frontier *f, const char *url, uint32_t depth)
{
    struct link l = link_of(url);
    frontier_link(f, &l, depth);
}
static bool give(struct frontier *f, const char *url, bool again)
{
    struct link l = link_of(url);
    return frontier_give(f, &l, again);
}

/* The next visit must be this URL. */
static struct visit *next(struct frontier *f, int64_t now, const char *url)
{
    int64_t wake = 0;
    struct visit *v = frontier_next(f, now, &wake);
    EXPECT_STR(v ? v->url : NULL, url);
    REQUIRE(v);
    return v;
}
/* There must be none before this instant. */
static void none(struct frontier *f, int64_t now, int64_t wake_expected)
{
    int64_t wake = 0;
    EXPECT(!frontier_next(f, now, &wake));
    EXPECT_EQ(wake, wake_expected);
}
static void rules(struct frontier *f, struct visit *v, const char *file, int64_t now)
{
    EXPECT_EQ(v->kind, VISIT_ROBOTS);
    v->rules = robots_parse(file, strlen(file), "weft");
    frontier_rules(f, v, now);
}
static void open_site(struct frontier *f, int64_t now, const char *robots_url, const char *file)
{
    rules(f, next(f, now, robots_url), file, now);
}

TEST(crawl_frontier, robots_txt_comes_first_and_alone)
{
    struct frontier *f = make(4, 0, 0, 9);
    add(f, "http://a/1", 0);
    add(f, "http://a/2", 0);
    struct visit *r = next(f, 0, "http://a/robots.txt");
    none(f, 0, FRONTIER_NEVER);
    rules(f, r, "", 0);
    frontier_done(f, next(f, 0, "http://a/1"), 0);
    frontier_done(f, next(f, 0, "http://a/2"), 0);
    none(f, 0, FRONTIER_NEVER);
    frontier_free(f);
}

TEST(crawl_frontier, one_fetch_of_a_site_at_a_time_with_a_pause)
{
    struct frontier *f = make(1, SEC, 0, 9);
    add(f, "http://a/1", 0);
    add(f, "http://a/2", 0);
    open_site(f, 0, "http://a/robots.txt", "");
    none(f, SEC - 1, SEC);
    struct visit *v = next(f, SEC, "http://a/1");
    none(f, 9 * SEC, FRONTIER_NEVER);
    frontier_done(f, v, 10 * SEC);
    none(f, 10 * SEC, 11 * SEC);
    frontier_done(f, next(f, 11 * SEC, "http://a/2"), 11 * SEC);
    frontier_free(f);
}

TEST(crawl_frontier, http_and_https_with_and_without_www_share_a_pause)
{
    struct frontier *f = make(1, SEC, 0, 9);
    add(f, "http://ab/1", 0);
    add(f, "https://ab/1", 0);
    add(f, "https://www.ab/1", 0);
    add(f, "https://ab:8443/1", 0);
    add(f, "http://www.ab:8443/1", 0);
    struct visit *r = next(f, 0, "http://ab/robots.txt");
    struct visit *other = next(f, 0, "https://ab:8443/robots.txt");
    none(f, 0, FRONTIER_NEVER);
    rules(f, r, "User-agent: *\nDisallow: /1\n", 10);
    none(f, 10, 10 + SEC);
    rules(f, next(f, 10 + SEC, "https://ab/robots.txt"), "", 20 + SEC);
    rules(f, next(f, 20 + 2 * SEC, "https://www.ab/robots.txt"), "", 30 + 2 * SEC);
    frontier_done(f, next(f, 30 + 3 * SEC, "https://ab/1"), 30 + 3 * SEC);
    frontier_done(f, next(f, 30 + 4 * SEC, "https://www.ab/1"), 30 + 4 * SEC);
    none(f, 30 + 9 * SEC, FRONTIER_NEVER);
    rules(f, other, "", 30 + 9 * SEC);
    struct frontier_counts n;
    frontier_counts(f, &n);
    EXPECT_EQ(n.denied, 1);
    EXPECT_EQ(n.queued, 2);
    frontier_free(f);
}

TEST(crawl_frontier, sites_take_turns)
{
    struct frontier *f = make(8, 0, 0, 9);
    add(f, "http://a/1", 0);
    add(f, "http://a/2", 0);
    add(f, "http://b/1", 0);
    add(f, "http://b/2", 0);
    open_site(f, 0, "http://a/robots.txt", "");
    open_site(f, 0, "http://b/robots.txt", "");
    struct visit *v1 = next(f, 0, "http://a/1"), *v2 = next(f, 0, "http://b/1");
    struct visit *v3 = next(f, 0, "http://a/2"), *v4 = next(f, 0, "http://b/2");
    frontier_done(f, v1, 0);
    frontier_done(f, v2, 0);
    frontier_done(f, v3, 0);
    frontier_done(f, v4, 0);
    frontier_free(f);
}

TEST(crawl_frontier, crawl_delay_is_kept_by_one_fetch_at_a_time)
{
    struct frontier *f = make(8, 0, 0, 9);
    add(f, "http://a/1", 0);
    add(f, "http://a/2", 0);
    open_site(f, 0, "http://a/robots.txt", "User-agent: *\nCrawl-delay: 2\n");
    struct visit *v = next(f, 2 * SEC, "http://a/1");
    none(f, 2 * SEC, FRONTIER_NEVER);
    frontier_done(f, v, 3 * SEC);
    none(f, 3 * SEC, 5 * SEC);
    frontier_free(f);
}

TEST(crawl_frontier, a_url_is_handed_out_once)
{
    struct frontier *f = make(1, 0, 0, 9);
    EXPECT(give(f, "http://a/1", false));
    EXPECT(!give(f, "http://a/1", false));
    add(f, "http://a/1", 1);
    open_site(f, 0, "http://a/robots.txt", "");
    frontier_done(f, next(f, 0, "http://a/1"), 0);
    none(f, 0, FRONTIER_NEVER);
    frontier_free(f);
}

TEST(crawl_frontier, lines_of_a_list_may_repeat)
{
    struct frontier *f = make(1, 0, 0, 9);
    EXPECT(give(f, "http://a/1", true));
    EXPECT(give(f, "http://a/1", true));
    open_site(f, 0, "http://a/robots.txt", "");
    frontier_done(f, next(f, 0, "http://a/1"), 0);
    frontier_done(f, next(f, 0, "http://a/1"), 0);
    frontier_free(f);
}

TEST(crawl_frontier, disallowed_links_vanish_and_disallowed_urls_given_are_noted)
{
    struct frontier *f = make(1, 0, 0, 9);
    struct frontier_counts n;
    give(f, "http://a/no/given", false);
    add(f, "http://a/no/link", 1);
    add(f, "http://a/yes", 1);
    open_site(f, 0, "http://a/robots.txt", "User-agent: *\nDisallow: /no/\n");
    struct visit *v = next(f, 0, "http://a/no/given");
    EXPECT_EQ(v->kind, VISIT_NOTE);
    EXPECT_EQ(v->status, -1);
    EXPECT_STR(v->why, "disallowed by robots.txt");
    frontier_done(f, v, 0);
    frontier_done(f, next(f, 0, "http://a/yes"), 0);
    add(f, "http://a/no/later", 1);
    none(f, 0, FRONTIER_NEVER);
    frontier_counts(f, &n);
    EXPECT_EQ(n.denied, 3);
    EXPECT_EQ(n.queued, 0);
    frontier_free(f);
}

TEST(crawl_frontier, urls_of_unreachable_sites_are_told_apart)
{
    struct frontier *f = make(1, 0, 0, 9);
    struct frontier_counts n;
    give(f, "http://a/given", false);
    add(f, "http://a/link", 1);
    struct visit *v = next(f, 0, "http://a/robots.txt");
    v->rules = robots_all(false, "no such host", 3);
    frontier_rules(f, v, 0);
    v = next(f, 0, "http://a/given");
    EXPECT_EQ(v->kind, VISIT_NOTE);
    EXPECT_EQ(v->failure, 3);
    EXPECT_STR(v->why, "no such host");
    frontier_done(f, v, 0);
    none(f, 0, FRONTIER_NEVER);
    frontier_counts(f, &n);
    EXPECT_EQ(n.denied, 0);
    EXPECT_EQ(n.unreachable, 2);
    frontier_free(f);
}

TEST(crawl_frontier, a_robots_txt_put_off_is_asked_for_again)
{
    struct frontier *f = make(1, 0, 0, 9);
    add(f, "http://a/1", 0);
    struct visit *v = next(f, 0, "http://a/robots.txt");
    v->retry_ns = 2 * SEC;
    frontier_retry(f, v, SEC);
    none(f, SEC, 3 * SEC);
    v = next(f, 3 * SEC, "http://a/robots.txt");
    EXPECT_EQ(v->tries, 1);
    rules(f, v, "", 3 * SEC);
    frontier_done(f, next(f, 3 * SEC, "http://a/1"), 3 * SEC);
    frontier_free(f);
}

TEST(crawl_frontier, a_retry_keeps_its_whole_site_waiting)
{
    struct frontier *f = make(2, 0, 0, 9);
    add(f, "http://a/1", 0);
    add(f, "http://a/2", 0);
    open_site(f, 0, "http://a/robots.txt", "");
    struct visit *v = next(f, 0, "http://a/1");
    v->retry_ns = 5 * SEC;
    frontier_retry(f, v, SEC);
    none(f, SEC, 6 * SEC);
    v = next(f, 6 * SEC, "http://a/1");
    EXPECT_EQ(v->tries, 1);
    frontier_done(f, v, 6 * SEC);
    frontier_done(f, next(f, 6 * SEC, "http://a/2"), 6 * SEC);
    frontier_free(f);
}

TEST(crawl_frontier, redirects_go_to_unseen_urls_only)
{
    struct frontier *f = make(1, 0, 0, 9);
    struct link to_b = link_of("http://b/x"), to_a = link_of("http://a/1");
    add(f, "http://a/1", 3);
    open_site(f, 0, "http://a/robots.txt", "");
    struct visit *v = next(f, 0, "http://a/1");
    EXPECT(frontier_redirect(f, v, &to_b, false, 0));
    open_site(f, 0, "http://b/robots.txt", "");
    v = next(f, 0, "http://b/x");
    EXPECT_STR(v->from, "http://a/1");
    EXPECT_EQ(v->hops, 1);
    EXPECT_EQ(v->depth, 3);
    EXPECT(!frontier_redirect(f, v, &to_a, false, 0));
    EXPECT(frontier_redirect(f, v, &to_a, true, 0));
    v = next(f, 0, "http://a/1");
    EXPECT_EQ(v->hops, 2);
    frontier_done(f, v, 0);
    frontier_free(f);
}

TEST(crawl_frontier, a_redirect_that_is_disallowed_is_noted)
{
    struct frontier *f = make(1, 0, 0, 9);
    struct link to = link_of("http://a/no");
    add(f, "http://a/1", 0);
    open_site(f, 0, "http://a/robots.txt", "User-agent: *\nDisallow: /no\n");
    struct visit *v = next(f, 0, "http://a/1");
    v->status = 302;
    EXPECT(frontier_redirect(f, v, &to, false, 0));
    v = next(f, 0, "http://a/no");
    EXPECT_EQ(v->kind, VISIT_NOTE);
    EXPECT_EQ(v->status, 302);
    frontier_done(f, v, 0);
    frontier_free(f);
}

TEST(crawl_frontier, depth_is_limited)
{
    struct frontier *f = make(1, 0, 0, 1);
    add(f, "http://a/1", 1);
    add(f, "http://a/2", 2);
    open_site(f, 0, "http://a/robots.txt", "");
    frontier_done(f, next(f, 0, "http://a/1"), 0);
    none(f, 0, FRONTIER_NEVER);
    frontier_free(f);
}

TEST(crawl_frontier, past_the_page_limit_only_redirects_and_retries_go_on)
{
    struct frontier *f = make(4, 0, 2, 9);
    struct link to = link_of("http://a/target");
    struct frontier_counts n;
    for (char url[] = "http://a/0"; url[9] < '9'; url[9]++)
        add(f, url, 0);
    add(f, "http://b/1", 0);
    open_site(f, 0, "http://a/robots.txt", "");
    struct visit *r = next(f, 0, "http://b/robots.txt");
    struct visit *v1 = next(f, 0, "http://a/0"), *v2 = next(f, 0, "http://a/1");
    frontier_counts(f, &n);
    EXPECT_EQ(n.queued, 0);
    rules(f, r, "", 0);
    add(f, "http://a/more", 1);
    none(f, 0, FRONTIER_NEVER);
    EXPECT(frontier_redirect(f, v1, &to, false, 0));
    frontier_retry(f, v2, 0);
    frontier_done(f, next(f, 0, "http://a/1"), 0);
    frontier_done(f, next(f, 0, "http://a/target"), 0);
    none(f, 0, FRONTIER_NEVER);
    frontier_free(f);
}

TEST(crawl_frontier, thousands_of_sites_come_in_order_of_time)
{
    struct frontier *f = make(1, SEC, 0, 9);
    char url[64];
    int64_t now = 0, wake;
    int pages = 0;
    for (int i = 0; i < 3000; i++)
        for (int k = 0; k < 3; k++) {
            snprintf(url, sizeof url, "http://h%d/%d", i, k);
            add(f, url, 0);
        }
    for (int rounds = 0; rounds < 5; rounds++) {
        struct visit *v;
        while ((v = frontier_next(f, now, &wake))) {
            if (v->kind == VISIT_ROBOTS) {
                v->rules = robots_all(true, "", 0);
                frontier_rules(f, v, now);
            } else {
                pages++;
                frontier_done(f, v, now);
            }
        }
        EXPECT(wake == FRONTIER_NEVER || wake == now + SEC);
        now += SEC;
    }
    EXPECT_EQ(pages, 9000);
    frontier_free(f);
}

TEST(crawl_frontier, the_seen_set_grows_and_forgets_nothing)
{
    struct seen s = {0};
    char url[32];
    for (int i = 0; i < 100000; i++)
        EXPECT(seen_add(&s, seen_print(url, (size_t)snprintf(url, sizeof url, "http://h/%d", i))));
    for (int i = 0; i < 100000; i++)
        EXPECT(!seen_add(&s, seen_print(url, (size_t)snprintf(url, sizeof url, "http://h/%d", i))));
    EXPECT_EQ(s.len, 100000);
    seen_done(&s);
}
