/*
 * gone.c - a request's context ends when its client goes away.
 *
 * Role    A goroutine waits for the connection's end while a handler that asked for its context runs. Handlers that do
 *         not ask cost nothing.
 * Near    request.c; net/conn.c and poll/ (the END direction). Layer 5.
 *
 * Invariants
 *   K1  at most one watch per connection: it is stopped, and has ended, before the request ends.
 *   K2  it begins once the request's body is read: a client that sends and shuts its direction down is not gone before.
 *
 * Limits  A client that shuts its direction down while it waits for the answer counts as gone, as in Go.
 * Failure Memory is short: no watch, the context ends with the handler.
 */
#include <stdlib.h>
#include <weft/go.h>

#include "server_int.h"

struct weft__gone {
    weft_conn *conn;               /* [own] a reference */
    weft_ctx *ctx;                 /* [own] a reference */
    weft_chan(char) ended;         /* closed when the goroutine is through with this */
};

static void gone_watch(struct weft__gone *g)
{
    if (weft__conn_wait_end(g->conn) != WEFT_ECANCELED)   /* also when it is closed on this side: a conversation's */
        weft_cancel(g->ctx);
    weft_close(g->ended);
}

void weft__gone_start(struct weft_http_request *rq)
{
    if (rq->gone || !rq->x->wire.done)   /* K1, K2 */
        return;
    struct weft__gone *g = calloc(1, sizeof *g);
    if (!g)
        return;
    g->conn = weft_conn_ref(rq->x->sc->conn);
    g->ctx = weft_ctx_ref(rq->ctx);
    g->ended = weft_make(char);
    rq->gone = g;
    weft_go_named("http client watch", gone_watch, g);
}

void weft__gone_stop(struct weft_http_request *rq)
{
    struct weft__gone *g = rq->gone;
    if (!g)
        return;
    rq->gone = NULL;
    weft__conn_wake_end(g->conn);
    (void)weft_recv_ok(g->ended, NULL);
    weft_ctx_unref(g->ctx);
    weft_conn_unref(g->conn);
    weft_free(g->ended);
    free(g);
}
