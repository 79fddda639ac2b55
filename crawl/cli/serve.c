/*
 * serve.c - `weft serve DIR [--addr HOST:PORT]`: a folder over HTTP, until Ctrl+C.
 *
 * Role    The first line on stdout tells where: "serving DIR on http://ADDR:PORT/". Scripts read the port from it.
 * Near    weft/http.h (weft_http_file_server), main.c. Sees the public headers only.
 * Limits  Ctrl+C or SIGTERM lets requests under way finish for 5 s; a second one ends at once.
 */
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#define GRACE (5 * WEFT_SEC)

static const char serve_usage[] =
    "usage: weft serve DIR [--addr HOST:PORT] [--list]\n"
    "\n"
    "Serves the files of DIR over HTTP until Ctrl+C.\n"
    "  --addr HOST:PORT   where to listen; default 127.0.0.1:8000; port 0: any free one\n"
    "  --list             show what is in folders that have no index.html\n";

struct serve_args {
    const char *dir, *addr;
    bool list;
};

/* 0: go on; 1: help was asked for and given; 2: bad command line, said on stderr. */
static int serve_parse(int argc, char **argv, struct serve_args *ret)
{
    struct serve_args a = {NULL, "127.0.0.1:8000", false};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(serve_usage, stdout);
            return 1;
        }
        if (strncmp(argv[i], "--addr=", 7) == 0) {
            a.addr = argv[i] + 7;
        } else if (strcmp(argv[i], "--addr") == 0 && i + 1 < argc) {
            a.addr = argv[++i];
        } else if (strcmp(argv[i], "--list") == 0) {
            a.list = true;
        } else if (argv[i][0] == '-' || a.dir) {
            fprintf(stderr, "weft serve: %s: %s (try: weft serve --help)\n", argv[i],
                    strcmp(argv[i], "--addr") == 0 ? "needs HOST:PORT" : a.dir && argv[i][0] != '-' ? "one folder only" : "unknown flag");
            return 2;
        } else {
            a.dir = argv[i];
        }
    }
    if (!a.dir) {
        fprintf(stderr, "weft serve: which folder? (try: weft serve --help)\n");
        return 2;
    }
    *ret = a;
    return 0;
}

/* Ends the server at the first signal; the second one ends the process. */
static void serve_stop_on_signal(weft_http_server *server, weft_chan(int) signals, weft_chan(char) stopped)
{
    if (weft_recv(signals) == 0)   /* closed: the server ended by itself */
        return;
    weft_signal_stop(signals);
    weft_ctx *ctx = weft_with_timeout(NULL, GRACE);
    (void)weft_http_server_shutdown(ctx, server);   /* what was cut off after the grace is not worth a status */
    weft_ctx_unref(ctx);
    weft_close(stopped);
}

static int serve_files(const struct serve_args *a, weft_http_files *files, weft_listener *ln)
{
    char at[WEFT_ADDR_TEXT];
    weft_http_server *server;
    struct weft_http_server_opts opts = {.handler = weft_http_file_handler, .arg = files};
    weft_err err = weft_http_server_new(&opts, &server);
    if (err < 0 || weft_listener_addr(ln, at, sizeof at) < 0) {
        fprintf(stderr, "weft serve: %s\n", weft_strerror(err));
        (void)weft_listener_close(ln);
        return 1;
    }
    weft_chan(int) signals = weft_make(int, 2);
    weft_chan(char) stopped = weft_make(char);
    weft_signal_notify(signals, SIGINT, SIGTERM);
    weft_go(serve_stop_on_signal, server, signals, stopped);
    printf("serving %s on http://%s/\n", a->dir, at);
    fflush(stdout);
    err = weft_http_serve(NULL, server, ln);
    if (err < 0) {
        fprintf(stderr, "weft serve: %s\n", weft_strerror(err));
        return 1;   /* the process ends, and the goroutines with it */
    }
    (void)weft_recv(stopped);
    weft_http_server_free(server);
    weft_free(signals);
    weft_free(stopped);
    return 0;
}

int serve_main(int argc, char **argv)
{
    struct serve_args a;
    int r = serve_parse(argc, argv, &a);
    if (r)
        return r == 1 ? 0 : r;
    weft_http_files *files;
    weft_err err = weft_http_file_server(a.dir, &files);
    if (err < 0) {
        fprintf(stderr, "weft serve: %s: %s\n", a.dir, weft_strerror(err));
        return 2;
    }
    weft_http_files_list(files, a.list);
    weft_listener *ln;
    err = weft_listen(&ln, "tcp", a.addr);
    if (err < 0) {
        fprintf(stderr, "weft serve: %s: %s\n", a.addr, weft_strerror(err));
        r = err == WEFT_EADDR ? 2 : 1;
    } else {
        r = serve_files(&a, files, ln);
    }
    weft_http_files_free(files);
    return r;
}
