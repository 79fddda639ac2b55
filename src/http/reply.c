/*
 * reply.c - the answer of a handler: one write when it is small, a stated length or chunks when it is not.
 *
 * Role    Collect fields and body in one buffer so that head and body leave together; frame what does not fit. Answers of
 *         pipelined requests gather in the same buffer and leave in one write.
 * Near    replyhead.c, serveconn.c (who calls init and finish), server_int.h. Layer 5.
 *
 *   out:   | finished answers | .... status line, our fields | handler's fields CRLF | body ..... | room for CRLF, last chunk |
 *          0              base        right-aligned to FIXED ^                                                       cap - TAIL
 *   once the head is sent:  | chunk size, right-aligned to CHUNK_GAP | body .... | room |       base is 0
 *
 * Invariants
 *   A1  w->err set  =>  nothing is sent any more and the connection closes.
 *   A2  written <= length once a length was stated: the surplus is refused, a shortage closes the connection.
 *   A3  out[0 .. base) leaves before anything that waits for the peer: a read of the socket, a full buffer, a flush; when
 *       the next handler asks for its context; and otherwise 2 ms after the first of it was held (late.c).
 *
 * Limits  Fields 7 KiB, trailers 4 KiB; io_timeout for each wait of a write.
 */
#include "h2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIXED WEFT__REPLY_FIXED
#define CHUNK_GAP 16
#define TAIL 32
#define FIELDS_MAX (7 * 1024)
#define TRAILERS_MAX (4 * 1024)
#define SENDFILE_MAX (1 << 20)   /* per look at the deadline */
#define HOLD_ROOM (12 * 1024)   /* less room behind the held answers: they are sent first */

/* ---- bytes to the peer ---- */

/* All of data[0 .. len): at once if the socket takes it, else under a deadline. */
static weft_err reply_bytes(struct weft_http_writer *w, const char *data, size_t len)
{
    ssize_t n = weft__conn_try_write(w->sc->conn, data, len);
    if (n >= 0 && (size_t)n < len) {
        weft__sconn_write_limit(w->sc, w->sc->server->o.io_timeout);
        n = weft_conn_write(NULL, w->sc->conn, data + n, len - (size_t)n);
    }
    if (n < 0)
        w->err = (weft_err)n;   /* A1 */
    return w->err;
}

/* From here on out[0 .. base) is ours again; *ret_sent bytes of it have left (late.c). */
static weft_err reply_settle(struct weft_http_writer *w, uint32_t *ret_sent)
{
    weft_err err = weft__late_settle(w->sc->x, ret_sent);
    if (err < 0)
        w->err = err;   /* A1 */
    return w->err;
}

weft_err weft__reply_release_held(struct weft_http_writer *w)
{
    uint32_t n = w->base, sent;
    weft_err err = reply_settle(w, &sent);
    w->base = 0;
    if (err == 0 && n > sent)
        err = reply_bytes(w, w->out->data + sent, n - sent);
    if (w->len > n + FIXED)   /* what the handler has put so far moves down */
        memmove(w->out->data + FIXED, w->out->data + n + FIXED, w->len - n - FIXED);
    w->fields_end -= n;
    w->len -= n;
    return err;
}

void weft__reply_init(struct weft_http_writer *w, struct weft__sconn *sc, bool is_head, bool old)
{
    *w = (struct weft_http_writer){.sc = sc, .out = w->out, .base = w->base, .status = 200, .is_head = is_head, .old = old};
    w->fields_end = w->len = w->base + FIXED;
    if (w->base && w->out->cap - w->base < HOLD_ROOM)
        (void)weft__reply_release(w);
}

bool weft__reply_reset(struct weft_http_writer *w)
{
    if (w->head_sent || w->err)
        return false;
    weft__reply_done(w);
    if (w->h2)
        weft__h2_reset(w);
    else
        weft__reply_init(w, w->sc, w->is_head, w->old);
    return !w->err;
}

