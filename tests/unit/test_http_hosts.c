/* The table of a client's hosts: which bucket a host is in is nobody's to choose. Source: Carter and Wegman 1979. */
#include "../../src/base/keyhash.h"
#include "../../src/http/client_int.h"
#include "../include/weft_test.h"

/* Two pieces of seven bytes, with the same hash under `key` for every i: one more in the first, key less in the second. */
static void colliding(uint64_t key, uint64_t i, char ret[14])
{
    uint64_t first = 0x68u + i, second = 0x61616161616161u - i * key;
    memcpy(ret, &first, 7);
    memcpy(ret + 7, &second, 7);
}

TEST(http_hosts, strings_made_to_collide_under_one_key_do_not_under_another)
{
    const uint64_t known = 12345, other = weft__keyhash_key(0x0123456789abcdefu);
    enum { N = 2000, BUCKETS = 2048 };
    static uint16_t in_bucket[BUCKETS];
    char s[14];
    colliding(known, 0, s);
    uint64_t same = weft__keyhash(known, s, sizeof s);
    int most = 0;
    memset(in_bucket, 0, sizeof in_bucket);
    for (uint64_t i = 0; i < N; i++) {
        colliding(known, i, s);
        EXPECT_EQ(weft__keyhash(known, s, sizeof s), same);
        uint16_t *b = &in_bucket[weft__keyhash(other, s, sizeof s) % BUCKETS];
        most = ++*b > most ? *b : most;
    }
    EXPECT(most <= 12);   /* thrown at random: 7 */
}

TEST(http_hosts, every_byte_and_the_length_count)
{
    const uint64_t key = weft__keyhash_key(0xfedcba9876543210u);
    char s[40];
    for (size_t n = 0; n <= sizeof s; n++) {
        memset(s, 0, sizeof s);
        uint64_t plain = weft__keyhash(key, s, n);
        EXPECT(plain < WEFT__KEYHASH_P);
        EXPECT(n == 0 || plain != weft__keyhash(key, s, n - 1));
        for (size_t bit = 0; bit < 8 * n; bit++) {
            s[bit / 8] ^= (char)(1 << bit % 8);
            EXPECT(weft__keyhash(key, s, n) != plain);
            s[bit / 8] ^= (char)(1 << bit % 8);
        }
    }
}

/* The polynomial, a bit of the multiplier at a time. */
static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t sum = 0;
    for (; b; b >>= 1) {
        if (b & 1)
            sum = (sum + a) % WEFT__KEYHASH_P;
        a = 2 * a % WEFT__KEYHASH_P;
    }
    return sum;
}

TEST(http_hosts, the_hash_is_the_polynomial_that_it_says)
{
    const char s[] = "https://www.example.com:8443";
    const uint64_t keys[] = {1, 2, 12345, WEFT__KEYHASH_P - 1, weft__keyhash_key(0x9e3779b97f4a7c15u)};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        for (size_t n = 0; n < sizeof s; n++) {
            uint64_t want = n;
            size_t pieces = n < 8 ? 1 : (n - 8) / 7 + 2;   /* the last one has what is left, perhaps nothing */
            for (size_t i = 0; i < pieces; i++) {
                uint64_t piece = 0;
                memcpy(&piece, s + 7 * i, n - 7 * i < 7 ? n - 7 * i : 7);
                want = (times(want, keys[k]) + piece) % WEFT__KEYHASH_P;
            }
            want = times(want, keys[k]);
            EXPECT_EQ(weft__keyhash(keys[k], s, n), want);
        }
    }
}

/* The ports of one host: they differ in the last piece only, by multiples of 65,536, which the low bits of a sum would not show. */
TEST(http_hosts, ports_are_spread_whatever_the_key)
{
    enum { BITS = 12, FIRST = 10000, PORTS = 65536 - FIRST };
    static int bucket[1 << BITS];
    uint64_t key = 0x2545f4914f6cdd1du;
    for (int k = 0; k < 20; k++) {
        int most = 0;
        memset(bucket, 0, sizeof bucket);
        key = weft__keyhash_key(key * 6364136223846793005u + 1442695040888963407u);
        for (int port = FIRST; port < 65536; port++) {
            char s[64];
            int n = snprintf(s, sizeof s, "http://abcdefghij.test:%d", port);
            REQUIRE(n % WEFT__KEYHASH_PIECE == 0);   /* the last piece is "t:" and the port */
            int *b = &bucket[weft__keyhash(key, s, (size_t)n) & ((1 << BITS) - 1)];
            most = ++*b > most ? *b : most;
        }
        EXPECT(most < 20 * PORTS / (1 << BITS));
    }
}

static uint64_t host_hash(weft_http_client *c, const char *text)
{
    struct weft__url u = {0};
    u.text = u.near;
    REQUIRE(weft__url_parse(&u, text, strlen(text)) == 0);
    struct weft__host *h = weft__host_get(c, &u, false, 0, NULL);
    REQUIRE(h);
    uint64_t hash = h->hash;
    weft__host_put(c, h);
    weft__url_done(&u);
    return hash;
}

TEST(http_hosts, each_client_has_a_key_of_its_own)
{
    weft_http_client *a, *b;
    REQUIRE(weft_http_client_new(NULL, &a) == 0 && weft_http_client_new(NULL, &b) == 0);
    EXPECT_EQ(host_hash(a, "http://one.test/x"), host_hash(a, "http://one.test/y"));
    EXPECT(host_hash(a, "http://one.test/") != host_hash(a, "http://two.test/"));
    EXPECT(host_hash(a, "http://one.test/") != host_hash(b, "http://one.test/"));
    weft_http_client_free(a);
    weft_http_client_free(b);
}
