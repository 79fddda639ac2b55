/*
 * upload.c - a request's body that is sent while its answer is read.
 *
 * Role    A server may answer before it has all of a body: refuse it, or echo it. So a body that does not fit the first write
 *         goes from a goroutine of its own, while the caller's waits for the head, and reads. Near hop.c, which starts it for
 *         HTTP/1; h2call.c, which does for HTTP/2; sendreq.c (the bytes). Layer 5.
 *
 * Invariants
 *   G1  r->upload set  <=>  a sender runs, or is through and not yet joined. It is joined before the hop's connection goes
 *       anywhere: nobody else writes on it meanwhile.
 *   G2  Once weft_http_do has returned, rest points to memory of ours: what the caller lent for the call is not touched.
 *   G3  An error of the connection wakes nobody: who reads the answer meets the same, behind what the server said before it.
 *       Any other error ends that wait, and is told in its stead.
 *
 * Locks   upload->lock, a goroutine's mutex: held over one send that does not wait, or one copy.
 * Limits  one goroutine and one context for each; a server that has answered in full is given 50 ms to take the last bytes,
 *         then the connection is closed. A reader that is asked for a piece is waited for, unless it heeds its context.
 * Failure told by weft__upload_failed.
 * Source  Go net/http transport.go: writeLoop, maxWriteWaitBeforeConnReuse.
 */
#include "upload.h"

#include <stdlib.h>
#include <string.h>
#include <weft/ctx.h>
#include <weft/go.h>
#include <weft/select.h>

#include "../net/conn_int.h"

#define LAST_BYTES (50 * WEFT_MS)

/* ---- HTTP/1 ---- */

/* One send of rest. True: there is more. */
static weft_err memory_step(struct weft__upload *u, weft_conn *conn, bool *ret_more)
{
    weft_mutex_lock(&u->lock);
    ssize_t n = weft__conn_try_write(conn, u->rest, u->rest_len);
    if (n > 0) {
        u->rest += n;
        u->rest_len -= (size_t)n;
    }
    *ret_more = u->rest_len != 0;
    weft_mutex_unlock(&u->lock);
    return n < 0 ? (weft_err)n : 0;
}

static weft_err send_http1(struct weft__upload *u, bool *ret_own)
{
    weft_conn *conn = u->r->hc->conn;
    if (u->body.read)
        return weft__request_stream(u->ctx, conn, &u->body, ret_own);
    for (;;) {
        bool more;
        weft_err err = memory_step(u, conn, &more);
        if (!err && more)
            err = weft_conn_wait(u->ctx, conn, WEFT_WRITE);
        if (err || !more)
            return err;
    }
}

/* The connection is of no more use: its reads end. */
static void wake_http1(struct weft__upload *u, weft_err err)
{
    (void)err;
    (void)weft_conn_set_read_deadline(u->r->hc->conn, 1);
}

/* ---- both ---- */

static void upload_run(struct weft__upload *u)
{
    bool own = false;
    weft_err err = u->send(u, &own);
    bool told = !own && (err == -EPIPE || err == -ECONNRESET);   /* G3 */
    weft_mutex_lock(&u->lock);
    u->err = err;
    u->own = own;
    weft_mutex_unlock(&u->lock);
    if (err && !told)
        u->wake(u, err);
    weft_send(u->over, 1);
}

weft_err weft__upload_start(weft_ctx *ctx, struct weft_http_response *r, const struct weft__body *body, const char *rest,
                            size_t rest_len, weft_err (*send)(struct weft__upload *u, bool *ret_own),
                            void (*wake)(struct weft__upload *u, weft_err err))
{
    struct weft__upload *u = calloc(1, sizeof *u);
    if (!u || !(u->over = weft_make(char, 1))) {
        free(u);
        return WEFT_ENOMEM;
    }
    u->ctx = weft_with_cancel(ctx);
    u->r = r;
    u->body = *body;
    u->rest = rest;
    u->rest_len = rest_len;
    u->send = send ? send : send_http1;
    u->wake = wake ? wake : wake_http1;
    r->upload = u;   /* G1 */
    weft_go(upload_run, u);
    return 0;
}

weft_err weft__upload_keep(struct weft_http_response *r)
{
    struct weft__upload *u = r->upload;
    weft_err err = 0;
    if (!u)
        return 0;
    weft_mutex_lock(&u->lock);
    if (u->rest_len && !u->copy) {   /* G2 */
        u->copy = malloc(u->rest_len);
        if (u->copy)
            u->rest = memcpy(u->copy, u->rest, u->rest_len);
        else
            err = WEFT_ENOMEM;
    }
    weft_mutex_unlock(&u->lock);
    return err;
}

weft_err weft__upload_failed(const struct weft_http_response *r, const char **ret_what)
{
    struct weft__upload *u = r->upload;
    if (!u)
        return 0;
    weft_mutex_lock(&u->lock);
    weft_err err = !u->own && (u->err == -EPIPE || u->err == -ECONNRESET) ? 0 : u->err;   /* G3 */
    *ret_what = u->own ? "the request's body" : "request";
    weft_mutex_unlock(&u->lock);
    return err;
}

bool weft__upload_end(struct weft_http_response *r, bool patient)
{
    struct weft__upload *u = r->upload;
    char value;
    bool over = weft_try_recv(u->over, &value) || (patient && weft_select(weft_on_recv(u->over, &value), weft_on_timeout(LAST_BYTES)) == 0);
    if (!over) {
        weft_cancel(u->ctx);
        (void)weft_recv(u->over);
    }
    bool all = over && u->err == 0;
    r->upload = NULL;
    weft_ctx_unref(u->ctx);
    weft_free(u->over);
    free(u->copy);
    free(u);
    return all;
}
