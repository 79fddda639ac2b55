/*
 * reply.c - the answer of a handler: one write when it is small, a stated length or chunks when it is not.
 *
 * Role    Collect fields and body in one buffer so that head and body leave together; frame what does not fit.
 * Near    serveconn.c (who calls init and finish), server_int.h (the buffer's layout). Layer 5.
 *
 *   out:   | .... status line, our fields | handler's fields CRLF | body ..... | room for CRLF, last chunk |
 *          0        right-aligned to FIXED ^                                                       cap - TAIL
 *   once the head is sent:  | chunk size, right-aligned to CHUNK_GAP | body .... | room |
 *
 * Invariants
 *   A1  w->err set  =>  nothing is sent any more and the connection closes.
 *   A2  written <= length once a length was stated: the surplus is refused, a shortage closes the connection.
 *
 * Limits  Fields 7 KiB; io_timeout for each wait of a write.
 */
#include "server_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define FIXED 256
#define CHUNK_GAP 16
#define TAIL 32
#define FIELDS_MAX (7 * 1024)

void weft__http_date(int64_t unix_s, char ret[static 30])
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm t;
    time_t s = (time_t)unix_s;
    (void)gmtime_r(&s, &t);
    (void)snprintf(ret, 30, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * t.tm_wday, (unsigned)t.tm_mday % 100,
                   months + 3 * t.tm_mon, (unsigned)(t.tm_year + 1900) % 10000, (unsigned)t.tm_hour % 100,
                   (unsigned)t.tm_min % 100, (unsigned)t.tm_sec % 100);
}

/* The Date field's text, made once a second. */
static void date_now(char ret[static 30])
{
    static struct weft__lock lock;
    static int64_t at;         /* [lock] */
    static char text[30];      /* [lock] */
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &ts);   /* lint: the time of day, which src/sys does not have */
    weft__lock(&lock);
    if (ts.tv_sec != at) {
        weft__http_date(ts.tv_sec, text);
        at = ts.tv_sec;
    }
    memcpy(ret, text, 30);
    weft__unlock(&lock);
}

