/*
 * h2handle.c - the handlers of a server's requests: which goroutine runs which.
 *
 * Role    A pass brings some requests. The goroutine that has read them runs their handlers one after the other, once somebody
 *         else is set to read on, and sends what they have answered in one write: a runner. A handler that parks must not
 *         hold up those behind it: a guard, started before, gets its turn then, and gives each of them a runner of its own.
 * Near    h2conn.c (the pass), h2stream.c, h2reply.c, serveconn.c (the same for HTTP/1). Layer 5.
 *
 *   one     todo -> handler -> write
 *   more    todo -> guard made -> handlers -> write -> the guard sees that todo is empty
 *   parks   todo -> guard made -> handlers, one parks -> the guard: still there, yield, still there: a runner each; write
 *
 * Invariants Z1, Z4, Z8 in h2_int.h.
 * Limits  As the server's: streams_max. After a pass whose handlers parked the next 64 make runners for all at once.
 * Failure A panic ends the stream, its runner goes on with the next; goexit ends the runner too.
 */
#include <weft/go.h>
#include <weft/time.h>
#include <weft/unwind.h>

#include "h2_int.h"

#include <strings.h>

#define LOOKS 6    /* a runner that gets on is looked at so often before it gets help */
#define APART 64

/* A goroutine's turn with requests of a connection. */
struct runner {
    struct weft__h2 *c;
    struct weft__h2_stream *st;   /* under way; NULL: it is through */
};

/* What the request is: 0, or the status to refuse it with. */
static int request_accept(struct weft__h2_stream *st)
{
    struct weft__exch *x = &st->x;
    struct weft__head *h = &x->head;
    weft__request_init(x);
    weft__h2_reply_init(st, h->p.method == HTTP_HEAD);
    bool length = h->p.flags & F_CONTENT_LENGTH, ended = x->wire.done;
    x->wire.framing = ended ? WEFT__BODY_NONE : length ? WEFT__BODY_LENGTH : WEFT__BODY_CHUNKED;
    if (st->status)
        return st->status;
    if (h->p.method == HTTP_CONNECT)
        return 501;
    const char *host = weft__head_find(h, "host");   /* nearly always the first field */
    if (host && !weft__request_host_right(x, host))
        return 400;
    if (h->p.content_length > x->sc->server->o.body_bytes_max)
        return 413;
    const char *expect = h->expects ? weft__head_find(h, "expect") : NULL;
    if (expect && *expect && strcasecmp(expect, "100-continue") != 0)
        return 417;
    x->rq.expect = expect && *expect && !ended;
    return weft__request_target(&x->rq);
}

static void request_handle(struct weft__h2_stream *st)
{
    struct weft__exch *x = &st->x;
    int status = request_accept(st);
    if (status)
        weft__reply_refusal(&x->w, status);
    else
        x->sc->server->o.handler(&x->rq, &x->w, x->sc->server->o.arg);
    st->returned = true;
}

static void request_panicked(struct weft__h2_stream *st, const char *message)
{
    struct weft__exch *x = &st->x;
    struct weft_http_server_opts *o = &x->sc->server->o;
    if (o->on_panic)
        o->on_panic(&x->rq, message, o->arg);
    if (!weft__reply_reset(&x->w))
        return;
    (void)weft_http_reply_text(&x->w, 500, "text/plain; charset=utf-8", "Internal Server Error\n");
    st->returned = true;
}

/* With c->m. */
static struct weft__h2_stream *todo_take(struct weft__h2 *c)
{
    struct weft__h2_stream *st = c->todo;
    if (st)
        c->todo = st->todo_next;
    return st;
}

/* With c->m: the handler's end; st may be gone. */
static void request_end(struct weft__h2_stream *st)
{
    struct weft__h2 *c = st->c;
    weft__h2_reply_finish(st);
    st->handled = true;
    weft__h2_body_drop(st);
    c->handlers--;
    if (c->dead)
        weft_cond_broadcast(&c->ended);
    if (!c->handlers && !c->streams_len)
        c->idle_since = weft_now();
    weft__h2_stream_drop(st);
}

