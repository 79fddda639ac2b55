/*
 * test_crawl_polite.c - private addresses, scope, Retry-After.
 *
 * Role    polite/.
 */
#include "../../crawl/polite/private_addr.h"
#include "../../crawl/polite/retry_after.h"
#include "../../crawl/polite/scope.h"
#include <arpa/inet.h>
#include <weft_test.h>

static bool is_private(const char *text)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &a4.sin_addr) == 1)
        return private_addr((struct sockaddr *)&a4);
    REQUIRE(inet_pton(AF_INET6, text, &a6.sin6_addr) == 1);
    return private_addr((struct sockaddr *)&a6);
}

TEST(crawl_polite, private_addresses_are_known)
{
    static const char *const private[] = {
        "127.0.0.1", "127.255.255.255", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254",
        "100.64.0.1", "100.127.255.255", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "255.255.255.255", "198.18.0.1",
        "::", "::1", "fc00::1", "fdff::1", "fe80::1", "febf::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "2001:db8::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "3fff::1",
        "64:ff9b:1::a00:1", "::ffff:0:7f00:1",
    };
    static const char *const public[] = {
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.1.1", "192.169.1.1", "100.63.1.1",
        "100.128.0.0", "126.1.1.1", "128.0.0.1", "223.255.255.255", "2606:4700::1111", "2001:200::1", "3fff:1000::1",
        "::ffff:1.1.1.1", "2002:101:101::",
    };
    for (size_t i = 0; i < sizeof private / sizeof *private; i++)
        if (!is_private(private[i]))
            weft_test_fail(__FILE__, __LINE__, "%s must be private", private[i]);
    for (size_t i = 0; i < sizeof public / sizeof *public; i++)
        if (is_private(public[i]))
            weft_test_fail(__FILE__, __LINE__, "%s must be public", public[i]);
    struct sockaddr other = {.sa_family = AF_UNIX};
    EXPECT(private_addr(&other));
}

static bool in_scope(const struct scope *s, const char *url)
{
    struct text t = {0};
    struct canon_parts p;
    struct canon *c = canon_new();
    REQUIRE(canon_url(c, url, strlen(url), LXB_ENCODING_UTF_8, &t, &p) == CANON_OK);
    bool yes = scope_has(s, t.p, &p);
    text_done(&t);
    canon_free(c);
    return yes;
}
static void scope_give(struct scope *s, const char *url)
{
    struct text t = {0};
    struct canon_parts p;
    struct canon *c = canon_new();
    REQUIRE(canon_url(c, url, strlen(url), LXB_ENCODING_UTF_8, &t, &p) == CANON_OK);
    scope_add(s, t.p, &p);
    text_done(&t);
    canon_free(c);
}

TEST(crawl_polite, scope_is_the_hosts_given)
{
    struct scope s = {0};
    EXPECT(!in_scope(&s, "http://example.org/"));
    scope_give(&s, "http://example.org/start");
    scope_give(&s, "http://127.0.0.1:8080/");
    EXPECT(in_scope(&s, "http://example.org/other"));
    EXPECT(in_scope(&s, "https://www.example.org/"));
    EXPECT(!in_scope(&s, "http://blog.example.org/"));
    EXPECT(!in_scope(&s, "http://example.org:8080/"));
    EXPECT(!in_scope(&s, "http://example.org.evil.test/"));
    EXPECT(in_scope(&s, "http://127.0.0.1:8080/x"));
    EXPECT(!in_scope(&s, "http://127.0.0.1:8081/x"));
    EXPECT(!in_scope(&s, "http://127.0.0.1/x"));
    scope_done(&s);
}

TEST(crawl_polite, scope_holds_many_hosts)
{
    struct scope s = {0};
    char url[64];
    for (int i = 0; i < 1000; i++) {
        snprintf(url, sizeof url, "http://h%d.test/", i);
        scope_give(&s, url);
        scope_give(&s, url);
    }
    EXPECT_EQ(s.len, 1000);
    EXPECT(in_scope(&s, "http://h999.test/"));
    EXPECT(!in_scope(&s, "http://h1000.test/"));
    scope_done(&s);
}

TEST(crawl_polite, retry_after_is_seconds_or_a_date)
{
    time_t now = 784111777;                 /* Sun, 06 Nov 1994 08:49:37 GMT */
    EXPECT_EQ(retry_after_ms("120", now), 120000);
    EXPECT_EQ(retry_after_ms("0", now), 0);
    EXPECT_EQ(retry_after_ms("Sun, 06 Nov 1994 08:49:47 GMT", now), 10000);
    EXPECT_EQ(retry_after_ms("Sunday, 06-Nov-94 08:49:47 GMT", now), 10000);
    EXPECT_EQ(retry_after_ms("Sun Nov  6 08:49:47 1994", now), 10000);
    EXPECT_EQ(retry_after_ms("Sun, 06 Nov 1994 08:00:00 GMT", now), 0);
    EXPECT_EQ(retry_after_ms("99999999999999999999", now), 1000000000000);
    EXPECT_EQ(retry_after_ms("soon", now), -1);
    EXPECT_EQ(retry_after_ms("10 s", now), -1);
    EXPECT_EQ(retry_after_ms("", now), -1);
    EXPECT_EQ(retry_after_ms(NULL, now), -1);
}