const char *weft__http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } table[] = {{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {206, "Partial Content"},
        {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"}, {304, "Not Modified"}, {307, "Temporary Redirect"},
        {308, "Permanent Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
        {405, "Method Not Allowed"}, {408, "Request Timeout"}, {410, "Gone"}, {413, "Content Too Large"},
        {414, "URI Too Long"}, {416, "Range Not Satisfiable"}, {417, "Expectation Failed"}, {418, "I'm a teapot"},
        {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
        {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status)
            return table[i].text;
    return "Status";
}

void weft__reply_init(struct weft_http_writer *w, struct weft__sconn *sc, bool is_head, bool old)
{
    *w = (struct weft_http_writer){.sc = sc, .status = 200, .is_head = is_head, .old = old};
}

bool weft__reply_reset(struct weft_http_writer *w)
{
    if (w->head_sent || w->err)
        return false;
    struct weft__hbuf *out = w->out;
    weft__reply_init(w, w->sc, w->is_head, w->old);
    w->out = out;
    w->fields_end = w->len = FIXED;
    return true;
}

void weft__reply_done(struct weft_http_writer *w)
{
    weft__hbuf_put(w->out);
    w->out = NULL;
}

static bool reply_has_out(struct weft_http_writer *w)
{
    if (w->out)
        return true;
    w->out = weft__hbuf_get(0);
    if (!w->out)
        w->err = WEFT_ENOMEM;
    w->fields_end = w->len = FIXED;
    return w->out != NULL;
}

void weft_http_reply_status(weft_http_writer *w, int status)
{
    WEFT_ASSERT(status >= 200 && status <= 599, "args");
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

/* Fields that say how the message is framed. 1: dealt with; 0: an ordinary one; or an error. */
static int reply_special(struct weft_http_writer *w, const char *name, const char *value)
{
    if (strcasecmp(name, "content-length") == 0) {
        size_t digits = strspn(value, "0123456789");
        if (!digits || value[digits] || digits > 18)
            return WEFT_EINVAL;
        weft_http_reply_length(w, strtoull(value, NULL, 10));
        return 1;
    }
    if (strcasecmp(name, "connection") == 0) {
        if (!weft__http_has_word(value, "close"))
            return WEFT_EINVAL;
        w->close = true;
        return 1;
    }
    return strcasecmp(name, "transfer-encoding") == 0 || strcasecmp(name, "date") == 0 ? WEFT_EINVAL : 0;
}

weft_err weft_http_reply_field(weft_http_writer *w, const char *name, const char *value)
{
    if (w->fields_closed || !weft__http_field_ok(name, value))
        return WEFT_EINVAL;
    int special = reply_special(w, name, value);
    if (special)
        return special < 0 ? special : 0;
    if (!reply_has_out(w))
        return WEFT_ENOMEM;
    size_t nn = strlen(name), nv = strlen(value);
    if (nn > FIELDS_MAX || nv > FIELDS_MAX || w->fields_end - FIXED + nn + nv + 4 > FIELDS_MAX)
        return WEFT_ETOOBIG;
    char *p = w->out->data + w->fields_end;
    memcpy(p, name, nn);
    memcpy(p + nn, ": ", 2);
    memcpy(p + nn + 2, value, nv);
    memcpy(p + nn + 2 + nv, "\r\n", 2);
    w->fields_end += (uint32_t)(nn + nv + 4);
    w->len = w->fields_end;
    return 0;
}

static void reply_close_fields(struct weft_http_writer *w)
{
    if (w->fields_closed)
        return;
    memcpy(w->out->data + w->fields_end, "\r\n", 2);
    w->len = w->fields_end + 2;
    w->fields_closed = true;
    w->no_body = w->is_head || w->status == 204 || w->status == 304;
}

/* Status line and the server's own fields, ending at FIXED. Where they begin. */
static uint32_t reply_fixed(struct weft_http_writer *w)
{
    char text[FIXED], date[30], length[48] = "";
    date_now(date);
    if (w->has_length && w->status != 204)
        (void)snprintf(length, sizeof length, "Content-Length: %llu\r\n", (unsigned long long)w->length);
    int n = snprintf(text, sizeof text, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s", w->status, weft__http_status_text(w->status),
                     date, length, w->chunked ? "Transfer-Encoding: chunked\r\n" : "",
                     w->close ? "Connection: close\r\n" : w->old ? "Connection: keep-alive\r\n" : "");
    memcpy(w->out->data + FIXED - n, text, (size_t)n);
    return (uint32_t)(FIXED - n);
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

static weft_err reply_send(struct weft_http_writer *w, uint32_t from, const void *more, size_t more_len)
{
    struct iovec iov[2] = {{w->out->data + from, w->len - from}, {(void *)(uintptr_t)more, more_len}};
    weft__sconn_write_limit(w->sc, w->sc->server->o.io_timeout);
    ssize_t n = 0;
    if (more_len)
        n = weft_conn_writev(NULL, w->sc->conn, iov, 2);
    else if (iov[0].iov_len)
        n = weft_conn_write(NULL, w->sc->conn, iov[0].iov_base, iov[0].iov_len);
    w->len = w->fields_end = CHUNK_GAP;   /* the buffer is empty; chunks now have their gap */
    if (n < 0)
        w->err = (weft_err)n;   /* A1 */
    return w->err;
}

/* Send head (if it is not out) and what is buffered; `more` bytes of body straight behind; last: the message ends. */
static weft_err reply_push(struct weft_http_writer *w, const void *more, size_t more_len, bool last)
{
    if (w->err || !reply_has_out(w))
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
        if (last) {
            memcpy(w->out->data + w->len, "0\r\n\r\n", 5);
            w->len += 5;
        }
    }
    w->head_sent = true;
    return reply_send(w, from, more, more_len);
}

char *weft__reply_room(struct weft_http_writer *w, size_t *ret_len)
{
    if (w->err || !reply_has_out(w))
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
    if (w->err || !reply_has_out(w))
        return w->err;
    reply_close_fields(w);
    if (w->no_body)
        return reply_count(w, len);
    /* Large and framed by nothing: straight from the caller's memory, with the head in front. */
    if (w->has_length && len > w->out->cap - TAIL - w->len) {
        weft_err err = reply_count(w, len);
        return err < 0 ? err : reply_push(w, s, len, false);
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

weft_err weft_http_reply_flush(weft_http_writer *w)
{
    return reply_push(w, NULL, 0, false);
}

bool weft__reply_finish(struct weft_http_writer *w)
{
    if (w->err || !reply_has_out(w))
        return false;
    reply_close_fields(w);
    if (!w->head_sent && !w->has_length && (!w->no_body || (w->is_head && w->written))) {
        w->has_length = true;
        w->length = w->written;
    }
    if (!w->no_body && w->has_length && w->written < w->length)
        w->close = true;   /* A2: sent as far as it goes; the peer sees a message cut off */
    bool pending = !w->head_sent || w->chunked || w->len > CHUNK_GAP;
    return !(pending && reply_push(w, NULL, 0, true) < 0) && !w->close;
}

weft_err weft_http_reply_text(weft_http_writer *w, int status, const char *content_type, const char *text)
{
    weft_http_reply_status(w, status);
    weft_err err = weft_http_reply_field(w, "Content-Type", content_type);
    return err < 0 ? err : weft_http_reply_write(w, text, strlen(text));
}