/* Return, panic or goexit: what is left of the answer is queued, and the next request is taken, if there is to be one. Else
 * what this connection has to say is sent: at once if no handler is left that may soon have more to say. */
static void runner_next(struct runner *r, bool more)
{
    struct weft__h2 *c = r->c;
    if (r->st->x.rq.ctx) {
        weft_mutex_lock(&c->m);
        r->st->ctx = NULL;
        weft_mutex_unlock(&c->m);
    }
    weft__request_done(&r->st->x.rq);
    weft_mutex_lock(&c->m);
    request_end(r->st);
    r->st = more && c->guarded ? todo_take(c) : NULL;
    if (r->st)
        weft_mutex_unlock(&c->m);   /* Z8: the guard sends, if the next one parks */
    else
        weft__h2_send_end(c);
}

/* Deferred around the handlers: a panic that passes tells where it came from. */
static void runner_dump(struct runner *r)
{
    struct weft__exch *x = r->st ? &r->st->x : NULL;
    weft__http_panic_dump(&x);
}

static void runner_serve(struct runner *r)
{
    weft_defer(runner_dump, r);
    do {
        request_handle(r->st);
        runner_next(r, true);
    } while (r->st);
}

static void runner_end(struct runner *r)
{
    if (r->st)
        runner_next(r, false);
    weft__h2_unref(r->c);
}

/* From r->st on. */
static void runner_loop(struct runner *r)
{
    weft_defer(runner_end, r);
    while (r->st) {
        const char *message = weft_try(runner_serve, r);
        if (message) {
            request_panicked(r->st, message);
            runner_next(r, true);
        }
    }
}

static void runner_run(struct weft__h2_stream *st)
{
    struct runner r = {.c = st->c, .st = st};
    runner_loop(&r);
}

/* ---- requests that wait: with c->m ---- */

void weft__h2_stream_start(struct weft__h2_stream *st)
{
    struct weft__h2 *c = st->c;
    weft__h2_head_done(st);
    st->started = true;
    st->refs++;   /* Z4 */
    c->handlers++;
    st->todo_next = NULL;
    if (c->todo)
        c->todo_last->todo_next = st;
    else
        c->todo = st;
    c->todo_last = st;
}

static void todo_spread(struct weft__h2 *c)
{
    while (c->todo) {
        (void)weft__h2_ref(c);
        weft_go(runner_run, todo_take(c));
    }
}

/* Z8: runners have had their turn. What is left after two in which none has got on has a runner that parks. */
static void guard_run(struct weft__h2 *c)
{
    weft_mutex_lock(&c->m);
    int stuck = 0;
    for (int looks = 1; c->todo && looks < LOOKS; looks++) {
        stuck = c->todo == c->guard_saw ? stuck + 1 : 0;
        if (stuck == 2)
            break;
        c->guard_saw = c->todo;
        weft_mutex_unlock(&c->m);
        weft_yield();
        weft_mutex_lock(&c->m);
    }
    if (c->todo && stuck == 2)
        c->apart = APART;
    todo_spread(c);
    c->guarded = false;
    if (!c->dead && nghttp2_session_want_write(c->session))
        weft__h2_send(c);
    else
        weft_mutex_unlock(&c->m);
    weft__h2_unref(c);
}

static void todo_guard(struct weft__h2 *c)
{
    if (!c->todo || c->guarded)
        return;
    if (c->apart) {
        c->apart--;
        todo_spread(c);
        return;
    }
    c->guarded = true;
    c->guard_saw = c->todo;
    weft_go(guard_run, weft__h2_ref(c));
}

void weft__h2_handle(struct weft__h2 *c)
{
    weft_mutex_lock(&c->m);
    struct runner r = {.c = c, .st = todo_take(c)};   /* none: a runner has been quicker */
    todo_guard(c);
    weft_mutex_unlock(&c->m);
    runner_loop(&r);
}
