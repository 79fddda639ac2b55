/*
 * ending.h - how the servers that tests/e2e starts learn that it is enough: by SIGTERM. ThreadSanitizer delays signals for
 * ever, so there it is the end of their stdin (tests/e2e/ending.py is the other side). And how a web server is run between.
 */
#ifndef ENDING_H
#define ENDING_H
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft/weft.h>

#include "weft_test.h"

static inline void ending_wait(void)
{
    if (WEFT_TEST_TSAN) {
        char byte;
        weft_block_begin();
        while (read(STDIN_FILENO, &byte, 1) > 0)
            ;
        weft_block_end();
        return;
    }
    weft_chan(int) got = weft_make(int, 1);
    weft_signal_notify(got, SIGTERM);
    (void)weft_recv(got);
    weft_signal_stop(got);
    weft_free(got);
}

static inline void ending_shutdown(weft_http_server *server, bool in_time)
{
    ending_wait();
    weft_ctx *ctx = weft_with_timeout(NULL, 30 * WEFT_SEC);
    if (weft_http_server_shutdown(ctx, server) < 0 && in_time)
        exit(1);
    weft_ctx_unref(ctx);
}

/* Serves on a port of its own, says "ready ADDRESS", and ends in good order when it is asked to; in_time: it is a failure when its clients
 * keep it from that for half a minute. The exit status. */
static inline int ending_serve(const struct weft_http_server_opts *opts, bool in_time)
{
    weft_http_server *server;
    weft_listener *ln;
    char addr[WEFT_ADDR_TEXT];
    if (weft_http_server_new(opts, &server) < 0 || weft_listen(&ln, "tcp", "127.0.0.1:0") < 0 || weft_listener_addr(ln, addr, sizeof addr) < 0)
        return 1;
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, ending_shutdown, server, in_time);
    printf("ready %s\n", addr);
    fflush(stdout);
    weft_err err = weft_http_serve(NULL, server, ln);
    weft_waitgroup_wait(&wg);
    weft_http_server_free(server);
    return err < 0;
}

#endif
