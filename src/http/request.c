/*
 * request.c - a request as its handler sees it: checked head, path and query, body with a limit.
 *
 * Role    Refuse what a second reader could read differently; give the body out; see whether its end was reached.
 * Near    serveconn.c, wirebody.c, reply.c. Layer 5.
 *
 * Limits  body_bytes_max; io_timeout for each wait; up to 256 KiB of an unread body are read away to keep the connection.
 * Failure A body error stays (rq->err), and the connection is not used again.
 */
#include "../sched/sched.h"
#include "h2.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <weft/time.h>

#define DRAIN_MAX (256 * 1024)
#define SLACK WEFT_SEC   /* a deadline may come this much early: fewer timer moves */

/* Is a deadline that was set for set_at near enough to now + d? By the last look at the net, which brought what is answered here: a
 * look at the clock for each request and answer would be a thirtieth of what a small one takes in user space. */
static bool limit_holds(weft_time set_at, weft_dur d)
{
    weft_dur off = weft__net_seen() + d - set_at;
    return d > 4 * SLACK && off >= -SLACK / 8 && off < SLACK;
}

void weft__sconn_read_limit(struct weft__sconn *sc, weft_dur d)
{
    if (limit_holds(sc->read_limit, d))
        return;
    sc->read_limit = weft_now() + d;
    (void)weft_conn_set_read_deadline(sc->conn, sc->read_limit);   /* closed: the next read says so */
}

void weft__sconn_write_limit(struct weft__sconn *sc, weft_dur d)
{
    if (limit_holds(sc->write_limit, d))
        return;
    sc->write_limit = weft_now() + d;
    (void)weft_conn_set_write_deadline(sc->conn, sc->write_limit);
}

void weft__request_init(struct weft__exch *x)
{
    memset(&x->rq, 0, offsetof(struct weft_http_request, values));
    x->rq.x = x;
}

void weft__request_done(struct weft_http_request *rq)
{
    if (rq->ctx) {
        weft__gone_stop(rq);
        weft_cancel(rq->ctx);
        weft_ctx_unref(rq->ctx);
        rq->ctx = NULL;
    }
    if (rq->path_copy) {
        free(rq->path_copy);
        rq->path_copy = NULL;
    }
    for (struct weft__text *t; (t = rq->texts); free(t))
        rq->texts = t->next;
}

char *weft__request_text(struct weft_http_request *rq, size_t n)
{
    struct weft__text *t = malloc(sizeof *t + n);
    if (!t)
        return NULL;
    t->next = rq->texts;
    rq->texts = t;
    return t->s;
}

/* The value of the Host field, "" where a request of HTTP/1.0 has none; NULL: it must not be so. */
static const char *request_host(const struct weft__head *h)
{
    struct weft_http_field f;
    const char *host = NULL;
    uint32_t n = 0;
    if (h->scanned) {
        n = h->hosts;
        if (n && weft__head_at(h, h->host_at, &f))
            host = f.value;
    }
    for (size_t i = 0; !h->scanned && weft__head_at(h, i, &f); i++) {
        if (strcasecmp(f.name, "host") == 0) {
            n++;
            host = f.value;
        }
    }
    return n > 1 ? NULL : n ? host : h->p.http_minor == 0 ? "" : NULL;
}

/* What can be in a host's name (RFC 3986 3.2.2: unreserved, sub-delims, '%'). */
static const bool host_char[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true, ['.'] = true, ['_'] = true, ['~'] = true,
    ['!'] = true, ['$'] = true, ['&'] = true, ['\''] = true, ['('] = true, [')'] = true, ['*'] = true, ['+'] = true, [','] = true,
    [';'] = true, ['='] = true, ['%'] = true};

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

/* Behind "name:80", "[::1]:80", without a port, or empty; what follows must be an end, or two readers could differ about it. */
static const char *host_end(const char *s)
{
    if (*s == '[') {
        const char *from = s++;
        while (*s == ':' || host_char[(unsigned char)*s])
            s++;
        if (*s++ != ']' || s == from + 2)
            return from;
    } else {
        while (host_char[(unsigned char)*s] && (*s != '%' || (is_hex(s[1]) && is_hex(s[2]))))
            s++;
    }
    if (*s == ':')
        for (s++; *s >= '0' && *s <= '9';)
            s++;
    return s;
}

