/*
 * prog_h2_site.c - the server that tests/e2e/h2.py asks with other programs' clients.
 *
 * usage: prog_h2_site [CERT KEY]; prints "ready ADDRESS". /hello; /echo sends the body back; /big/N sends N bytes;
 * /version says which protocol it was; /trailers. SIGTERM ends it: streams finish first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#include "ending.h"

static void echo(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[16384];
    ssize_t n;
    (void)arg;
    while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0)
        if (weft_http_reply_write(w, buf, (size_t)n) < 0)
            return;
}

static void big(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[4096];
    long n = atol(weft_http_request_value(rq, "n"));
    (void)arg;
    memset(buf, 'x', sizeof buf);
    for (; n > 0; n -= (long)sizeof buf)
        if (weft_http_reply_write(w, buf, n < (long)sizeof buf ? (size_t)n : sizeof buf) < 0)
            return;
}

static void version(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char text[40];
    (void)arg;
    snprintf(text, sizeof text, "%d\n", weft_http_request_version(rq));
    (void)weft_http_reply_text(w, 200, "text/plain", text);
}

static void hello(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)rq, (void)arg;
    (void)weft_http_reply_text(w, 200, "text/plain", "hello\n");
}

static void trailers(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)rq, (void)arg;
    (void)weft_http_reply_write(w, "body\n", 5);
    (void)weft_http_reply_trailer(w, "X-Sum", "42");
}

int main(int argc, char **argv)
{
    weft_http_mux *mux;
    struct weft_tls_config tls = {0};
    if (argc > 2) {
        tls.cert_file = argv[1];
        tls.key_file = argv[2];
    }
    if (weft_http_mux_new(&mux) < 0 || weft_http_mux_handle(mux, "/echo", echo, NULL) < 0 ||
        weft_http_mux_handle(mux, "/big/{n}", big, NULL) < 0 || weft_http_mux_handle(mux, "/version", version, NULL) < 0 ||
        weft_http_mux_handle(mux, "/hello", hello, NULL) < 0 || weft_http_mux_handle(mux, "/trailers", trailers, NULL) < 0)
        return 1;
    struct weft_http_server_opts opts = {.handler = weft_http_mux_handler, .arg = mux, .tls = argc > 2 ? &tls : NULL,
                                         .body_bytes_max = (uint64_t)1 << 30};
    int status = ending_serve(&opts, true);
    weft_http_mux_free(mux);
    return status;
}
