/*
 * head.c - the head of a message: llhttp, strict, and a table of the fields.
 *
 * Role    Turn the bytes of a status or request line and its fields into offsets; stop right behind the empty line.
 * Near    wirebody.c goes on with the same parser when the body is chunked; llhttp's api.md. Layer 5.
 *
 * Invariants
 *   H1  offsets are into buf->data, so that a buffer may grow (move) between two calls of weft__head_parse.
 *   H2  once complete, each name and value is followed by a NUL, written over the ':' or over a blank or CR.
 *
 * Limits  The caller bounds the bytes. Trailers up to 16 KiB, for who keeps them. Fields past 32 are in malloc'ed
 *         memory, doubled each time.
 * Failure WEFT_EPROTO with llhttp's reason; WEFT_ENOMEM.
 * Not so  llhttp's own bodies of stated length are not used: wirebody.c counts for itself and reads straight to where
 *         the bytes are wanted.
 */
#include "http_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int head_on_url(llhttp_t *p, const char *at, size_t len)
{
    struct weft__head *h = (struct weft__head *)p;
    if (!h->target_len)
        h->target = (uint32_t)(at - h->buf->data);
    h->target_len += (uint32_t)len;
    return 0;
}

static bool head_grow(struct weft__head *h)
{
    uint32_t cap = h->fields_cap * 2;
    struct weft__hfield *f = malloc(cap * sizeof *f);
    if (!f)
        return false;
    memcpy(f, h->fields, h->fields_len * sizeof *f);
    if (h->fields != h->near)
        free(h->fields);
    h->fields = f;
    h->fields_cap = cap;
    return true;
}

/* ---- trailers ---- */

/* n bytes more of text. False: too many, or memory is short. */
static bool trailer_put(struct weft__head *h, const char *s, size_t n)
{
    struct weft__trailers *t = h->trailers;
    uint32_t len = t ? t->len : 0, cap = t ? t->cap : 0;
    if (len + n > WEFT__TRAILERS_MAX)
        return false;
    if (len + n > cap) {
        cap = cap ? cap * 2 : 256;
        while (cap < len + n)
            cap *= 2;
        t = realloc(t, sizeof *t + cap);
        if (!t) {
            h->nomem = true;
            return false;
        }
        if (!h->trailers)
            *t = (struct weft__trailers){0};
        t->cap = cap;
        h->trailers = t;
    }
    memcpy(t->text + len, s, n);
    t->len += (uint32_t)n;
    return true;
}

static int trailer_on_name(struct weft__head *h, const char *at, size_t len)
{
    return h->keep_trailers && !trailer_put(h, at, len) ? HPE_USER : 0;
}

static int trailer_on_value(struct weft__head *h, const char *at, size_t len)
{
    if (!h->keep_trailers)
        return 0;
    bool first = h->trailers && !h->trailers->in_value;
    if ((first && !trailer_put(h, "", 1)) || !trailer_put(h, at, len))
        return HPE_USER;
    h->trailers->in_value = true;
    return 0;
}

static int trailer_on_end(struct weft__head *h)
{
    if (!h->keep_trailers)
        return 0;
    if (trailer_on_value(h, "", 0) != 0)   /* an empty value has no piece of its own */
        return HPE_USER;
    struct weft__trailers *t = h->trailers;
    while (t->len && (t->text[t->len - 1] == ' ' || t->text[t->len - 1] == '\t'))
        t->len--;
    if (!trailer_put(h, "", 1))
        return HPE_USER;
    h->trailers->in_value = false;
    h->trailers->count++;
    return 0;
}

bool weft__trailer_add(struct weft__head *h, const char *name, size_t nn, const char *value, size_t nv)
{
    if (!trailer_put(h, name, nn) || !trailer_put(h, "", 1) || !trailer_put(h, value, nv) || !trailer_put(h, "", 1))
        return false;
    h->trailers->count++;
    return true;
}

bool weft__trailer_at(const struct weft__trailers *t, size_t i, struct weft_http_field *ret_field)
{
    if (!t || i >= t->count)
        return false;
    const char *s = t->text;
    for (;; i--) {
        const char *value = s + strlen(s) + 1;
        *ret_field = (struct weft_http_field){s, value};
        if (!i)
            return true;
        s = value + strlen(value) + 1;
    }
}

bool weft__trailer_allowed(const char *name)
{
    static const char *const never[] = {
        "authorization", "cache-control", "connection", "content-encoding", "content-length", "content-range", "content-type", "cookie",
        "expect", "host", "keep-alive", "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "proxy-connection",
        "range", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "www-authenticate"};
    if (strncasecmp(name, "if-", 3) == 0)
        return false;
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (strcasecmp(name, never[i]) == 0)
            return false;
    return true;
}

/* ---- the parser's calls ---- */

static int head_on_field(llhttp_t *p, const char *at, size_t len)
{
    struct weft__head *h = (struct weft__head *)p;
    if (h->in_body)
        return trailer_on_name(h, at, len);
    if (!h->fields_len || h->in_value) {
        if (h->fields_len == h->fields_cap && !head_grow(h)) {
            h->nomem = true;
            return HPE_USER;
        }
        h->fields[h->fields_len++] = (struct weft__hfield){.name = (uint32_t)(at - h->buf->data)};
        h->in_value = false;
    }
    h->fields[h->fields_len - 1].name_len += (uint32_t)len;
    return 0;
}

