/*
 * accept_peers.c - one HTTP client, told line by line what to fetch: the program behind client_peers.py.
 *
 * usage   accept_peers [CA.pem]
 *
 * Role    Each line of standard input is "METHOD URL BODY ASK CODED"; BODY is "-" or bytes of 'u' given by a reader, with ASK 1
 *         after a 100-continue; with CODED 1 the body stays as it comes. "nap MS" sleeps. Each request gives one line: status
 *         (or the error's name), HTTP version, whether the connection was open already, bytes of body, their FNV-1a hash, how
 *         the body ended (0 or an error's name), and the redirects followed. All share one client, so connections are kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

static weft_http_client *plain, *coded;

static ssize_t give(weft_ctx *ctx, void *arg, void *ret_buf, size_t n)
{
    size_t *left = arg;
    (void)ctx;
    n = n < *left ? n : *left;
    memset(ret_buf, 'u', n);
    *left -= n;
    return (ssize_t)n;
}

static void fetch(const char *method, const char *url, const char *body, bool ask, bool as_it_comes)
{
    weft_http_response *r;
    struct weft_http_times t;
    struct weft_http_field field = {"If-None-Match", "*"};   /* for the peer that answers 304 */
    size_t left = strtoul(body, NULL, 10), bytes = 0;
    struct weft_http_call call = {.method = method, .url = url, .expect_continue = ask, .timeout = 120 * WEFT_SEC, .fields = &field,
                                  .fields_len = strstr(url, "etag") != NULL};
    if (*body != '-') {
        call.body_read = give;
        call.body_arg = &left;
        call.body_bytes = ask ? 0 : (int64_t)left;
    }
    weft_err err = weft_http_do(NULL, as_it_comes ? coded : plain, &call, &r);
    if (err < 0) {
        printf("%s 0 0 0 0 0 0\n", weft_strerror(err));
        return;
    }
    const void *piece;
    uint32_t hash = 2166136261u;
    ssize_t n;
    while ((n = weft_http_body_next(NULL, r, &piece)) > 0) {
        bytes += (size_t)n;
        for (ssize_t i = 0; i < n; i++)
            hash = (hash ^ ((const unsigned char *)piece)[i]) * 16777619u;
    }
    weft_http_times(r, &t);
    printf("%d %d %d %zu %u %d %d\n", weft_http_status(r), weft_http_version(r), t.reused, bytes, hash, (int)n, weft_http_redirects(r));
    weft_http_response_free(r);
}

int main(int argc, char **argv)
{
    char line[4096], method[32], url[3000], body[32];
    struct weft_tls_config tls = {.ca_file = argc > 1 ? argv[1] : NULL};
    struct weft_http_client_opts o = {.tls = &tls, .timeout = 120 * WEFT_SEC};
    if (weft_http_client_new(&o, &plain) < 0)
        return 1;
    o.no_decode = true;
    if (weft_http_client_new(&o, &coded) < 0)
        return 1;
    while (fgets(line, sizeof line, stdin)) {
        int ask, as_it_comes, ms;
        if (sscanf(line, "nap %d", &ms) == 1)
            weft_sleep(ms * WEFT_MS);
        else if (sscanf(line, "%31s %2999s %31s %d %d", method, url, body, &ask, &as_it_comes) == 5)
            fetch(method, url, body, ask, as_it_comes);
        else
            return 2;
        fflush(stdout);
    }
    weft_http_client_free(plain);
    weft_http_client_free(coded);
    return 0;
}
