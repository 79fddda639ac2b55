/*
 * test_crawl_options.c - flags, durations, and one line for each mistake.
 *
 * Role    cli/options.c.
 */
#include "../../crawl/cli/options.h"
#include <weft_test.h>

static struct crawl_options o;
static char err[300];

/* Parse words separated by blanks; true if they are fine. */
static bool parse(const char *words)
{
    static char buf[512];
    static char *argv[32];
    int argc = 0;
    snprintf(buf, sizeof buf, "%s", words);
    for (char *p = strtok(buf, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    err[0] = 0;
    return options_parse(argc, argv, &o, err, sizeof err);
}
static const char *mistake(const char *words)
{
    return parse(words) ? "no mistake" : err;
}

TEST(crawl_options, defaults_are_polite)
{
    EXPECT(parse("http://h/"));
    EXPECT_EQ(o.per_site, 1);
    EXPECT_EQ(o.delay, 1000000000);
    EXPECT_EQ(o.timeout, 10000000000);
    EXPECT(!o.allow_private);
    EXPECT_EQ(o.depth, -1);
    EXPECT_STR(o.out, "pages.csv");
    EXPECT(!strncmp(o.user_agent, "weft/", 5));
    EXPECT(strchr(o.user_agent, '@') != NULL);
}

TEST(crawl_options, flags_and_urls_mix)
{
    EXPECT(parse("http://a/ -c 50 http://b/ -o x.jsonl --depth=3 --max-pages 10 --max-time 2m --timeout 500ms "
                 "--per-host 4 --delay 0 --allow-private --user-agent=me/1 --ca ca.pem http://c/"));
    EXPECT_EQ(o.urls_len, 3);
    EXPECT_STR(o.urls[2], "http://c/");
    EXPECT_EQ(o.workers, 50);
    EXPECT_EQ(o.depth, 3);
    EXPECT_EQ(o.pages_max, 10);
    EXPECT_EQ(o.time_max, 120000000000);
    EXPECT_EQ(o.timeout, 500000000);
    EXPECT_EQ(o.per_site, 4);
    EXPECT_EQ(o.delay, 0);
    EXPECT(o.allow_private);
    EXPECT_STR(o.user_agent, "me/1");
    EXPECT_STR(o.ca_file, "ca.pem");
    EXPECT(parse("-c64 -- http://a/ -x"));
    EXPECT_EQ(o.workers, 64);
    EXPECT_EQ(o.urls_len, 2);
    EXPECT(parse("--list -"));
    EXPECT(parse("--help"));
}

TEST(crawl_options, each_mistake_has_its_line)
{
    EXPECT_STR(mistake("--frobnicate http://h/"), "unknown flag \"--frobnicate\" (weft crawl --help lists them)");
    EXPECT_STR(mistake("-z"), "unknown flag \"-z\" (weft crawl --help lists them)");
    EXPECT_STR(mistake("http://h/ -c"), "-c wants a value");
    EXPECT_STR(mistake("http://h/ -c 0"), "--concurrency wants a number from 1 to 100000, not \"0\"");
    EXPECT_STR(mistake("http://h/ -c ten"), "--concurrency wants a number from 1 to 100000, not \"ten\"");
    EXPECT_STR(mistake("http://h/ -c 10x"), "--concurrency wants a number from 1 to 100000, not \"10x\"");
    EXPECT_STR(mistake("http://h/ --delay soon"), "--delay wants a time such as 500ms, 10s or 2m, not \"soon\"");
    EXPECT_STR(mistake("http://h/ --timeout 0"), "--timeout wants a time such as 500ms, 10s or 2m, not \"0\"");
    EXPECT_STR(mistake("http://h/ --delay -1s"), "--delay wants a time such as 500ms, 10s or 2m, not \"-1s\"");
    EXPECT_STR(mistake("http://h/ --allow-private=1"), "--allow-private takes no value");
    EXPECT_STR(mistake(""), "give at least one URL, or --list FILE (weft crawl --help)");
    EXPECT_STR(mistake("--list x http://h/"), "give URLs or --list, not both");
    EXPECT_STR(mistake("--list x --depth 2"), "--depth makes no sense with --list: links are not followed");
    EXPECT_STR(mistake("http://h/ -o pages.txt"), "output \"pages.txt\" must end in .csv or .jsonl");
    EXPECT_STR(mistake("--bad\nline"), "unknown flag \"--bad?line\" (weft crawl --help lists them)");
}

TEST(crawl_options, durations)
{
    static const struct {
        const char *s;
        long long ns;
    } good[] = {{"500ms", 500000000}, {"10s", 10000000000}, {"1.5s", 1500000000}, {"2m", 120000000000}, {"0", 0},
                {"3", 3000000000},    {"250us", 250000},    {"1h", 3600000000000}, {"0s", 0}, {".5s", 500000000}};
    static const char *const bad[] = {"", "s", "ms", "-1s", "1 s", "1d", "1e3s", "inf", "nan", "0x10s", "1.2.3s", "99999999h",
                                      "+1s", ".", "10sec"};
    int64_t ns;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ns = -1;
        if (!options_duration(good[i].s, &ns) || ns != good[i].ns)
            weft_test_fail(__FILE__, __LINE__, "\"%s\" gives %lld", good[i].s, (long long)ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (options_duration(bad[i], &ns))
            weft_test_fail(__FILE__, __LINE__, "\"%s\" must not be a duration", bad[i]);
}