bool weft__request_host_right(struct weft__exch *x, const char *host)
{
    if (*host && strncmp(host, x->host, sizeof x->host) == 0)
        return true;
    const char *end = host_end(host);
    if (!*end && (size_t)(end - host) < sizeof x->host)
        memcpy(x->host, host, (size_t)(end - host) + 1);
    return !*end;
}

/* "/p?q", "http://host/p?q"; "*" for OPTIONS (RFC 9112 3.2.4). */
int weft__request_target(struct weft_http_request *rq)
{
    const char *t = weft_http_request_target(rq);
    if (*t != '/' && (strncasecmp(t, "http://", 7) == 0 || strncasecmp(t, "https://", 8) == 0)) {
        const char *host = strchr(t, ':') + 3;
        t = host_end(host);
        if (t == host || !strchr("/?", *t))   /* strchr finds the end too */
            return 400;
        if (*t != '/') {   /* no path there is the path "/" */
            rq->path = "/";
            rq->query = *t == '?' ? t + 1 : NULL;
            return 0;
        }
    }
    if (*t != '/' && (strcmp(t, "*") != 0 || rq->x->head.p.method != HTTP_OPTIONS))
        return 400;
    rq->path = t;
    size_t n = 0;
    while (t[n] && t[n] != '?' && t[n] != '#')
        n++;
    if (!t[n])
        return 0;
    rq->query = t[n] == '?' ? t + n + 1 : NULL;
    rq->path_copy = malloc(n + 1);
    if (!rq->path_copy)
        return 503;
    memcpy(rq->path_copy, t, n);
    rq->path_copy[n] = '\0';
    rq->path = rq->path_copy;
    return 0;
}

/* llhttp takes any CR and LF for an empty line before the request, and several blanks for one. The head begins at 0 and is ended
 * by NULs. */
static bool request_line_right(const struct weft__head *h)
{
    const char *s = h->buf->data;
    for (; *s == '\r'; s += 2)
        if (s[1] != '\n')
            return false;
    return *s != '\n' && h->buf->data[h->target + h->target_len + 1] != ' ';
}

int weft__request_accept(struct weft__exch *x)
{
    struct weft__head *h = &x->head;
    struct weft__wire *w = &x->wire;
    if (h->p.http_major != 1)
        return 505;
    if (h->target < 2 || h->buf->data[h->target - 2] == ' ' || (!h->scanned && !request_line_right(h)))
        return 400;
    const char *host = request_host(h);
    if (!host || !weft__request_host_right(x, host))
        return 400;
    const char *coding = h->scanned ? NULL : weft__head_find(h, "transfer-encoding");
    if (coding && (!*coding || h->p.http_minor == 0))   /* llhttp passes over an empty one; HTTP/1.0 has none (RFC 9112 6.1) */
        return 400;
    if (h->p.method == HTTP_CONNECT || (h->p.method >= HTTP_PRI && h->p.method <= HTTP_FLUSH))   /* HTTP/2's, RTSP's */
        return 501;
    if (weft__wire_framing(h, true, false, &w->framing, &w->left) < 0)
        return 501;
    w->done = w->framing == WEFT__BODY_NONE;
    h->keep_trailers = w->framing == WEFT__BODY_CHUNKED;
    if (w->left > x->sc->server->o.body_bytes_max)
        return 413;
    const char *expect = h->scanned && !h->expects ? NULL : weft__head_find(h, "expect");
    if (expect && *expect && strcasecmp(expect, "100-continue") != 0)
        return 417;
    x->rq.expect = expect && *expect && h->p.http_minor >= 1 && !w->done;
    return weft__request_target(&x->rq);
}

/* ---- the handler's view ---- */

weft_ctx *weft_http_request_ctx(weft_http_request *rq)
{
    (void)weft__reply_release(&rq->x->w);   /* who asks for it is going to wait (A3) */
    bool first = !rq->ctx;
    if (first)
        rq->ctx = weft_with_cancel(rq->x->sc->server->ctx);
    if (!rq->x->w.h2)
        weft__gone_start(rq);
    else if (first)
        weft__h2_watch(rq);
    return rq->ctx;
}

const char *weft_http_request_method(const weft_http_request *rq)
{
    return llhttp_method_name((llhttp_method_t)rq->x->head.p.method);
}

const char *weft_http_request_target(const weft_http_request *rq)
{
    return rq->x->buf->data + rq->x->head.target;
}

