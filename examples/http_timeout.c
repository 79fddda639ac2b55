/*
 * http_timeout.c - a server that answers 504 when the work behind it takes too long.
 *
 * Each request has a context. The handler gives the work a child of it with a time limit, and waits for whichever comes
 * first: the result or the end of the context. The work looks at the same context, so it stops as well.
 *
 * Build    cc http_timeout.c $(pkg-config --cflags --libs weft) -o http_timeout
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

static weft_waitgroup queries;

/* Stands for a slow data base. The result channel has room for one: the work never waits for a handler that has gone. */
static void query(weft_ctx *ctx, weft_dur takes, weft_chan(const char *) result)
{
    weft_defer(weft_ctx_unref, ctx);
    switch (weft_select(weft_on_timeout(takes), weft_on_recv(weft_ctx_done(ctx), NULL))) {
    case 0:
        weft_send(result, "42 rows\n");
        break;
    case 1:
        weft_close(result); /* given up */
    }
}

static void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    weft_dur takes = strcmp(weft_http_request_path(rq), "/slow") == 0 ? WEFT_MIN : WEFT_MS, limit = *(weft_dur *)arg;
    weft_ctx *ctx = weft_with_timeout(weft_http_request_ctx(rq), limit);
    weft_defer(weft_ctx_unref, ctx);
    weft_chan(const char *) result = weft_make(const char *, 1);
    const char *rows;

    weft_waitgroup_go(&queries, query, weft_ctx_ref(ctx), takes, result);
    if (weft_recv_ok(result, &rows))
        weft_http_reply_text(w, 200, "text/plain", rows);
    else
        weft_http_reply_text(w, 504, "text/plain", "the data base did not answer in time\n");
    weft_free(result);
}

static void serve(weft_http_server *server, weft_listener *ln)
{
    if (weft_http_serve(NULL, server, ln) < 0)
        puts("the server failed");
}

static void get(weft_http_client *client, const char *addr, const char *path)
{
    char url[WEFT_ADDR_TEXT + 32], *body;
    weft_http_response *resp;
    size_t len;

    snprintf(url, sizeof url, "http://%s%s", addr, path);
    weft_err err = weft_http_get(NULL, client, url, &resp);
    if (err == 0) {
        weft_defer(weft_http_response_free, resp);
        err = weft_http_body_read_all(NULL, resp, 1 << 20, &body, &len);
        if (err == 0) {
            printf("GET %s: %d %s", path, weft_http_status(resp), body);
            free(body);
        }
    }
    if (err < 0)
        printf("GET %s: %s\n", path, weft_strerror(err));
}

int main(void)
{
    weft_dur limit = 500 * WEFT_MS;
    struct weft_http_server_opts opts = {.handler = handle, .arg = &limit};
    weft_http_server *server;
    weft_http_client *client;
    weft_waitgroup serving = {0};
    weft_listener *ln;
    char addr[WEFT_ADDR_TEXT];

    if (weft_http_server_new(&opts, &server) < 0 || weft_http_client_new(NULL, &client) < 0 ||
        weft_listen(&ln, "tcp", "127.0.0.1:0") < 0 || weft_listener_addr(ln, addr, sizeof addr) < 0)
        return 1;
    weft_waitgroup_go(&serving, serve, server, ln);
    get(client, addr, "/quick");
    get(client, addr, "/slow");
    weft_waitgroup_wait(&queries);
    puts("no query is left over");
    weft_http_client_free(client);
    weft_http_server_shutdown(NULL, server);
    weft_waitgroup_wait(&serving); /* weft_http_serve has returned */
    weft_http_server_free(server);
    return 0;
}
