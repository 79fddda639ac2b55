/*
 * h2dial.c - which connection a client's call goes by: the host's one of HTTP/2, a new one, or none of HTTP/2.
 *
 * Role    One connection of HTTP/2 per host, shared by its calls. What a host speaks is not known before the first
 *         handshake: one call dials, the others wait for what comes of it. Near hop.c, hostpool.c, h2call.c. Layer 5.
 *
 * Invariants, under the client's lock:
 *   Y2  host->h2 set  =>  it holds a reference of that connection, and the connection is in client->h2s.
 *   Y3  who dials holds host->gate's one value; host->h1 changes once, to true.
 *   A connection holds references of its host and its client until its goroutine ends.
 *
 * Locks   client->lock for these words; c->m is not taken within it, nor it within c->m.
 * Limits  One connection per host: what its server does not take at a time is queued by nghttp2. conns_per_host_max does not
 *         count it. Idle after idle_timeout: closed, after a GOAWAY. One dialled while the client was freed: a second later.
 */
#include <weft/go.h>
#include <weft/select.h>
#include <weft/time.h>

#include "h2_int.h"

#include <stdlib.h>
#include <string.h>

#define LAST_IDLE WEFT_SEC

bool weft__h2_usable(struct weft__h2 *c)
{
    return !c->dead && !c->over && !c->leaving && nghttp2_session_check_request_allowed(c->session);
}

/* The host's connection with a reference, if it takes requests; one that does not is forgotten. */
static struct weft__h2 *host_h2(struct weft_http_client *client, struct weft__host *host)
{
    weft__lock(&client->lock);
    struct weft__h2 *c = host->h2;
    if (c)
        atomic_fetch_add_explicit(&c->lives, 1, memory_order_relaxed);   /* Z7: the host has one */
    weft__unlock(&client->lock);
    if (!c)
        return NULL;
    weft_mutex_lock(&c->m);
    bool usable = weft__h2_usable(c);
    weft_mutex_unlock(&c->m);
    if (usable)
        return c;
    weft__lock(&client->lock);
    bool was = host->h2 == c;
    if (was)
        host->h2 = NULL;
    weft__unlock(&client->lock);
    if (was)
        weft__h2_unref(c);
    weft__h2_unref(c);
    return NULL;
}

/* The connection's goroutine. */
static void h2_client_run(struct weft__h2 *c)
{
    struct weft_http_client *client = c->client;
    struct weft__host *host = c->host;
    (void)weft__h2_run(c, NULL, 0);
    weft__lock(&client->lock);
    bool was = host->h2 == c;
    if (was)
        host->h2 = NULL;
    c->in_client.next->prev = c->in_client.prev;
    c->in_client.prev->next = c->in_client.next;
    weft__unlock(&client->lock);
    (void)weft_conn_close(c->conn);
    weft__host_put(client, host);
    if (was)
        weft__h2_unref(c);
    weft__h2_unref(c);
    weft__client_unref(client);
}

/* conn speaks HTTP/2: the host's connection from now on. With a reference for the caller. */
static struct weft__h2 *h2_client_new(struct weft_http_response *r, weft_conn *conn)
{
    struct weft_http_client *client = r->client;
    const struct weft_http_client_opts *o = &client->o;
    struct weft__host *host = weft__host_get(client, &r->url, false, 0, NULL);
    const struct weft__h2 limits = {.client = client, .host = host, .head_max = o->head_bytes_max, .head_timeout = o->idle_timeout,
                                    .io_timeout = 30 * WEFT_SEC, .idle_timeout = o->idle_timeout};
    struct weft__h2 *c = host ? weft__h2_new(conn, &limits) : NULL;
    if (!c) {
        if (host)
            weft__host_put(client, host);
        return NULL;
    }
    (void)weft_conn_set_deadline(conn, 0);   /* the call's: the connection is not only its own */
    weft__client_ref(client);
    atomic_fetch_add_explicit(&c->lives, 2, memory_order_relaxed);   /* Z7: the caller's, the host's */
    weft__lock(&client->lock);
    host->h2 = c;   /* Y2: none was there, the gate is ours */
    c->in_client = (struct weft__hlink){client->h2s.next, &client->h2s};
    c->in_client.next->prev = c->in_client.prev->next = &c->in_client;
    /* weft__h2_clear may not have seen it. To be written here: c's goroutine does not run yet. */
    if (client->closed && c->idle_timeout > LAST_IDLE)
        c->idle_timeout = LAST_IDLE;
    weft__unlock(&client->lock);
    weft_go_named("http2 client", h2_client_run, c);
    return c;
}

