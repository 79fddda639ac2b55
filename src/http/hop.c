/*
 * hop.c - one request and the head of its response: a connection, the bytes out, the head in; a dead one replaced.
 *
 * Role    weft__hop. Near client.c (who makes hops of a call), sendreq.c (request bytes), upload.c (bodies beside),
 *         hostpool.c and reach.c (connections), response.c (the body), head.c. Layer 5.
 *
 * Invariants
 *   C1  r->host set  <=>  the response holds a reference of the host and one of its slots.
 *   C2  r->hc set    =>   C1, and nobody else uses that connection.
 *   C3  a hop is sent again only when its connection came from the pool, not one byte of answer has come, and the
 *       method is idempotent; then on a fresh connection, once.
 *   C4  between the last byte sent and the first received a response has no rx: no buffer, no head.
 *
 * Locks   none here. Order: none here; a response belongs to one goroutine.
 * Turns   Before a request goes out on a kept connection, or a new one is made, those who are ready run first: in a client with
 *         many calls under way most of them have an answer to read. Then requests leave one right after another, and a peer on
 *         this machine, which the sender has to wake, finds the next one there instead of falling asleep (docs/perf/limits.md).
 *         Where the others compute for long, a call would only be late: a turn in eight is timed, and the next one after one that
 *         was longer than TURN_SHARE for each call that began or ended one meanwhile; when that is too, none are given for 256
 *         times as long.
 * Limits  head_bytes_max for the head, 1xx responses before it included; one deadline for everything; 1 s for a
 *         100-continue, then the body goes out unasked (RFC 9110 10.1.1).
 * Failure the hop is over; words for it go to call->reterr_text.
 */
#include <weft/ctx.h>
#include <weft/go.h>

#include "../net/conn_int.h"
#include "client_int.h"
#include "h2.h"
#include "jar.h"
#include "upload.h"

#include <stdlib.h>
#include <string.h>

#define CONTINUE_WAIT WEFT_SEC
#define TURN_SHARE (250 * WEFT_US)
#define TURN_PAUSE_MAX (10 * WEFT_SEC)
#define TURN_PAUSE_FOR 256
#define TURN_LOOK 7       /* calls whose start has one of these bits do not time their turn */
#define UNTOUCHED_MAX 3   /* times that a request is sent again which a server of HTTP/2 has not looked at */

static struct weft__hpool rx_pool = {.keep_max = 1024};

/* ---- what is received ---- */

static void rx_give(struct weft_http_response *r)
{
    struct weft__rx *x = r->rx;
    if (!x)
        return;
    if (x->wire.in_own_buf)
        weft__hbuf_put(x->wire.buf);
    weft__hbuf_put(x->plain);
    weft__hbuf_put(x->buf);
    weft__decoder_put(x->decoder);
    weft__head_done(&x->head);
    if (!weft__hpool_put(&rx_pool, x))
        free(x);
    r->rx = NULL;
}

bool weft__rx_take(struct weft_http_response *r)
{
    struct weft__rx *x = weft__hpool_get(&rx_pool);
    if (!x)
        x = malloc(sizeof *x);
    if (!x)
        return false;
    memset(x, 0, offsetof(struct weft__rx, head));
    x->why = "";
    x->head.fields = x->head.near;   /* nothing to be freed yet */
    x->head.trailers = NULL;
    r->rx = x;
    x->buf = weft__hbuf_get(0);
    return x->buf != NULL;
}

void weft__response_end_hop(struct weft_http_response *r)
{
    struct weft__hconn *hc = r->hc;
    bool slots = r->host && r->host->slots, sent = true;
    struct weft__wire *w = r->rx ? &r->rx->wire : NULL;
    if (r->upload)
        sent = weft__upload_end(r, w && r->keep && weft__wire_skip_buffered(w));
    if (r->h2c)
        weft__h2_call_end(r);
    if (hc) {
        bool clean = w && sent && r->keep && weft__wire_skip_buffered(w) && w->pos == w->end;   /* R2 */
        r->hc = NULL;
        if (clean) {
            /* Most answers come whole with their head: the server's time for an idle connection began about then. */
            weft__pool_put(r->client, hc, !slots, w->wire_bytes == r->rx->have ? r->rx->heard : weft_now());
            r->host = slots ? r->host : NULL;
        } else {
            weft__hconn_close(r->client, hc);
        }
    }
    if (slots)
        weft__host_leave(r->host);   /* after the connection is back: who waits for the slot wants it */
    if (r->host)
        weft__host_put(r->client, r->host);
    r->host = NULL;
    rx_give(r);
}

