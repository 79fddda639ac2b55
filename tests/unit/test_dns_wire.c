/*
 * test_dns_wire.c - DNS messages alone: questions as they are written, answers as they are read.
 */
#include "../../src/net/dns/dns_wire.h"
#include "dns_put.h"
#include "net_pair.h"

TEST(dns_wire, a_question_is_written_only_for_a_name)
{
    uint8_t m[WEFT__DNS_QUERY_MAX];
    static const char want[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\4test\0\0\x1c\0\1";
    char label[80], longest[256];
    EXPECT_EQ(weft__dns_query(0x1234, "www.test", WEFT__DNS_AAAA, m), (int)sizeof want - 1);
    EXPECT(memcmp(m, want, sizeof want - 1) == 0);
    EXPECT_EQ(weft__dns_query(0x1234, "www.test.", WEFT__DNS_AAAA, m), (int)sizeof want - 1);
    static const char *const bad[] = {"", ".", "..", "a..b", ".a", "a.."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT_EQ(weft__dns_query(1, bad[i], 1, m), WEFT_EADDR);
    for (int n = 62; n <= 65; n++) {
        snprintf(label, sizeof label, "%0*d", n, 0);
        EXPECT_EQ(weft__dns_query(1, label, 1, m), n <= 63 ? 12 + n + 2 + 4 : WEFT_EADDR);
    }
    for (int n = 252; n <= 255; n++) {
        for (int i = 0; i < n; i++)
            longest[i] = i % 2 ? '.' : 'a';
        longest[n] = '\0';
        int r = weft__dns_query(1, longest, 1, m);
        EXPECT_EQ(r, n <= 254 ? 12 + (n % 2 ? n : n - 1) + 2 + 4 : n == 255 ? WEFT_EADDR : 0);
    }
}

struct message {
    unsigned char m[512];
    size_t n;
};

/* An answer to "a.test": a CNAME, two addresses and a SOA record as told. */
static struct message message(int type, int rcode, int alias_ttl, int ttl, int soa_ttl, int soa_min)
{
    static const unsigned char alias[] = {1, 'b', 0xc0, 14}, four[] = {10, 0, 0, 1}, six[16] = {0xfd, [15] = 7};
    struct message r = {.m = "\0\7\x81\x80\0\1\0\0\0\0\0\0\1a\4test\0\0\1\0", .n = 24};
    r.m[3] |= (unsigned char)rcode;
    r.m[21] = (unsigned char)type, r.m[23] = 1;
    if (alias_ttl >= 0)
        r.n += put_record(r.m + r.n, 5, alias_ttl, alias, sizeof alias), r.m[7]++;
    for (int i = 0; ttl >= 0 && i < 2; i++)
        r.n += put_record(r.m + r.n, type, ttl + i, type == 1 ? four : six, type == 1 ? 4 : 16), r.m[7]++;
    if (soa_ttl >= 0)
        r.n += put_soa(r.m + r.n, soa_ttl, soa_min), r.m[9]++;
    return r;
}

TEST(dns_wire, an_answer_is_read)
{
    weft_addr a[4];
    char text[WEFT_ADDR_TEXT];
    struct message m = message(1, 0, 50, 300, -1, 0);
    struct weft__dns_found f = weft__dns_parse(m.m, m.n, 1, a, 4);
    EXPECT(f.err == 0 && f.count == 2 && f.ttl == 50 * WEFT_SEC && !f.absent);
    weft_addr_text(&a[1], text, sizeof text);
    EXPECT_STR(text, "10.0.0.1:0");
    EXPECT_EQ(weft__dns_parse(m.m, m.n, 1, a, 1).count, 1);
    EXPECT_EQ(weft__dns_parse(m.m, m.n, 28, a, 4).count, 0);
    m = message(28, 0, -1, 300, -1, 0);
    f = weft__dns_parse(m.m, m.n, 28, a, 4);
    EXPECT(f.count == 2 && f.ttl == 300 * WEFT_SEC);
    weft_addr_text(&a[0], text, sizeof text);
    EXPECT_STR(text, "[fd00::7]:0");
    m = message(1, 3, -1, -1, 900, 60);      /* no such name, and for how long: the smaller of the two */
    f = weft__dns_parse(m.m, m.n, 1, a, 4);
    EXPECT(f.err == 0 && f.count == 0 && f.absent && f.absent_ttl == 60 * WEFT_SEC);
    m = message(1, 0, 10, -1, 40, 600);      /* the name is there, an alias, without an address */
    f = weft__dns_parse(m.m, m.n, 1, a, 4);
    EXPECT(f.err == 0 && f.count == 0 && f.absent && f.absent_ttl == 40 * WEFT_SEC);
    m = message(1, 3, -1, -1, -1, 0);
    f = weft__dns_parse(m.m, m.n, 1, a, 4);
    EXPECT(f.err == 0 && f.count == 0 && !f.absent);
    m = message(1, 2, -1, 300, -1, 0);
    EXPECT_EQ(weft__dns_parse(m.m, m.n, 1, a, 4).err, WEFT_EDNS);
}

/* Each prefix, in memory of its own size so that a sanitizer sees a look too far, and each byte changed. */
TEST(dns_wire, an_answer_that_is_cut_or_wrong_is_read_no_further)
{
    struct message m = message(28, 0, 10, 300, 60, 60);
    weft_addr a[4];
    for (size_t n = 0; n <= m.n; n++) {
        unsigned char *copy = malloc(n ? n : 1);
        memcpy(copy, m.m, n);
        struct weft__dns_found f = weft__dns_parse(copy, n, 28, a, 4);
        EXPECT(f.count <= 2 && (n == m.n ? f.count == 2 : true) && (f.count || f.err || n == m.n));
        free(copy);
    }
    for (size_t i = 0; i < m.n * 256; i++) {
        struct message x = m;
        x.m[i / 256] = (unsigned char)i;
        EXPECT(weft__dns_parse(x.m, x.n, 28, a, 2).count <= 2);
    }
}
