/*
 * events.c - the reading end of server-sent events: a stream of them, connected again when it ends.
 *
 * Role    What a browser's EventSource does, for a goroutine that asks for one event after the other. Near sse.c (the sending end),
 *         client.c (calls). Layer 5.
 *
 * Invariants
 *   E1  line, data and kind hold what has come of the event under way; a stream that ends drops them (the standard's step).
 *   E2  next_id becomes id only with the empty line that ends an event: what is asked for again is what was not handed out.
 *
 * Limits  event_bytes_max for a line, and for an event's data. The pause doubles with each failure in a row, up to a minute.
 * Source  HTML Living Standard, 9.2 Server-sent events. Differs: bytes that are not UTF-8 are handed over as they are.
 */
#include "http_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <weft/ctx.h>
#include <weft/events.h>
#include <weft/select.h>

#define RETRY_DEFAULT (3 * WEFT_SEC)
#define PAUSE_MAX (60 * WEFT_SEC)
#define BYTES_MAX ((size_t)1 << 20)

/* Text that grows; NUL-terminated when it was put. */
struct text {
    char *s;
    size_t len, cap;
};

struct weft_http_events {
    weft_http_client *client;
    char *url;
    const struct weft_http_field *fields;
    size_t fields_len, bytes_max;
    weft_dur retry;                /* the pause; < 0: never again */
    weft_http_response *resp;      /* NULL: not connected */
    const char *piece;             /* piece[0 .. left): come and not looked at */
    size_t left;
    bool after_cr, first_line;
    bool over;                     /* no more, for good */
    bool handed;                   /* data and kind were handed out: they go with the next call */
    bool again;                    /* it was connected once, or has failed: pause before the next time */
    unsigned failures;             /* in a row */
    struct text line, data, kind, id, next_id;
};

/* Room for n bytes more. The limit is for what strangers send. */
static weft_err text_put(struct text *t, const char *s, size_t n, size_t max)
{
    if (n > max || t->len > max - n)
        return WEFT_ETOOBIG;
    if (t->len + n + 1 > t->cap) {
        size_t cap = 2 * (t->len + n + 1);
        char *p = realloc(t->s, cap);
        if (!p)
            return WEFT_ENOMEM;
        t->s = p;
        t->cap = cap;
    }
    if (n)
        memcpy(t->s + t->len, s, n);
    t->len += n;
    t->s[t->len] = '\0';
    return 0;
}

static weft_err text_set(struct text *t, const char *s, size_t n, size_t max)
{
    t->len = 0;
    return text_put(t, s, n, max);
}

static const char *text_str(const struct text *t)
{
    return t->len ? t->s : "";
}

/* ---- life ---- */

weft_err weft_http_events_new(weft_http_client *client, const char *url, const struct weft_http_events_opts *opts,
                              weft_http_events **ret_events)
{
    static const struct weft_http_events_opts none;
    opts = opts ? opts : &none;
    if (!url || (opts->last_id && !weft__http_field_ok("Last-Event-ID", opts->last_id)))
        return url ? WEFT_EINVAL : WEFT_EADDR;
    struct weft_http_events *ev = calloc(1, sizeof *ev);
    if (!ev)
        return WEFT_ENOMEM;
    ev->client = client;
    ev->url = strdup(url);
    ev->fields = opts->fields;
    ev->fields_len = opts->fields_len;
    ev->retry = opts->retry ? opts->retry : RETRY_DEFAULT;
    ev->bytes_max = opts->event_bytes_max ? opts->event_bytes_max : BYTES_MAX;
    weft_err err = ev->url ? 0 : WEFT_ENOMEM;
    if (!err && opts->last_id)
        err = text_set(&ev->id, opts->last_id, strlen(opts->last_id), SIZE_MAX / 4);
    if (!err && opts->last_id)
        err = text_set(&ev->next_id, opts->last_id, strlen(opts->last_id), SIZE_MAX / 4);
    if (err) {
        weft_http_events_free(ev);
        return err;
    }
    *ret_events = ev;
    return 0;
}

/* E1 */
static void stream_drop(struct weft_http_events *ev)
{
    weft_http_response_free(ev->resp);
    ev->resp = NULL;
    ev->left = 0;
    ev->line.len = ev->data.len = ev->kind.len = 0;
    ev->handed = false;
    ev->again = true;
}