/* ---- a connection ---- */

/* conn, which is closed when memory is short, as one of the pool's. */
static struct weft__hconn *hconn_of(struct weft_http_response *r, weft_conn *conn, bool relayed)
{
    struct weft__hconn *hc = calloc(1, sizeof *hc);
    struct weft__host *host = hc ? weft__host_get(r->client, &r->url, relayed, 0, NULL) : NULL;
    if (!host) {
        free(hc);
        (void)weft_conn_close(conn);
        return NULL;
    }
    hc->conn = conn;
    hc->host = host;
    hc->tls = conn->tls != NULL;
    hc->relayed = relayed;
    hc->armed = r->deadline != 0;
    return hc;
}

weft_err weft__hconn_found(struct weft_http_response *r, weft_conn *conn)
{
    struct weft__hconn *hc = hconn_of(r, conn, false);
    if (!hc)
        return WEFT_ENOMEM;
    if (hc->host->slots && !weft_try_send(hc->host->slots, 0)) {
        weft__pool_put(r->client, hc, false, weft_now());
        return 0;
    }
    r->host = weft__host_get(r->client, &r->url, false, 0, NULL);   /* hc's, which is there: it cannot fail */
    r->hc = hc;
    r->reused = false;
    r->sent = weft_now();
    return 0;
}

/* One more begun or ended. */
static uint32_t turn_count(struct weft_http_client *c)
{
    uint32_t n = atomic_load_explicit(&c->turns, memory_order_relaxed) + 1;
    atomic_store_explicit(&c->turns, n, memory_order_relaxed);
    return n;
}

/* calls have begun or ended a turn since it began, this one too. One long turn may be the system's doing, which had another program run. */
static void turn_took(struct weft_http_client *c, weft_dur d, uint32_t calls)
{
    bool was = atomic_load_explicit(&c->turn_was_long, memory_order_relaxed), is = d > TURN_SHARE * calls;
    weft_dur pause = d < TURN_PAUSE_MAX / TURN_PAUSE_FOR ? d * TURN_PAUSE_FOR : TURN_PAUSE_MAX;
    if (was && is)
        atomic_store_explicit(&c->turns_from, weft_now() + pause, memory_order_relaxed);
    if (was != is)
        atomic_store_explicit(&c->turn_was_long, is, memory_order_relaxed);
}

/* See Turns. Not for a thread's own goroutine: its yield is a system call, and nobody is behind it. */
static WEFT_PARKS void hop_turn(struct weft_http_response *r)
{
    struct weft_http_client *c = r->client;
    if (r->start < atomic_load_explicit(&c->turns_from, memory_order_relaxed) || weft__g()->tied)
        return;
    bool look = (r->start & TURN_LOOK) == 0 || atomic_load_explicit(&c->turn_was_long, memory_order_relaxed);
    weft_time t = look ? weft_now() : 0;
    uint32_t n = turn_count(c);
    weft_yield();
    uint32_t calls = turn_count(c) - n;
    if (look)
        turn_took(c, weft_now() - t, calls);
}

static weft_err hconn_new(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call)
{
    weft_conn *conn;
    bool relayed;
    hop_turn(r);
    weft_err err = weft__reach(ctx, r, call, &conn, &relayed);
    if (err < 0)
        return err;
    r->hc = hconn_of(r, conn, relayed);
    r->sent = weft_now();
    return r->hc ? 0 : weft__call_fail(call, "", WEFT_ENOMEM);
}