void weft__reply_done(struct weft_http_writer *w)
{
    if (!w->trailers)
        return;
    free(w->trailers);
    w->trailers = NULL;
    w->trailers_len = 0;
}

/* ---- what the handler says ---- */

void weft_http_reply_status(weft_http_writer *w, int status)
{
    WEFT_ASSERT((status >= 200 && status <= 599) || status == 101, "args");
    if (!w->fields_closed)
        w->status = status;
}

void weft_http_reply_length(weft_http_writer *w, uint64_t len)
{
    if (w->fields_closed)
        return;
    w->has_length = true;
    w->length = len;
}

int weft_http_reply_sent_status(const weft_http_writer *w)
{
    return w->status;
}

uint64_t weft_http_reply_sent_bytes(const weft_http_writer *w)
{
    return w->no_body ? 0 : w->written;
}

/* Fields that say how the message is framed. 1: dealt with; 0: an ordinary one; or an error. */
static int reply_special(struct weft_http_writer *w, const char *name, size_t nn, const char *value)
{
    if (nn == 14 && strcasecmp(name, "content-length") == 0) {
        size_t digits = strspn(value, "0123456789");
        if (!digits || value[digits] || digits > 18)
            return WEFT_EINVAL;
        weft_http_reply_length(w, strtoull(value, NULL, 10));
        return 1;
    }
    if (nn == 10 && strcasecmp(name, "connection") == 0) {
        if (!weft__http_has_word(value, "close"))
            return WEFT_EINVAL;
        w->close = true;
        return 1;
    }
    if (nn == 17 && strcasecmp(name, "transfer-encoding") == 0)
        return WEFT_EINVAL;
    return nn == 4 && strcasecmp(name, "date") == 0 ? WEFT_EINVAL : 0;
}

/* "name: value CRLF" at p. */
static char *field_text(char *p, const char *name, size_t nn, const char *value, size_t nv)
{
    memcpy(p, name, nn);
    memcpy(p + nn, ": ", 2);
    memcpy(p + nn + 2, value, nv);
    memcpy(p + nn + 2 + nv, "\r\n", 2);
    return p + nn + nv + 4;
}

/* The first field of an answer is nearly always the first one of the last answer too: then it has been looked at. */
static bool field_again(struct weft_http_writer *w, const char *name, const char *value)
{
    const struct weft__exch *x = w->sc->x;
    size_t nn = x->first_name_len, n = x->first_len;
    if (!nn || strcmp(name, x->first) != 0 || strcmp(value, x->first + nn + 2) != 0)
        return false;
    char *p = w->out->data + w->fields_end;
    memcpy(p, x->first, n);
    memcpy(p + nn, ": ", 2);
    memcpy(p + n - 2, "\r\n", 2);
    w->len = w->fields_end += (uint32_t)n;
    return true;
}

static void field_note(struct weft__exch *x, const char *name, size_t nn, const char *value, size_t nv)
{
    if (nn + nv + 4 > sizeof x->first)
        return;
    memcpy(mempcpy(x->first, name, nn), "\0", 2);
    memcpy(mempcpy(x->first + nn + 2, value, nv), "\0", 2);
    x->first_name_len = (uint8_t)nn;
    x->first_len = (uint8_t)(nn + nv + 4);
}

weft_err weft_http_reply_field(weft_http_writer *w, const char *name, const char *value)
{
    size_t nn, nv;
    if (w->fields_closed || !name || !value)
        return WEFT_EINVAL;
    bool first = !w->h2 && w->fields_end == w->base + FIXED;
    if (first && field_again(w, name, value))
        return 0;
    if (!weft__http_field_cut(name, value, &nn, &nv))
        return WEFT_EINVAL;
    int special = reply_special(w, name, nn, value);
    if (special)
        return special < 0 ? special : 0;
    if (w->h2)
        return weft__h2_field(w, name, nn, value, nv);
    if (nn > FIELDS_MAX || nv > FIELDS_MAX || w->fields_end - w->base - FIXED + nn + nv + 4 > FIELDS_MAX)
        return WEFT_ETOOBIG;
    char *end = field_text(w->out->data + w->fields_end, name, nn, value, nv);
    w->len = w->fields_end = (uint32_t)(end - w->out->data);
    if (first)
        field_note(w->sc->x, name, nn, value, nv);
    return 0;
}

