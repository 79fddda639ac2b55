/*
 * fuzz_client.c - the HTTP client against a server that says anything: HTTP/1.1 and HTTP/2.
 *
 * The server answers every connection with the input and closes. Checks that a call ends in a response or an error with
 * words, that a body ends or fails for good (R1), and stays within the client's limit. Bytes: how; seed of the pieces; then
 * what the server says. Redirects lead back to the same server, whatever host they name.
 */
#include "frames.h"

#define BODY_MAX 200000

static struct {
    char addr[WEFT_ADDR_TEXT], url[WEFT_ADDR_TEXT + 16];
    weft_listener *ln;
    const uint8_t *bytes;
    size_t len;
    uint32_t split;
    weft_waitgroup conns;      /* they read bytes */
} peer;

static void peer_conn(weft_conn *c)
{
    char buf[2048];
    uint32_t split = peer.split;
    (void)weft_conn_set_deadline(c, weft_now() + 20 * WEFT_SEC);
    if (weft_conn_read(NULL, c, buf, sizeof buf) > 0) {
        for (size_t pos = 0, k; pos < peer.len; pos += k) {
            k = fuzz_piece(&split, peer.len - pos);
            if (weft_conn_write(NULL, c, peer.bytes + pos, k) < 0)
                break;
        }
        (void)weft_conn_close_write(c);
        while (weft_conn_read(NULL, c, buf, sizeof buf) > 0)
            ;
    }
    (void)weft_conn_close(c);
}

static void peer_loop(void)
{
    weft_conn *c;
    while (weft_accept(NULL, peer.ln, &c) == 0)
        weft_waitgroup_go(&peer.conns, peer_conn, c);
}

static void peer_begin(void)
{
    if (peer.ln)
        return;
    CHECK(weft_listen(&peer.ln, "tcp", "127.0.0.1:0") == 0 && weft_listener_addr(peer.ln, peer.addr, sizeof peer.addr) > 0);
    snprintf(peer.url, sizeof peer.url, "http://%s/", peer.addr);
    weft_go(peer_loop);
}

/* Redirects stay here. */
static int on_redirect(int number, int status, const char *from, const char *to, void *arg)
{
    (void)number, (void)status, (void)from, (void)arg;
    return strncmp(to, peer.url, strlen(peer.url)) == 0 ? WEFT_HTTP_FOLLOW : WEFT_HTTP_KEEP;
}

static void read_body(weft_http_response *r)
{
    char buf[5000];
    uint64_t n = 0;
    ssize_t k;
    while ((k = weft_http_body_read(NULL, r, buf, sizeof buf)) > 0)
        n += (uint64_t)k;
    CHECK(n <= BODY_MAX);
    if (k < 0)
        CHECK(weft_http_body_read(NULL, r, buf, sizeof buf) == k && *weft_http_error_text(r));   /* R1 */
    struct weft_http_field f;
    for (size_t i = 0; weft_http_trailer_at(r, i, &f); i++)
        CHECK(strlen(f.name) < 65536);
}

static void call(const struct weft_http_client_opts *o, const char *method)
{
    weft_http_client *c;
    weft_http_response *r;
    char words[100] = "";
    struct weft_http_call k = {.url = peer.url, .method = method, .reterr_text = words, .reterr_size = sizeof words};
    if (strcmp(method, "POST") == 0) {
        k.body = "hello";
        k.body_len = 5;
    }
    CHECK(weft_http_client_new(o, &c) == 0);
    weft_err err = weft_http_do(NULL, c, &k, &r);
    if (err == 0) {
        struct weft_http_field f;
        int status = weft_http_status(r);
        CHECK(status >= 200 && status <= 999);
        for (size_t i = 0; weft_http_header_at(r, i, &f); i++)
            CHECK(*f.name);
        read_body(r);
        weft_http_response_free(r);
    } else {
        CHECK(err < 0 && *words);
    }
    weft_http_client_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char settings[] = "\0\0\0\4\0\0\0\0";
    static const char block[] = "\x88\x5c\x01\x33";   /* 200, content-length: 3 */
    static const char *const methods[] = {"GET", "HEAD", "POST", "DELETE"};
    struct fuzz_in in = {data, size};
    uint8_t how = fuzz_byte(&in);
    weft_http_jar *jar;
    peer_begin();
    peer.split = fuzz_byte(&in);
    if (in.n > 20000)
        return 0;
    uint8_t *bytes = NULL;
    if (how & 4)
        peer.bytes = bytes = frames_of(in, how & 8, settings, how & 16 ? 0 : 9, block, sizeof block - 1, &peer.len);
    else
        peer.bytes = in.p, peer.len = in.n;
    CHECK(weft_http_jar_new(&jar) == 0);
    struct weft_http_client_opts o = {.http2 = how & 4 ? WEFT_HTTP2_ALWAYS : 0, .jar = jar, .body_bytes_max = BODY_MAX,
                                      .head_bytes_max = 8192, .redirects_max = 2, .timeout = 10 * WEFT_SEC, .on_redirect = on_redirect};
    call(&o, methods[how & 3]);
    weft_http_jar_free(jar);
    weft_waitgroup_wait(&peer.conns);
    free(bytes);
    return 0;
}