/* Dial: r->h2c; or host->h1 and the connection r's own, or in the pool (weft__hconn_found). */
static weft_err dial(weft_ctx *ctx, struct weft_http_response *r, struct weft__host *host, const struct weft_http_call *call)
{
    bool relayed;
    struct weft_tls_state state;
    weft_conn *conn;
    r->dns_us = r->connect_us = r->tls_us = 0;
    weft_err err = weft__reach(ctx, r, call, &conn, &relayed);
    if (err < 0)
        return err;
    bool tls = weft_tls_state_get(conn, &state) == 0;
    if (!tls || strcmp(state.alpn, "h2") == 0) {
        r->h2c = h2_client_new(r, conn);
        if (r->h2c)
            return 0;
        (void)weft_conn_close(conn);
        return weft__call_fail(call, "", WEFT_ENOMEM);
    }
    weft__lock(&r->client->lock);
    host->h1 = true;   /* Y3 */
    weft__unlock(&r->client->lock);
    return weft__hconn_found(r, conn);
}

/* With the gate: 1, 0 or an error as weft__h2_connect. */
static int connect_first(weft_ctx *ctx, struct weft_http_response *r, struct weft__host *host, const struct weft_http_call *call)
{
    weft__lock(&r->client->lock);
    bool h1 = host->h1;
    weft__unlock(&r->client->lock);
    if (h1)
        return 0;
    r->h2c = host_h2(r->client, host);   /* who had the gate before may have made it */
    r->reused = r->h2c != NULL;
    weft_err err = r->h2c ? 0 : dial(ctx, r, host, call);
    return err < 0 ? err : r->h2c != NULL;
}

static weft_chan(char) host_gate(struct weft_http_client *client, struct weft__host *host)
{
    weft__lock(&client->lock);
    weft_chan(char) gate = host->gate;
    weft__unlock(&client->lock);
    if (gate)
        return gate;
    weft_chan(char) fresh = weft_make(char, 1);
    weft__lock(&client->lock);
    gate = host->gate ? host->gate : fresh;
    host->gate = gate;
    weft__unlock(&client->lock);
    if (gate != fresh)
        weft_free(fresh);
    return gate;
}

int weft__h2_connect(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call)
{
    const struct weft_http_client_opts *o = &r->client->o;
    if (!o->http2 || (!r->url.https && o->http2 != WEFT_HTTP2_ALWAYS))
        return 0;
    if (weft__reach_relayed(r, call))   /* HTTP/1 it is: no dial waits for another's to know */
        return 0;
    struct weft__host *host = weft__host_get(r->client, &r->url, false, r->sent, NULL);
    if (!host)
        return weft__call_fail(call, "", WEFT_ENOMEM);
    r->h2c = host_h2(r->client, host);
    r->reused = r->h2c != NULL;
    if (r->reused)
        r->dns_us = r->connect_us = r->tls_us = 0;
    int state = r->reused;
    if (!r->reused) {
        weft_chan(char) gate = host_gate(r->client, host);
        weft_err err = weft__host_enter(ctx, gate, r->deadline);
        if (err == 0) {
            state = connect_first(ctx, r, host, call);
            (void)weft_try_recv(gate, NULL);
        } else {
            state = weft__call_fail(call, "waiting for a connection", err);
        }
    }
    weft__host_put(r->client, host);
    return state;
}

void weft__h2_clear(struct weft_http_client *client)
{
    weft__lock(&client->lock);
    uint32_t round = ++client->h2_round;
    bool closed = client->closed;
    for (struct weft__hlink *x = client->h2s.next; x != &client->h2s;) {
        struct weft__h2 *c = (struct weft__h2 *)((char *)x - offsetof(struct weft__h2, in_client));
        x = x->next;
        if (c->round == round)
            continue;
        c->round = round;
        atomic_fetch_add_explicit(&c->lives, 1, memory_order_relaxed);   /* Z7: it is in the list, so its goroutine has one */
        weft__unlock(&client->lock);
        weft_mutex_lock(&c->m);
        if (!c->dead && (closed || !c->streams_len))
            weft__h2_left(c);
        weft__h2_send(c);
        weft__h2_unref(c);
        weft__lock(&client->lock);
        x = client->h2s.next;
    }
    weft__unlock(&client->lock);
}