int weft_http_request_remote(const weft_http_request *rq, char *ret_buf, size_t n)
{
    return weft_conn_remote(rq->x->sc->conn, ret_buf, n);
}

const char *weft_http_request_path(const weft_http_request *rq)
{
    return rq->path;
}

const char *weft_http_request_query(const weft_http_request *rq)
{
    return rq->query;
}

int weft_http_request_version(const weft_http_request *rq)
{
    return rq->x->w.h2 ? 20 : 10 + rq->x->head.p.http_minor;
}

const char *weft_http_request_header(const weft_http_request *rq, const char *name)
{
    return weft__head_find(&rq->x->head, name);
}

bool weft_http_request_header_at(const weft_http_request *rq, size_t i, struct weft_http_field *ret_field)
{
    return weft__head_at(&rq->x->head, i, ret_field);
}

int64_t weft_http_request_content_length(const weft_http_request *rq)
{
    if (rq->x->wire.framing == WEFT__BODY_CHUNKED)
        return -1;
    return rq->x->head.p.flags & F_CONTENT_LENGTH ? (int64_t)rq->x->head.p.content_length : 0;
}

/* They are whole, and no other goroutine's, once the end of the body has been seen. */
bool weft_http_request_trailer_at(const weft_http_request *rq, size_t i, struct weft_http_field *ret_field)
{
    struct weft_http_field f;
    if (!rq->x->wire.done)
        return false;
    for (size_t k = 0; weft__trailer_at(rq->x->head.trailers, k, &f); k++)
        if (weft__trailer_allowed(f.name) && i-- == 0) {
            *ret_field = f;
            return true;
        }
    return false;
}

const char *weft_http_request_trailer(const weft_http_request *rq, const char *name)
{
    struct weft_http_field f;
    for (size_t i = 0; weft_http_request_trailer_at(rq, i, &f); i++)
        if (strcasecmp(f.name, name) == 0)
            return f.value;
    return NULL;
}

static weft_err request_continue(struct weft_http_request *rq)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct weft__exch *x = rq->x;
    rq->expect = false;
    if (x->w.head_sent || x->wire.pos < x->wire.end)   /* an answer is out, or the client did not wait */
        return 0;
    weft_err err = weft__reply_release(&x->w);
    if (err < 0)
        return err;
    weft__sconn_write_limit(x->sc, x->sc->server->o.io_timeout);
    ssize_t n = weft_conn_write(NULL, x->sc->conn, text, sizeof text - 1);
    return n < 0 ? (weft_err)n : 0;
}

ssize_t weft_http_request_read(weft_http_request *rq, void *ret_buf, size_t len)
{
    struct weft__exch *x = rq->x;
    if (x->w.h2)
        return weft__h2_read(rq, ret_buf, len);
    if (rq->expect && !rq->err)
        rq->err = request_continue(rq);
    if (rq->err || !len || x->wire.done)
        return rq->err;
    if (weft__reply_release(&x->w) < 0)
        return x->w.err;
    weft__sconn_read_limit(x->sc, x->sc->server->o.io_timeout);
    ssize_t n = weft__wire_read(NULL, &x->wire, ret_buf, len);
    if (n > 0 && (rq->body_bytes += (uint64_t)n) > x->sc->server->o.body_bytes_max)
        n = WEFT_ETOOBIG;
    if (n < 0) {
        rq->err = (weft_err)n;
        x->w.close = true;   /* where the body ends is not known */
    }
    if (x->wire.done && rq->ctx)
        weft__gone_start(rq);
    return n;
}

bool weft__request_finish(struct weft_http_request *rq)
{
    struct weft__wire *w = &rq->x->wire;
    const char *piece;
    if (rq->err)
        return false;
    if (w->done || weft__wire_skip_buffered(w))
        return true;
    if (rq->expect || (w->framing == WEFT__BODY_LENGTH && w->left > DRAIN_MAX))
        return false;   /* whether the client will send it is not known, or it is too much */
    if (weft__reply_release(&rq->x->w) < 0)
        return false;
    uint64_t until = w->wire_bytes + DRAIN_MAX;
    weft__sconn_read_limit(rq->x->sc, rq->x->sc->server->o.io_timeout);
    while (!w->done && w->wire_bytes < until)
        if (weft__wire_next(NULL, w, SIZE_MAX, &piece) < 0)
            return false;
    return w->done;
}