weft_err weft_http_reply_trailer(weft_http_writer *w, const char *name, const char *value)
{
    size_t nn, nv;
    if (!name || !value || !weft__http_field_cut(name, value, &nn, &nv) || !weft__trailer_allowed(name))
        return WEFT_EINVAL;
    if (w->no_body || (!w->h2 && (w->old || w->has_length)))
        return WEFT_EUNSUPPORTED;   /* only chunks and streams have a place for trailers */
    if (nn > TRAILERS_MAX || nv > TRAILERS_MAX || w->trailers_len + nn + nv + 4 > TRAILERS_MAX)
        return WEFT_ETOOBIG;
    if (!w->trailers && !(w->trailers = malloc(TRAILERS_MAX)))
        return WEFT_ENOMEM;
    w->trailers_len = (uint32_t)(field_text(w->trailers + w->trailers_len, name, nn, value, nv) - w->trailers);
    return 0;
}

/* ---- framing ---- */

static void reply_close_fields(struct weft_http_writer *w)
{
    if (w->fields_closed)
        return;
    memcpy(w->out->data + w->fields_end, "\r\n", 2);
    w->len = w->fields_end + 2;
    w->fields_closed = true;
    w->no_body = w->is_head || w->status == 204 || w->status == 304 || w->status == 101;
}

/* Status line and the server's own fields, ending where the handler's begin. Where they begin. */
static uint32_t reply_fixed(struct weft_http_writer *w)
{
    char *at = w->out->data + w->base;
    if (w->status == 200 && w->has_length && !w->old)
        return w->base + FIXED - weft__reply_head_before(w, at + FIXED);
    uint32_t n = weft__reply_head(w, at);
    memmove(at + FIXED - n, at, n);
    return w->base + FIXED - n;
}

/* "size CRLF" before the chunk that ends at len and begins at *start, and CRLF behind it. */
static void reply_frame_chunk(struct weft_http_writer *w, uint32_t *start, uint32_t gap_from)
{
    char size[CHUNK_GAP];
    uint32_t body = w->len - *start;
    if (!body)
        return;
    int n = snprintf(size, sizeof size, "%x\r\n", body);
    if (gap_from + (uint32_t)n > *start) {   /* no gap before it: the first chunk, behind the head */
        memmove(w->out->data + *start + n, w->out->data + *start, body);
        w->len += (uint32_t)n;
    } else {
        *start -= (uint32_t)n;
    }
    memcpy(w->out->data + *start, size, (size_t)n);
    memcpy(w->out->data + w->len, "\r\n", 2);
    w->len += 2;
}

/* Held answers and out[from .. len) become out[0 .. n), without a gap. n. */
static uint32_t reply_close_gap(struct weft_http_writer *w, uint32_t from)
{
    uint32_t n = w->len - from;
    memmove(w->out->data + w->base, w->out->data + from, n);
    return w->base + n;
}

bool weft__reply_post_try(struct weft_http_writer *w)
{
    ssize_t n = 0;
    if (w->post_at < w->post_end)   /* the post may have sent it with others */
        n = weft__conn_try_write(w->sc->conn, w->out->data + w->post_at, w->post_end - w->post_at);
    if (n > 0)
        w->post_at += (uint32_t)n;
    return w->post_at == w->post_end;   /* an error comes again with the next attempt */
}

weft_err weft__reply_post_send(struct weft_http_writer *w)
{
    uint32_t at = w->post_at;
    w->post_at = w->post_end;
    return w->post_end > at ? reply_bytes(w, w->out->data + at, w->post_end - at) : 0;
}

