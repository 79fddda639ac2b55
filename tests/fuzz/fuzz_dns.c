/*
 * fuzz_dns.c - answers of a DNS server, through c-ares and the cache.
 *
 * A server on loopback answers each question with the input: as it is, but for the number of the question; or behind the
 * question's own head, so that the records are looked at. Checks that a lookup ends with addresses or with an error that
 * it may end with. First byte: how. A question may come when its lookup has been given up, so the server makes its answers
 * under a lock: what it does not find there any more it does not answer.
 */
#include "../../src/net/dns/dns.h"
#include "fuzz.h"

static struct {
    weft_conn *conn;
    char addr[WEFT_ADDR_TEXT];
    weft_mutex m;
    const struct fuzz_in *now;   /* [m] */
    uint8_t how;                 /* [m] */
} server;

/* With server.m. The question's head stays, records follow. */
static size_t reply(uint8_t *m, size_t n, const struct fuzz_in *in, size_t cap)
{
    size_t end = 12, at;
    while (end < n && m[end])
        end += m[end] + 1u;
    end += 5;
    at = end <= n && server.how & 1 ? end : 2;
    if (at == end) {
        m[2] = 0x84;
        m[3] = server.how >> 4;
        m[6] = m[8] = m[10] = 0;
        m[7] = server.how >> 1 & 3;
        m[9] = m[11] = server.how >> 3 & 1;
    }
    size_t k = in->n < cap - at ? in->n : cap - at;
    if (k)
        memcpy(m + at, in->p, k);
    return at + k;
}

static void serve(void)
{
    static uint8_t m[4096];
    weft_addr from;
    ssize_t n;
    while ((n = weft_conn_read_from(NULL, server.conn, m, 512, &from)) > 0) {
        size_t len = 0;
        weft_mutex_lock(&server.m);
        if (server.now)
            len = reply(m, (size_t)n, server.now, sizeof m);
        weft_mutex_unlock(&server.m);
        if (len)
            (void)weft_conn_write_to(NULL, server.conn, m, len, &from);
    }
}

static void answer_with(const struct fuzz_in *in, uint8_t how)
{
    weft_mutex_lock(&server.m);
    server.now = in;
    server.how = how;
    weft_mutex_unlock(&server.m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned number;
    struct fuzz_in in = {data, size};
    char host[40];
    weft_addr found[80];
    if (!server.conn) {
        CHECK(weft_listen_packet(&server.conn, "udp", "127.0.0.1:0") == 0);
        CHECK(weft_conn_local(server.conn, server.addr, sizeof server.addr) > 0);
        struct weft_resolver_opts o = {.servers = server.addr, .try_timeout = 20 * WEFT_MS, .tries = 1, .cache_max = 4};
        CHECK(weft_resolver_configure(&o) == 0);
        weft_go(serve);
    }
    uint8_t how = fuzz_byte(&in);
    answer_with(&in, how);
    snprintf(host, sizeof host, "n%u.test.", number++);
    int n = weft_resolve(NULL, host, found, 80);
    CHECK((n > 0 && n <= 64) || n == WEFT_ENOHOST || n == WEFT_EDNS || n == WEFT_EADDR);
    for (int i = 0; i < n; i++)
        CHECK(found[i].u.sa.sa_family == AF_INET || found[i].u.sa.sa_family == AF_INET6);
    answer_with(NULL, 0);
    return 0;
}