/* C1, C2: a slot, then a connection from the pool or a new one. */
static weft_err hop_connect(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call, bool fresh)
{
    bool relayed = r->client->proxies && weft__reach_relayed(r, call);
    struct weft__host *host = weft__host_get(r->client, &r->url, relayed, r->sent, fresh ? NULL : &r->hc);
    if (!host)
        return weft__call_fail(call, "", WEFT_ENOMEM);
    weft_err err = host->slots ? weft__host_enter(ctx, host->slots, r->deadline) : 0;
    if (err < 0) {
        weft__host_put(r->client, host);
        return weft__call_fail(call, "waiting for a connection", err);
    }
    r->host = host;
    r->dns_us = r->connect_us = r->tls_us = 0;
    if (host->slots && !fresh)
        r->hc = weft__pool_take(r->client, host, weft_now());
    r->reused = r->hc != NULL;
    if (!r->hc)
        return hconn_new(ctx, r, call);
    if (r->deadline || r->hc->armed)
        weft__conn_own_deadline(r->hc->conn, r->deadline);
    r->hc->armed = r->deadline != 0;
    return 0;
}

/* ---- the head comes ---- */

static weft_err head_ended(struct weft_http_response *r, const struct weft_http_call *call, ssize_t n)
{
    weft_err err = n < 0 ? (weft_err)n : WEFT_EEOF;
    weft__call_reason(call, "response", n < 0 ? weft_strerror(err) : r->rx && r->rx->have ? "the connection ended inside the head"
                                                                             : "the connection ended without an answer");
    return err;
}

/* The first bytes: waited for without a buffer (C4). */
static ssize_t head_read_first(weft_ctx *ctx, struct weft_http_response *r)
{
    weft_conn *conn = r->hc->conn;
    for (;;) {
        weft_err err = weft__conn_own_wait(ctx, conn);   /* C2 */
        if (err < 0)
            return err;
        if (!weft__rx_take(r))
            return WEFT_ENOMEM;
        ssize_t n = r->hc->tls ? weft_conn_read(ctx, conn, r->rx->buf->data, r->rx->buf->cap)
                               : weft__conn_own_try_read(conn, r->rx->buf->data, r->rx->buf->cap);
        if (n != -EAGAIN)
            return n;
        rx_give(r);
    }
}

/* One more read into the buffer. */
static weft_err head_read(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call)
{
    ssize_t n;
    if (!r->rx) {
        n = head_read_first(ctx, r);
    } else {
        if (r->rx->have >= r->client->o.head_bytes_max) {
            weft__call_reason(call, "response", "its head is too large");
            return WEFT_ETOOBIG;
        }
        if (r->rx->have == r->rx->buf->cap) {
            if (!weft__hbuf_grow(&r->rx->buf, r->rx->have))
                return weft__call_fail(call, "", WEFT_ENOMEM);
            r->rx->head.buf = r->rx->buf;
        }
        n = weft_conn_read(ctx, r->hc->conn, r->rx->buf->data + r->rx->have, r->rx->buf->cap - r->rx->have);
    }
    if (n <= 0)
        return head_ended(r, call, n);
    r->rx->heard = weft_now();   /* rx may be a second one, behind a 100 */
    if (!r->got_bytes)
        r->sent = r->rx->heard - r->sent;
    r->got_bytes = true;
    r->rx->have += (uint32_t)n;
    return 0;
}

/* A whole head is there: is it the last one, and one that we take? 1: yes; 0: it was a 1xx, and is gone. */
static int head_judge(struct weft_http_response *r, const struct weft_http_call *call)
{
    struct weft__head *h = &r->rx->head;
    int status = h->p.status_code;
    bool ours = memcmp(r->rx->buf->data, "HTTP/", 5) == 0 && h->p.http_major == 1 && (status != 101 || call->upgrade) && status >= 100;
    if (!ours) {
        weft__call_reason(call, "response", status == 101 ? "a protocol switch nobody asked for" : "not HTTP/1");
        return WEFT_EPROTO;
    }
    if (status >= 200 || status == 101)
        return 1;
    r->rx->have -= h->end;
    r->head_wire_bytes += h->end;
    memmove(r->rx->buf->data, r->rx->buf->data + h->end, r->rx->have);
    weft__head_done(h);
    weft__head_init(h, HTTP_RESPONSE, r->rx->buf);
    if (r->head_wire_bytes <= r->client->o.head_bytes_max)
        return 0;
    weft__call_reason(call, "response", "its head is too large");
    return WEFT_ETOOBIG;
}