void weft_http_events_free(weft_http_events *ev)
{
    if (!ev)
        return;
    weft_http_response_free(ev->resp);
    free(ev->url);
    free(ev->line.s);
    free(ev->data.s);
    free(ev->kind.s);
    free(ev->id.s);
    free(ev->next_id.s);
    free(ev);
}

/* ---- lines ---- */

static bool is(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(s, word, n) == 0;
}

static void line_retry(struct weft_http_events *ev, const char *value, size_t n)
{
    int64_t ms = 0;
    for (size_t i = 0; i < n; i++) {
        if (value[i] < '0' || value[i] > '9')
            return;
        ms = ms > 1000000000 ? ms : ms * 10 + (value[i] - '0');   /* 11 days are enough */
    }
    if (n && ev->retry >= 0)
        ev->retry = ms ? ms * WEFT_MS : 1;
}

/* A field. The standard's "process the field". */
static weft_err line_field(struct weft_http_events *ev, const char *name, size_t n, const char *value, size_t len)
{
    weft_err err = 0;
    if (is(name, n, "data")) {
        err = text_put(&ev->data, value, len, ev->bytes_max);
        return err < 0 ? err : text_put(&ev->data, "\n", 1, ev->bytes_max + 1);
    }
    if (is(name, n, "event"))
        err = text_set(&ev->kind, value, len, ev->bytes_max);
    else if (is(name, n, "id") && !memchr(value, '\0', len))
        err = text_set(&ev->next_id, value, len, ev->bytes_max);
    else if (is(name, n, "retry"))
        line_retry(ev, value, len);
    return err;
}

/* The empty line: 1 when it ends an event that has data. */
static int line_dispatch(struct weft_http_events *ev, struct weft_http_event *ret_event)
{
    weft_err err = text_set(&ev->id, text_str(&ev->next_id), ev->next_id.len, SIZE_MAX / 4);   /* E2 */
    if (err < 0 || !ev->data.len) {
        ev->kind.len = 0;
        return err;
    }
    ev->data.s[--ev->data.len] = '\0';
    *ret_event = (struct weft_http_event){.id = text_str(&ev->id), .event = ev->kind.len ? ev->kind.s : "message", .data = ev->data.s,
                                          .retry = ev->retry < 0 ? 0 : ev->retry};
    return 1;
}

/* ev->line is whole: 1: an event; 0; or an error. */
static int line_take(struct weft_http_events *ev, struct weft_http_event *ret_event)
{
    const char *s = text_str(&ev->line);
    size_t n = ev->line.len;
    if (ev->first_line && n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) {
        s += 3;
        n -= 3;
    }
    ev->first_line = false;
    ev->line.len = 0;
    if (!n)
        return line_dispatch(ev, ret_event);
    const char *colon = memchr(s, ':', n);
    if (colon == s)
        return 0;
    size_t name = colon ? (size_t)(colon - s) : n, value = colon ? name + 1 : n;
    if (value < n && s[value] == ' ')
        value++;
    return line_field(ev, s, name, s + value, n - value);
}

/* What has come, up to the next event: 1; 0: all of it is used up; or an error. */
static int piece_take(struct weft_http_events *ev, struct weft_http_event *ret_event)
{
    while (ev->left) {
        if (ev->after_cr && *ev->piece == '\n') {
            ev->piece++;
            ev->left--;
            ev->after_cr = false;
            continue;
        }
        ev->after_cr = false;
        size_t n = 0;
        while (n < ev->left && ev->piece[n] != '\r' && ev->piece[n] != '\n')
            n++;
        weft_err err = text_put(&ev->line, ev->piece, n, ev->bytes_max);
        if (err < 0)
            return err;
        bool whole = n < ev->left;
        ev->after_cr = whole && ev->piece[n] == '\r';
        ev->piece += n + whole;
        ev->left -= n + whole;
        int state = whole ? line_take(ev, ret_event) : 0;
        if (state)
            return state;
    }
    return 0;
}

/* ---- connecting ---- */

