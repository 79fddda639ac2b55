/*
 * canon.c - canonical URLs by lexbor's parser and RFC 3986's normalisation of escapes.
 *
 * Role    Two references name one page exactly if this writes one text for both; the seen-set compares nothing else.
 * Near    pagelinks.c (finds references), frontier/seen.c (remembers fingerprints of what this writes).
 * Invariants
 *   U1  canonical text resolved again gives itself (TEST canon_is_idempotent).
 *   U2  the text is ASCII without blanks and controls: it can be sent in a request line and printed.
 * Locks   none: one goroutine at a time owns a struct canon, and nothing here parks.
 * Limits  CANON_MAX bytes a URL. lexbor's memory is given back URL by URL; the base's lives until the next base.
 * Failure a text that is no URL, or a URL that is not crawled: enum canon_result says which.
 * Not so  Decoding "%2e" cannot make new dot segments: the WHATWG parser counts "%2e" as a dot already.
 */
#include "canon.h"
#include "../base/mem.h"
#include <lexbor/url/url.h>

struct canon {
    lxb_url_parser_t *parser;
    lxb_url_t *base;
};

struct canon *canon_new(void)
{
    struct canon *c = mem_new(sizeof *c);
    c->parser = mem_check(lxb_url_parser_create());
    if (lxb_url_parser_init(c->parser, NULL) != LXB_STATUS_OK)
        mem_check(NULL);
    return c;
}

void canon_free(struct canon *c)
{
    if (!c)
        return;
    lxb_url_parser_memory_destroy(c->parser);
    lxb_url_parser_destroy(c->parser, true);
    free(c);
}

static lxb_url_t *canon_parse(struct canon *c, const char *text, size_t len, lxb_encoding_t encoding)
{
    lxb_url_parser_clean(c->parser);
    if (lxb_url_parse_basic(c->parser, NULL, c->base, (const lxb_char_t *)text, len, LXB_URL_STATE__UNDEF,
                            encoding) != LXB_STATUS_OK) {
        lxb_url_destroy(lxb_url_get(c->parser));
        return NULL;
    }
    return lxb_url_get(c->parser);
}

bool canon_base(struct canon *c, const char *text, size_t len, bool relative_to_old)
{
    lxb_url_t *old = c->base;
    if (!relative_to_old)
        c->base = NULL;
    lxb_url_t *url = text ? canon_parse(c, text, len, LXB_ENCODING_UTF_8) : NULL;
    if (text && !url) {
        c->base = old;
        return false;
    }
    if (old)
        lxb_url_destroy(old);
    c->base = url;
    return true;
}

static int canon_hex(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch = (char)(ch | 0x20);
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

static bool canon_unreserved(int ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '-' ||
           ch == '.' || ch == '_' || ch == '~';
}

size_t canon_percent(char *p, size_t n)
{
    char *first = memchr(p, '%', n);
    if (!first)
        return n;
    size_t out = (size_t)(first - p), near = 0;   /* near: the end of what would make an escape of a lone % before it */
    for (size_t i = out; i < n; i++) {
        int hi, lo;
        if (p[i] != '%' || i + 2 >= n || (hi = canon_hex(p[i + 1])) < 0 || (lo = canon_hex(p[i + 2])) < 0) {
            if (p[i] == '%')
                near = out + 3;
            p[out++] = p[i];
            continue;
        }
        int ch = hi << 4 | lo;
        if (canon_unreserved(ch) && !(out < near && canon_hex((char)ch) >= 0)) {   /* U1: "%%34%31" is not "%41" */
            p[out++] = (char)ch;
        } else {
            p[out++] = '%';
            p[out++] = "0123456789ABCDEF"[hi];
            p[out++] = "0123456789ABCDEF"[lo];
        }
        i += 2;
    }
    return out;
}

static lxb_status_t canon_append(const lxb_char_t *data, size_t len, void *ctx)
{
    text_add(ctx, data, len);
    return LXB_STATUS_OK;
}

static enum canon_result canon_write(const lxb_url_t *url, struct text *t, struct canon_parts *parts)
{
    bool https = url->scheme.type == LXB_URL_SCHEMEL_TYPE_HTTPS;
    text_adds(t, https ? "https://" : "http://");
    parts->host_at = (uint32_t)t->len;
    if (lxb_url_serialize_host(&url->host, canon_append, t) != LXB_STATUS_OK || t->len == parts->host_at)
        return CANON_BAD;
    parts->host_len = (uint32_t)t->len - parts->host_at;
    for (char *h = t->p + parts->host_at; *h; h++)   /* the parser leaves what it has decoded, as in "%41", as it was */
        *h = *h >= 'A' && *h <= 'Z' ? (char)(*h | 0x20) : *h;
    parts->port = https ? 443 : 80;
    if (url->has_port && url->port != parts->port) {
        if (!url->port)
            return CANON_BAD;
        parts->port = url->port;
        text_addf(t, ":%u", url->port);
    }
    parts->site_len = (uint32_t)t->len;
    if (url->path.str.length == 0 || url->path.str.data[0] != '/')
        text_addc(t, '/');
    text_add(t, url->path.str.data, url->path.str.length);
    if (url->query.data) {
        text_addc(t, '?');
        text_add(t, url->query.data, url->query.length);
    }
    t->len = parts->site_len + canon_percent(t->p + parts->site_len, t->len - parts->site_len);
    t->p[t->len] = 0;
    parts->len = (uint32_t)t->len;
    return t->len > CANON_MAX ? CANON_LONG : CANON_OK;
}

enum canon_result canon_url(struct canon *c, const char *text, size_t len, lxb_encoding_t encoding,
                            struct text *ret_text, struct canon_parts *ret_parts)
{
    if (len > 4 * CANON_MAX)
        return CANON_LONG;
    lxb_url_t *url = canon_parse(c, text, len, encoding);
    if (!url)
        return CANON_BAD;
    enum canon_result r = CANON_SCHEME;
    text_clear(ret_text, 0);
    if (url->scheme.type == LXB_URL_SCHEMEL_TYPE_HTTP || url->scheme.type == LXB_URL_SCHEMEL_TYPE_HTTPS) {
        bool login = url->username.length || url->password.length;
        r = login ? CANON_LOGIN : canon_write(url, ret_text, ret_parts);
    }
    lxb_url_destroy(url);
    return r;
}

const char *canon_why(enum canon_result r)
{
    switch (r) {
    case CANON_OK: return "ok";
    case CANON_BAD: return "malformed URL";
    case CANON_SCHEME: return "not an http or https URL";
    case CANON_LOGIN: return "URL with user name or password";
    case CANON_LONG: return "URL longer than 8192 bytes";
    }
    return "malformed URL";
}
