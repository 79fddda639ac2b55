/*
 * fuzz_tls.c - TLS handshakes with a peer that says anything, as server and as client.
 *
 * Checks that a handshake ends in an error with words, that reads and writes do after it, and that nothing leaks into
 * other connections' errors. First byte: which side; then the seed of the pieces. The records are as they come, or with
 * headers of their own: then "type, length" and that many bytes.
 */
#include "fuzz.h"
#include "../include/weft_test.h"
#undef REQUIRE
#define REQUIRE(c) CHECK(c) /* there is no test that could fail */
#include "../unit/http_cert.h"

static struct {
    char addr[64];
    weft_listener *ln;
    struct weft_tls_config server;
    bool is_server;
} side;

static struct cert cert;

static void drop_cert(void)
{
    cert_drop(&cert);
}

static void shake_hands(weft_conn *c)
{
    weft_conn *tls = NULL;
    char buf[100];
    struct weft_tls_config client = {.insecure = true, .server_name = "h.test", .alpn = "h2,http/1.1"};
    weft_err err = side.is_server ? weft_tls_server(NULL, c, &side.server, &tls) : weft_tls_client(NULL, c, &client, &tls);
    CHECK(err <= 0);
    if (err < 0)
        CHECK(err == WEFT_EEOF || err == -ECONNRESET || err == -EPIPE || *weft_tls_error(c));
    else
        while (weft_conn_read(NULL, tls, buf, sizeof buf) > 0)
            ;
    (void)weft_conn_close(c);
}

static void accept_all(void)
{
    weft_conn *c;
    while (weft_accept(NULL, side.ln, &c) == 0)
        weft_go(shake_hands, c);
}

static void begin(void)
{
    if (side.ln)
        return;
    cert_make(&cert);
    atexit(drop_cert);
    side.server = (struct weft_tls_config){.cert_file = cert.crt, .key_file = cert.key, .alpn = "h2,http/1.1"};
    CHECK(weft_tls_check(&side.server) == 0);
    snprintf(side.addr, sizeof side.addr, "@weft-fuzz-tls-%d", (int)getpid());
    CHECK(weft_listen(&side.ln, "unix", side.addr) == 0);
    weft_go(accept_all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    uint8_t how = fuzz_byte(&in);
    uint32_t split = fuzz_byte(&in);
    begin();
    side.is_server = how & 1;
    size_t n = 0, got;
    uint8_t *bytes = malloc(6 * in.n + 1);
    CHECK(bytes);
    if (how & 2) {
        memcpy(bytes, in.p, in.n);
        n = in.n;
    }
    while (!(how & 2) && in.n) {
        uint8_t type = 20 + (fuzz_byte(&in) & 3);
        size_t len = fuzz_byte(&in);
        len = len < in.n ? len : in.n;
        const uint8_t head[5] = {type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len};
        memcpy(bytes + n, head, 5);
        memcpy(bytes + n + 5, in.p, len);
        n += 5 + len;
        in.p += len;
        in.n -= len;
    }
    char *answer = fuzz_exchange("unix", side.addr, bytes, n, split, &got);
    free(answer);
    free(bytes);
    return 0;
}