/* out[from .. len), behind what is held, and more. post: it only is made ready for that, in out[post_at .. post_end). */
static weft_err reply_send(struct weft_http_writer *w, uint32_t from, const void *more, size_t more_len, bool post)
{
    uint32_t end = w->len;
    if (w->base) {
        end = reply_close_gap(w, from);
        if (reply_settle(w, &from) < 0)
            return w->err;
    }
    w->base = 0;
    w->len = w->fields_end = CHUNK_GAP;   /* the buffer is empty; chunks now have their gap */
    if (!more_len) {
        w->post_at = from;
        w->post_end = end;
        return post ? 0 : weft__reply_post_send(w);
    }
    struct iovec iov[2] = {{w->out->data + from, end - from}, {(void *)(uintptr_t)more, more_len}};
    weft__sconn_write_limit(w->sc, w->sc->server->o.io_timeout);
    ssize_t n = weft_conn_writev(NULL, w->sc->conn, iov, 2);
    if (n < 0)
        w->err = (weft_err)n;   /* A1 */
    return w->err;
}

/* The last chunk, with trailers if there are any: they fit, or what is before them leaves first. */
static weft_err reply_last_chunk(struct weft_http_writer *w, uint32_t *from)
{
    if (w->len + w->trailers_len + 5 > w->out->cap) {
        weft_err err = reply_send(w, *from, NULL, 0, false);
        if (err < 0)
            return err;
        *from = w->len;
    }
    char *p = w->out->data + w->len;
    memcpy(p, "0\r\n", 3);
    if (w->trailers_len)
        memcpy(p + 3, w->trailers, w->trailers_len);
    memcpy(p + 3 + w->trailers_len, "\r\n", 2);
    w->len += w->trailers_len + 5;
    return 0;
}

/* Send head (if it is not out) and what is buffered; `more` bytes of body straight behind; last: the message ends. */
static weft_err reply_push(struct weft_http_writer *w, const void *more, size_t more_len, bool last)
{
    if (w->err)
        return w->err;
    reply_close_fields(w);
    uint32_t body = w->head_sent ? CHUNK_GAP : w->fields_end + 2, from = body;
    if (!w->head_sent) {
        if (!w->has_length && !w->no_body) {
            w->chunked = !w->old;
            w->close |= w->old;
        }
        from = reply_fixed(w);
    }
    if (w->chunked) {
        uint32_t start = body;
        reply_frame_chunk(w, &start, w->head_sent ? 0 : body);
        if (w->head_sent)
            from = start;
        if (last && reply_last_chunk(w, &from) < 0)
            return w->err;
    }
    w->head_sent = true;
    return reply_send(w, from, more, more_len, false);
}

char *weft__reply_room(struct weft_http_writer *w, size_t *ret_len)
{
    if (w->h2)
        return weft__h2_room(w, ret_len);
    if (w->err)
        return NULL;
    reply_close_fields(w);
    if (w->len >= w->out->cap - TAIL && reply_push(w, NULL, 0, false) < 0)
        return NULL;
    *ret_len = w->out->cap - TAIL - w->len;
    return w->out->data + w->len;
}

/* May so many more bytes of body come (A2)? */
static weft_err reply_count(struct weft_http_writer *w, size_t len)
{
    if (w->has_length && len > w->length - w->written) {
        w->err = WEFT_EINVAL;
        return w->err;
    }
    w->written += len;
    return 0;
}

weft_err weft__reply_commit(struct weft_http_writer *w, size_t len)
{
    weft_err err = reply_count(w, len);
    if (err == 0 && !w->no_body)
        w->len += (uint32_t)len;
    return err;
}

