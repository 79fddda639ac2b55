/* test_map_hash.c - which bucket of a map a key goes to. It includes map.c, whose tables it makes itself. */
#include "../../src/sync/map.c"
#include <weft_test.h>

enum { PAIRS = 10, STRINGS = 1 << PAIRS, PIECE = 10 };

/* Two strings that FNV-1a takes from any state with the lowest byte 0x5a to one state, which has that lowest byte again. So all
 * strings made of PAIRS of them have one hash. Found by reducing the lattice of the prime's powers modulo 2^64. */
static const char piece[2][PIECE + 1] = {"l*M<'Sq`s5", "T5\xce[;3=;\xc8."};

static void chosen(unsigned i, char ret_s[PAIRS * PIECE + 1])
{
    for (int at = 0; at < PAIRS; at++)
        memcpy(ret_s + (size_t)at * PIECE, piece[i >> at & 1], PIECE);
    ret_s[PAIRS * PIECE] = 0;
}

static uint64_t fnv(uint64_t h, const char *s)
{
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return h;
}

/* As many strings as buckets, and none of 1,024 has more than a few: with one hash, all would be in one. */
TEST(map_hash, spreads_strings_that_collide_under_fnv_with_a_random_start)
{
    static uint16_t in_bucket[STRINGS];
    char s[PAIRS * PIECE + 1];

    for (uint64_t n = 0; n < 16; n++) {
        uint64_t start = (n * 0x9e3779b97f4a7c15u << 8) | 0x5a; /* as map.c had it, its seed xor FNV's start */
        struct weft__map_table t = {.seed = start ^ 0xcbf29ce484222325u, .key = weft__keyhash_key(start)};
        uint16_t most = 0;
        uint64_t same = 0;

        memset(in_bucket, 0, sizeof in_bucket);
        for (unsigned i = 0; i < STRINGS; i++) {
            chosen(i, s);
            same = i == 0 ? fnv(start, s) : same;
            EXPECT_EQ(fnv(start, s), same);
            uint64_t hash = map_hash(&t, (weft_map_key){.s = s});
            uint16_t *b = &in_bucket[(hash >> 59) * (STRINGS / MAP_SHARDS) + hash % (STRINGS / MAP_SHARDS)];
            if (++*b > most)
                most = *b;
        }
        EXPECT(most <= 12);
    }
}

/* Each map draws its key. */
TEST(map_hash, differs_between_maps)
{
    weft_map a = {0}, b = {0};
    weft_map_key k = {.s = "https://example.org/"};

    EXPECT(map_hash(map_table(&a), k) != map_hash(map_table(&b), k));
    EXPECT(map_hash(map_table(&a), k) == map_hash(map_table(&a), k));
    weft_map_free(&a);
    weft_map_free(&b);
}
