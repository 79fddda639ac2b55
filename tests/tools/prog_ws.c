/*
 * prog_ws.c - both halves of WebSocket for tests/e2e/ws.py, which puts other programs' halves against them.
 *
 * usage: prog_ws serve [CERT KEY]   prints "ready ADDRESS". /echo sends each message back, /parts piece by piece; /close?CODE closes.
 *                                   SIGTERM ends it: conversations get 1001.
 *        prog_ws ask URL [CAFILE]   texts, bytes, pings and a close with an echo at URL; "fine", or what is not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#include "ending.h"

static const struct weft_ws_opts opts = {.message_bytes_max = 16 << 20, .protocols = "weft.v2, weft.v1"};

static void echo_parts(weft_ws *ws)
{
    char buf[5000];
    int type;
    ssize_t n;
    while (weft_ws_read_begin(NULL, ws, &type) > 0) {
        if (weft_ws_write_begin(NULL, ws, type) < 0)
            return;
        while ((n = weft_ws_read_part(NULL, ws, buf, sizeof buf)) > 0)
            if (weft_ws_write_part(NULL, ws, buf, (size_t)n) < 0)
                return;
        if (n < 0 || weft_ws_write_end(NULL, ws) < 0)
            return;
    }
}

static void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    const char *path = weft_http_request_path(rq), *query = weft_http_request_query(rq);
    struct weft_ws_message m;
    weft_ws *ws;
    (void)arg;
    if (weft_ws_accept(rq, w, &opts, &ws) < 0)
        return;
    weft_defer(weft_ws_free, ws);
    if (strcmp(path, "/close") == 0) {
        (void)weft_ws_close(NULL, ws, query ? (int)strtol(query, NULL, 10) : 0, query ? "as asked" : NULL);
    } else if (strcmp(path, "/parts") == 0) {
        echo_parts(ws);
    } else {
        while (weft_ws_read(NULL, ws, &m) > 0)
            if (weft_ws_write(NULL, ws, m.type, m.data, m.len) < 0)
                return;
    }
}

static int serve(int argc, char **argv)
{
    struct weft_tls_config tls = {0};
    if (argc > 3) {
        tls.cert_file = argv[2];
        tls.key_file = argv[3];
    }
    struct weft_http_server_opts so = {.handler = handle, .tls = argc > 3 ? &tls : NULL};
    return ending_serve(&so, true);
}

static void need(bool ok, const char *what, weft_err err)
{
    if (ok)
        return;
    printf("not so: %s (%s)\n", what, weft_strerror(err));
    exit(1);
}

static void ask_echo(weft_ws *ws, int type, size_t n)
{
    struct weft_ws_message m = {0};
    char *data = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        data[i] = (char)(type == WEFT_WS_TEXT ? ' ' + i % 90 : i * 7);
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, weft_ws_write, NULL, ws, type, data, n);
    int state = weft_ws_read(NULL, ws, &m);
    need(state == 1 && m.type == type && m.len == n && (!n || memcmp(m.data, data, n) == 0), "an echo", state);
    weft_waitgroup_wait(&wg);
    free(data);
}

static void read_on(weft_ws *ws)
{
    struct weft_ws_message m;
    while (weft_ws_read(NULL, ws, &m) > 0)
        continue;
}

static int ask(int argc, char **argv)
{
    static const size_t sizes[] = {0, 1, 125, 126, 1000, 65535, 65536, 1000000};
    struct weft_tls_config trust = {.ca_file = argc > 3 ? argv[3] : NULL};
    struct weft_http_client_opts co = {.tls = argc > 3 ? &trust : NULL, .timeout = 60 * WEFT_SEC};
    char why[200] = "";
    struct weft_ws_opts o = {.message_bytes_max = -1, .protocols = "weft.v1", .reterr_text = why, .reterr_size = sizeof why};
    weft_http_client *c;
    weft_ws *ws;
    need(weft_http_client_new(&co, &c) == 0, "a client", 0);
    weft_err err = weft_ws_dial(NULL, c, argv[2], &o, &ws);
    need(err == 0, why, err);
    need(strcmp(weft_ws_protocol(ws), "weft.v1") == 0, "the subprotocol", 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ask_echo(ws, WEFT_WS_TEXT, sizes[i]);
        ask_echo(ws, WEFT_WS_BINARY, sizes[i]);
    }
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, read_on, ws);
    for (int i = 0; i < 10; i++) {
        err = weft_ws_ping(NULL, ws);
        need(err == 0, "a pong", err);
    }
    err = weft_ws_close(NULL, ws, 4321, "done");
    weft_waitgroup_wait(&wg);
    int code = weft_ws_closed(ws, NULL);
    need(err == 0 && (code == 4321 || code == 1000), "the close is answered, in kind or with 1000", err);
    weft_ws_free(ws);
    weft_http_client_free(c);
    puts("fine");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "serve") == 0)
        return serve(argc, argv);
    return argc > 2 && strcmp(argv[1], "ask") == 0 ? ask(argc, argv) : 2;
}
