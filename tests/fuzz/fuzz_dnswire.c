/*
 * fuzz_dnswire.c - answers of DNS servers as bytes, and names to ask about: the reader and the writer alone, without c-ares.
 *
 * Checks that no more addresses than there is room for are taken, that their families are right, and that a question that is
 * written is one that an answer's reader finds nothing wrong with.
 */
#include "../../src/net/dns/dns_wire.h"
#include "fuzz.h"

static void check_answer(const uint8_t *m, size_t n, int type)
{
    weft_addr a[3];
    struct weft__dns_found f = weft__dns_parse(m, n, type, a, 3);
    CHECK(f.count >= 0 && f.count <= 3);
    for (int i = 0; i < f.count; i++)
        CHECK(a[i].u.sa.sa_family == (type == WEFT__DNS_A ? AF_INET : AF_INET6));
    CHECK(!f.count || (f.err == 0 && f.ttl >= 0));
    CHECK(!f.absent || (f.absent_ttl >= 0 && f.absent_ttl <= INT32_MAX * WEFT_SEC));
}

static void check_name(const char *name)
{
    uint8_t m[WEFT__DNS_QUERY_MAX];
    weft_addr a[1];
    int n = weft__dns_query(7, name, WEFT__DNS_A, m);
    CHECK(n == WEFT_EADDR || (n > 17 && n <= WEFT__DNS_QUERY_MAX));
    if (n < 0)
        return;
    m[2] |= 0x80;   /* as an answer without records */
    struct weft__dns_found f = weft__dns_parse(m, (size_t)n, WEFT__DNS_A, a, 1);
    CHECK(f.err == 0 && f.count == 0);
    CHECK(weft__dns_parse(m, (size_t)n - 1, WEFT__DNS_A, a, 1).err == WEFT_EDNS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    CHECK(text);
    memcpy(text, data, size);
    text[size] = '\0';
    check_answer(data, size, WEFT__DNS_A);
    check_answer(data, size, WEFT__DNS_AAAA);
    check_name(text);
    free(text);
    return 0;
}