/* The final head; or, with asked, 100 when that came before it. 1; 100; or an error. */
static int hop_receive(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call, bool asked)
{
    bool begun = r->rx != NULL;   /* by the wait for a 100: parsed as far as it has come */
    for (;;) {
        int state = 0;
        if (!begun && r->rx) {
            begun = true;
            if (weft__head_scan_response(&r->rx->head, r->rx->buf, r->rx->have))
                state = 1;
            else
                weft__head_init(&r->rx->head, HTTP_RESPONSE, r->rx->buf);
        }
        if (begun && state == 0)
            state = weft__head_parse(&r->rx->head, r->rx->have);
        int interim = 0;
        if (state == 1) {
            interim = r->rx->head.p.status_code == 100;
            state = head_judge(r, call);
            if (interim && state == 0 && asked)
                return 100;
        } else if (state < 0) {
            weft__call_reason(call, "response", weft__head_reason(&r->rx->head));
        } else {
            state = head_read(ctx, r, call);
        }
        if (state < 0)
            return state;
        if (state == 1)
            break;
    }
    if (r->rx->head.end <= r->client->o.head_bytes_max)
        return 1;
    weft__call_reason(call, "response", "its head is too large");
    return WEFT_ETOOBIG;
}

/* The head is complete: what follows it, and how. */
static weft_err hop_body(struct weft_http_response *r, const struct weft_http_call *call, const char *method)
{
    struct weft__head *h = &r->rx->head;
    struct weft__wire *w = &r->rx->wire;
    *w = (struct weft__wire){.conn = r->hc->conn, .head = h, .buf = r->rx->buf, .pos = h->end, .base = h->end, .end = r->rx->have,
                             .wire_bytes = r->rx->have, .why = ""};
    int status = h->p.status_code;
    h->keep_trailers = true;
    r->rx->has_length = (h->p.flags & F_CONTENT_LENGTH) != 0;
    r->rx->content_length = h->p.content_length;
    bool no_body = (*method == 'H' && strcmp(method, "HEAD") == 0) || status == 204 || status == 304 || status == 101;
    weft_err err = weft__wire_framing(h, false, no_body, &w->framing, &w->left);
    if (err < 0) {
        weft__call_reason(call, "response", "its Transfer-Encoding is not \"chunked\"");
        return err;
    }
    w->done = w->framing == WEFT__BODY_NONE;
    bool old = h->p.http_minor == 0;
    r->keep = r->keep && status != 101 && w->framing != WEFT__BODY_CLOSE && !(h->p.flags & F_CONNECTION_CLOSE) &&
              (!old || (h->p.flags & F_CONNECTION_KEEP_ALIVE && w->framing != WEFT__BODY_CHUNKED));   /* RFC 9112 6.1 */
    return 0;
}

/* ---- the request goes ---- */

