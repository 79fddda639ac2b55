/*
 * prog_abuse_site.c - the server that tests/e2e/abuse.py and clients.py ask: small limits, so that abuse ends soon.
 *
 * usage: prog_abuse_site [HEAD_MS IO_MS IDLE_MS]; prints "ready ADDRESS". /hello; /echo sends the body back; /big/N sends N bytes;
 * /slow/MS answers after MS milliseconds; /trailer says the request's trailer X-Sum. SIGTERM ends it: requests under way finish first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#include "ending.h"

static void hello(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)rq, (void)arg;
    (void)weft_http_reply_text(w, 200, "text/plain", "hello\n");
}

static void echo(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[16384];
    ssize_t n;
    (void)arg;
    while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0)
        if (weft_http_reply_write(w, buf, (size_t)n) < 0)
            return;
    if (n < 0) /* too late or broken: 408 if nothing was sent yet */
        (void)weft_http_reply_text(w, n == WEFT_EDEADLINE ? 408 : 400, "text/plain", "no body\n");
}

static void big(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[16384];
    long n = strtol(weft_http_request_value(rq, "n"), NULL, 10);
    (void)arg;
    memset(buf, 'x', sizeof buf);
    for (; n > 0; n -= (long)sizeof buf)
        if (weft_http_reply_write(w, buf, n < (long)sizeof buf ? (size_t)n : sizeof buf) < 0)
            return;
}

static void slow(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    weft_sleep(strtol(weft_http_request_value(rq, "ms"), NULL, 10) * WEFT_MS);
    hello(rq, w, NULL);
}

/* What stands behind the request's body as X-Sum. */
static void trailer(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[4096];
    (void)arg;
    while (weft_http_request_read(rq, buf, sizeof buf) > 0)
        continue;
    const char *sum = weft_http_request_trailer(rq, "X-Sum");
    (void)weft_http_reply_text(w, 200, "text/plain", sum ? sum : "-");
}

static weft_dur ms(int argc, char **argv, int i)
{
    return argc > i ? strtol(argv[i], NULL, 10) * WEFT_MS : 0;
}

int main(int argc, char **argv)
{
    weft_http_mux *mux;
    if (weft_http_mux_new(&mux) < 0 || weft_http_mux_handle(mux, "/hello", hello, NULL) < 0 ||
        weft_http_mux_handle(mux, "/echo", echo, NULL) < 0 || weft_http_mux_handle(mux, "/big/{n}", big, NULL) < 0 ||
        weft_http_mux_handle(mux, "/slow/{ms}", slow, NULL) < 0 || weft_http_mux_handle(mux, "/trailer", trailer, NULL) < 0)
        return 1;
    struct weft_http_server_opts opts = {.handler = weft_http_mux_handler, .arg = mux, .head_timeout = ms(argc, argv, 1),
                                         .io_timeout = ms(argc, argv, 2), .idle_timeout = ms(argc, argv, 3)};
    int status = ending_serve(&opts, false);
    weft_http_mux_free(mux);
    return status;
}