/* The pause before the next try; 0, or why it was cut short. */
static weft_err pause_before(weft_ctx *ctx, const struct weft_http_events *ev)
{
    weft_dur d = ev->retry;
    for (unsigned i = 1; i < ev->failures && d < PAUSE_MAX; i++)
        d = d * 2 < PAUSE_MAX ? d * 2 : PAUSE_MAX;
    if (weft_select(weft_on_timeout(d), weft_on_recv(weft_ctx_done(ctx), NULL)) == 0)
        return 0;
    return weft_ctx_err(ctx);
}

/* Is it a stream of events? 1; 0: the server wants no more calls; or an error, for good. */
static int answer_judge(struct weft_http_events *ev)
{
    const char *type = weft_http_header(ev->resp, "content-type");
    int status = weft_http_status(ev->resp);
    if (status == 200 && type && strncasecmp(type, "text/event-stream", 17) == 0 && (!type[17] || strchr(" \t;", type[17])))
        return 1;
    stream_drop(ev);
    ev->over = status == 204 || ev->over;
    return status == 204 ? 0 : WEFT_EPROTO;
}

static weft_err stream_open(weft_ctx *ctx, struct weft_http_events *ev)
{
    size_t n = 0;
    struct weft_http_field *f = malloc((ev->fields_len + 3) * sizeof *f);
    if (!f)
        return WEFT_ENOMEM;
    f[n++] = (struct weft_http_field){"Accept", "text/event-stream"};
    f[n++] = (struct weft_http_field){"Cache-Control", "no-store"};
    if (ev->id.len)
        f[n++] = (struct weft_http_field){"Last-Event-ID", ev->id.s};
    if (ev->fields_len)
        memcpy(f + n, ev->fields, ev->fields_len * sizeof *f);
    struct weft_http_call call = {.url = ev->url, .fields = f, .fields_len = n + ev->fields_len, .timeout = -1};
    weft_err err = weft_http_do(ctx, ev->client, &call, &ev->resp);
    free(f);
    if (err < 0)
        ev->resp = NULL;
    ev->first_line = true;
    ev->after_cr = false;
    return text_set(&ev->next_id, text_str(&ev->id), ev->id.len, SIZE_MAX / 4) < 0 ? WEFT_ENOMEM : err;
}

/* Would it be the same the next time? */
static bool final(weft_ctx *ctx, weft_err err)
{
    return weft_ctx_err(ctx) || err == WEFT_EADDR || err == WEFT_EINVAL || err == WEFT_EUNSUPPORTED || err == WEFT_EREDIRECT ||
           err == WEFT_EDENIED || err == WEFT_ECERT || err == WEFT_ENOMEM;
}

/* Connected: 1; 0: no more events, for good; or an error. */
static int stream_ready(weft_ctx *ctx, struct weft_http_events *ev)
{
    while (!ev->resp) {
        weft_err err = weft_ctx_err(ctx);
        if (ev->again && ev->retry < 0)
            return 0;
        if (!err && ev->again)
            err = pause_before(ctx, ev);
        if (err < 0)
            return err;
        err = stream_open(ctx, ev);
        if (err == 0)
            return answer_judge(ev);
        ev->again = !weft_ctx_err(ctx);
        ev->failures += ev->failures < 20;
        if (final(ctx, err) || ev->retry < 0)
            return err;
    }
    return 1;
}

int weft_http_events_next(weft_ctx *ctx, weft_http_events *ev, struct weft_http_event *ret_event)
{
    if (ev->over)
        return 0;
    for (;;) {
        int state = stream_ready(ctx, ev);
        if (state <= 0)
            return state;
        if (ev->handed)
            ev->data.len = ev->kind.len = 0;
        ev->handed = false;
        state = piece_take(ev, ret_event);
        ev->handed = state == 1;
        if (state) {
            if (state < 0)
                stream_drop(ev);
            return state;
        }
        const void *piece;
        ssize_t n = weft_http_body_next(ctx, ev->resp, &piece);
        ev->failures = n > 0 ? 0 : ev->failures + (n < 0 && ev->failures < 20);
        if (n <= 0) {
            stream_drop(ev);
            weft_err err = weft_ctx_err(ctx);
            ev->again = !err;   /* who was called off comes back at once */
            if (err || (n < 0 && ev->retry < 0))
                return err ? err : (int)n;
            continue;
        }
        ev->piece = piece;
        ev->left = (size_t)n;
    }
}