static bool method_repeatable(const char *m)
{
    static const char *const safe[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
        if (strcmp(m, safe[i]) == 0)
            return true;
    return false;
}

/* Waits for a 100 or a final answer, a second at most. 1: the final head is there; 0: send the body; or an error. */
static int hop_await_continue(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call)
{
    weft_time until = weft_now() + CONTINUE_WAIT;
    if (r->deadline && r->deadline < until)
        until = r->deadline;
    (void)weft_conn_set_read_deadline(r->hc->conn, until);
    int state = hop_receive(ctx, r, call, true);
    (void)weft_conn_set_read_deadline(r->hc->conn, r->deadline);
    bool late = state == WEFT_EDEADLINE && (!r->deadline || weft_now() < r->deadline);
    if (late || state == 100) {
        if (call->reterr_text && call->reterr_size)
            *call->reterr_text = '\0';
        if (r->rx && !r->rx->have)
            rx_give(r);
        return 0;
    }
    return state;
}

/* The peer of a request that is being sent went away: it may have answered before. */
static bool peer_left(weft_err err)
{
    return err == -EPIPE || err == -ECONNRESET;
}

/* Send the request; what does not go at once of its body goes beside. 1: the final head came before the body was asked for; 0;
 * or an error. */
static int hop_send(weft_ctx *ctx, struct weft_http_response *r, struct weft__send *s)
{
    size_t left;
    weft_err err = weft__request_send(ctx, r->hc->conn, s, &r->keep, &left);
    if (err == 0 && s->reader) {
        if (s->call->expect_continue) {
            int state = hop_await_continue(ctx, r, s->call);
            r->keep = r->keep && state != 1;   /* the body that was announced will not come */
            if (state != 0)
                return state;
        }
    }
    if (err == 0 && (s->reader || left)) {
        struct weft__body b = {s->reader, s->call->body_arg, s->call->body_bytes, s->call->trailers, s->call->trailers_len};
        s->spent = s->reader;
        err = weft__upload_start(ctx, r, &b, left ? (const char *)s->body + s->body_len - left : NULL, left, NULL, NULL);
    }
    if (err == 0)
        return 0;
    /* A server that refuses a large body answers early and closes: look for its answer. */
    if (s->body_len && peer_left(err)) {
        r->keep = false;
        return 0;
    }
    return weft__call_fail(s->call, "request", err);
}

/* The answer's head is there, or is not to be had: an upload that failed by itself is why. */
static weft_err hop_upload(struct weft_http_response *r, const struct weft__send *s, weft_err err)
{
    const char *what;
    weft_err why = err < 0 ? weft__upload_failed(r, &what) : weft__upload_keep(r);
    if (why < 0)
        weft__call_fail(s->call, err < 0 ? what : "request", why);
    return why < 0 ? why : err;
}

/* Send and receive on the connection that r has. */
static weft_err hop_exchange(weft_ctx *ctx, struct weft_http_response *r, struct weft__send *s)
{
    r->got_bytes = false;
    r->keep = true;
    r->head_wire_bytes = 0;
    s->proxy = r->hc->relayed ? &r->client->proxies->http : NULL;
    if (r->reused)
        hop_turn(r);   /* a new connection has had its turn */
    int state = hop_send(ctx, r, s);
    if (state == 0)
        state = hop_receive(ctx, r, s->call, false);
    if (r->upload)
        state = hop_upload(r, s, state);
    return state < 0 ? state : hop_body(r, s->call, s->method);
}

/* C3 */
static bool hop_again(const struct weft_http_response *r, const struct weft__send *s, weft_err err)
{
    bool dead = err == WEFT_EEOF || peer_left(err);
    return r->reused && dead && !r->got_bytes && method_repeatable(s->method) && !s->reader;
}

static void hop_cookies_in(struct weft_http_response *r)
{
    struct weft_http_field f;
    for (size_t i = 0; weft__head_at(&r->rx->head, i, &f); i++)
        if (f.name[0] == 's' || f.name[0] == 'S')
            if (strcasecmp(f.name, "set-cookie") == 0)
                weft__jar_take(r->client->o.jar, &r->url, f.value);
}

weft_err weft__hop(weft_ctx *ctx, struct weft_http_response *r, struct weft__send *s)
{
    /* What cannot be sent twice gets a connection that is known to live. */
    bool fresh = !method_repeatable(s->method) || s->reader || s->call->upgrade;
    weft_http_jar *jar = r->client->o.jar;
    s->cookies = jar ? weft__jar_give(jar, &r->url) : NULL;
    weft_err err;
    int tries = 0;
    for (;;) {
        r->untouched = false;
        int h2 = s->call->upgrade ? 0 : weft__h2_connect(ctx, r, s->call);
        err = h2 ? (h2 < 0 ? h2 : 0) : r->hc ? 0 : hop_connect(ctx, r, s->call, fresh);
        if (err == 0)
            err = h2 ? weft__h2_exchange(ctx, r, s) : hop_exchange(ctx, r, s);
        if (err == 0)
            break;
        bool again = r->untouched ? tries++ < UNTOUCHED_MAX && !s->spent : !fresh && hop_again(r, s, err);
        r->keep = false;
        weft__response_end_hop(r);
        if (!again)
            break;
        fresh = true;
    }
    free(s->cookies);
    s->cookies = NULL;
    if (err == 0 && jar)
        hop_cookies_in(r);
    return err;
}