static int head_on_value(llhttp_t *p, const char *at, size_t len)
{
    struct weft__head *h = (struct weft__head *)p;
    if (h->in_body)
        return trailer_on_value(h, at, len);
    struct weft__hfield *f = &h->fields[h->fields_len - 1];
    if (!f->value_len)
        f->value = (uint32_t)(at - h->buf->data);
    f->value_len += (uint32_t)len;
    h->in_value = true;
    return 0;
}

static int head_on_value_complete(llhttp_t *p)
{
    struct weft__head *h = (struct weft__head *)p;
    h->in_value = true;
    return h->in_body ? trailer_on_end(h) : 0;
}

static int head_on_headers_complete(llhttp_t *p)
{
    struct weft__head *h = (struct weft__head *)p;
    h->complete = true;
    return HPE_PAUSED;
}

/* Chunked body: the pieces are moved together at h->out. */
static int head_on_body(llhttp_t *p, const char *at, size_t len)
{
    struct weft__head *h = (struct weft__head *)p;
    char *to = h->out + h->out_len;
    if (to != at)
        memmove(to, at, len);
    h->out_len += len;
    return 0;
}

static int head_on_message_complete(llhttp_t *p)
{
    struct weft__head *h = (struct weft__head *)p;
    h->message_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t head_settings = {
    .on_url = head_on_url,
    .on_header_field = head_on_field,
    .on_header_value = head_on_value,
    .on_header_value_complete = head_on_value_complete,
    .on_headers_complete = head_on_headers_complete,
    .on_body = head_on_body,
    .on_message_complete = head_on_message_complete,
};

void weft__head_init(struct weft__head *h, llhttp_type_t type, struct weft__hbuf *buf)
{
    llhttp_init(&h->p, type, &head_settings);
    h->buf = buf;
    h->parsed = h->end = h->target = h->target_len = h->fields_len = 0;
    h->complete = h->in_value = h->in_body = h->nomem = h->message_done = h->scanned = false;
    h->fields = h->near;
    h->fields_cap = WEFT__HEAD_FIELDS;
    h->out = NULL;
    h->out_len = 0;
    h->trailers = NULL;
    h->keep_trailers = false;
}

void weft__head_done(struct weft__head *h)
{
    if (h->fields != h->near)
        free(h->fields);
    free(h->trailers);
    h->trailers = NULL;
    h->fields = h->near;
    h->fields_len = 0;
}

void weft__head_terminate(struct weft__head *h)
{
    char *d = h->buf->data;
    for (uint32_t i = 0; i < h->fields_len; i++) {
        struct weft__hfield *f = &h->fields[i];
        d[f->name + f->name_len] = '\0';
        while (f->value_len && (d[f->value + f->value_len - 1] == ' ' || d[f->value + f->value_len - 1] == '\t'))
            f->value_len--;
        if (f->value_len)
            d[f->value + f->value_len] = '\0';
    }
    if (h->target_len)
        d[h->target + h->target_len] = '\0';
}

int weft__head_parse(struct weft__head *h, size_t len)
{
    if (len == h->parsed)
        return 0;
    llhttp_errno_t e = llhttp_execute(&h->p, h->buf->data + h->parsed, len - h->parsed);
    if (e == HPE_OK) {
        h->parsed = (uint32_t)len;
        return 0;
    }
    if (e != HPE_PAUSED || !h->complete)
        return h->nomem ? WEFT_ENOMEM : WEFT_EPROTO;
    h->end = h->parsed = (uint32_t)(llhttp_get_error_pos(&h->p) - h->buf->data);
    weft__head_terminate(h);
    return 1;
}

const char *weft__head_reason(const struct weft__head *h)
{
    const char *r = llhttp_get_error_reason(&h->p);
    return r && *r ? r : "not HTTP/1";
}

static const char *head_value(const struct weft__head *h, const struct weft__hfield *f)
{
    return f->value_len ? h->buf->data + f->value : "";
}

const char *weft__head_find(const struct weft__head *h, const char *name)
{
    size_t n = strlen(name);
    for (uint32_t i = 0; i < h->fields_len; i++) {
        const struct weft__hfield *f = &h->fields[i];
        if (f->name_len == n && strncasecmp(h->buf->data + f->name, name, n) == 0)
            return head_value(h, f);
    }
    return NULL;
}

bool weft__head_at(const struct weft__head *h, size_t i, struct weft_http_field *ret_field)
{
    if (i >= h->fields_len)
        return false;
    ret_field->name = h->buf->data + h->fields[i].name;
    ret_field->value = head_value(h, &h->fields[i]);
    return true;
}

bool weft__http_has_word(const char *value, const char *word)
{
    size_t n = strlen(word);
    for (const char *s = value; *s;) {
        s += strspn(s, " \t,");
        size_t len = strcspn(s, " \t,;");
        if (len == n && strncasecmp(s, word, n) == 0)
            return true;
        s += strcspn(s, ",");
    }
    return false;
}

bool weft__http_field_ok(const char *name, const char *value)
{
    size_t n, len;
    return name && value && weft__http_field_cut(name, value, &n, &len);
}