weft_err weft_http_reply_write(weft_http_writer *w, const void *buf, size_t len)
{
    const char *s = buf;
    if (w->h2)
        return weft__h2_write(w, s, len);
    if (w->err)
        return w->err;
    reply_close_fields(w);
    if (w->no_body)
        return reply_count(w, len);
    bool fits = len <= w->out->cap - TAIL - w->len;
    if (fits || w->has_length) {
        weft_err err = reply_count(w, len);
        if (err < 0)
            return err;
        if (!fits)   /* framed by nothing: straight from the caller's memory, with the head in front */
            return reply_push(w, s, len, false);
        if (len)
            memcpy(w->out->data + w->len, s, len);
        w->len += (uint32_t)len;
        return 0;
    }
    while (len) {
        size_t room;
        char *to = weft__reply_room(w, &room);
        if (!to)
            return w->err;
        size_t n = len < room ? len : room;
        memcpy(to, s, n);
        weft_err err = weft__reply_commit(w, n);
        if (err < 0)
            return err;
        s += n;
        len -= n;
    }
    return 0;
}

weft_err weft__reply_file(struct weft_http_writer *w, int fd, uint64_t *at, uint64_t *len)
{
    if (!w->has_length || w->is_head || w->err || w->h2)   /* frames: no sendfile */
        return w->err;
    if (*len > w->length - w->written)
        return w->err = WEFT_EINVAL;   /* A2 */
    if (reply_push(w, NULL, 0, false) < 0)
        return w->err;
    while (*len && !w->no_body) {
        weft__sconn_write_limit(w->sc, w->sc->server->o.io_timeout);
        ssize_t n = weft__conn_sendfile(w->sc->conn, fd, *at, *len < SENDFILE_MAX ? (size_t)*len : SENDFILE_MAX);
        if (n == WEFT_EUNSUPPORTED)
            return 0;
        if (n <= 0)
            return w->err = n < 0 ? (weft_err)n : WEFT_EEOF;   /* 0: the file has shrunk */
        *at += (uint64_t)n;
        *len -= (uint64_t)n;
        w->written += (uint64_t)n;
    }
    return 0;
}

weft_err weft_http_reply_flush(weft_http_writer *w)
{
    return w->h2 ? weft__h2_flush(w) : reply_push(w, NULL, 0, false);
}

bool weft__reply_finish(struct weft_http_writer *w, enum weft__finish how)
{
    if (w->err)
        return false;
    reply_close_fields(w);
    if (!w->head_sent && !w->has_length && !w->trailers_len && (!w->no_body || (w->is_head && w->written))) {
        w->has_length = true;
        w->length = w->written;
    }
    if (!w->no_body && w->has_length && w->written < w->length)
        w->close = true;   /* A2: sent as far as it goes; the peer sees a message cut off */
    if (!w->head_sent && (w->has_length || w->no_body)) {   /* all of it is in out */
        uint32_t from = reply_fixed(w);
        if (how == WEFT__FINISH_HOLD && !w->close) {
            w->len = w->fields_end = w->base = reply_close_gap(w, from);   /* A3 */
            weft__late_hold(w->sc->x, w->base);
            return true;
        }
        w->head_sent = true;
        bool post = how == WEFT__FINISH_POST && !w->close && w->status != 101;
        return reply_send(w, from, NULL, 0, post) == 0 && !w->close;
    }
    bool pending = !w->head_sent || w->chunked || w->len > CHUNK_GAP;
    return !(pending && reply_push(w, NULL, 0, true) < 0) && !w->close;
}

weft_err weft_http_reply_text(weft_http_writer *w, int status, const char *content_type, const char *text)
{
    weft_http_reply_status(w, status);
    weft_err err = weft_http_reply_field(w, "Content-Type", content_type);
    return err < 0 ? err : weft_http_reply_write(w, text, strlen(text));
}

void weft__reply_refusal(struct weft_http_writer *w, int status)
{
    char text[64];
    size_t n = 0;
    const char *words = weft__http_status_text(status);
    while (words[n] && n < sizeof text - 2) {
        text[n] = words[n];
        n++;
    }
    text[n] = '\n';
    text[n + 1] = '\0';
    (void)weft_http_reply_text(w, status, "text/plain; charset=utf-8", text);
}
