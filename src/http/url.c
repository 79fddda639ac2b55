/*
 * url.c - http and https URLs: cut into pieces, normal spelling, references resolved.
 *
 * Role    What a request needs of a URL (whom to dial, what Host and target say), and where a Location leads.
 * Near    client.c. The crawler canonicalises with lexbor instead: its needs (WHATWG, IDNA) are wider. Layer 5.
 *
 * Invariants
 *   U1  text is "http[s]://host[:port]/path[?query]": lower-case scheme and host, no default port, no user, no
 *       fragment, no dot segments; only bytes 0x21 .. 0x7e, so it can stand in a request line as it is.
 *
 * Limits  WEFT__URL_MAX bytes in; at most three times that out.
 * Failure WEFT_EADDR, WEFT_EUNSUPPORTED (scheme), WEFT_ENOMEM; the output is untouched then.
 * Source  RFC 3986 (5.2 resolution, strict), RFC 9110 4.2. As browsers do, blanks and bytes above 0x7f in path and query
 *         are percent-encoded instead of refused; a host that is not ASCII is refused (the caller speaks punycode).
 */
#include "http_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct span {
    const char *s;
    size_t len;
    bool there;
};
struct url_parts {
    struct span scheme, authority, path, query, fragment;
};

static bool is_alpha(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t url_until(const char *s, size_t len, const char *stops)
{
    size_t i = 0;
    while (i < len && !strchr(stops, s[i]))
        i++;
    return i;
}

/* RFC 3986 appendix B. s holds no NUL. */
static struct url_parts url_split(const char *s, size_t len)
{
    struct url_parts p = {0};
    size_t n = url_until(s, len, ":/?#");
    if (n && n < len && s[n] == ':' && is_alpha(s[0])) {
        p.scheme = (struct span){s, n, true};
        s += n + 1;
        len -= n + 1;
    }
    if (len >= 2 && s[0] == '/' && s[1] == '/') {
        n = url_until(s + 2, len - 2, "/?#");
        p.authority = (struct span){s + 2, n, true};
        s += n + 2;
        len -= n + 2;
    }
    n = url_until(s, len, "?#");
    p.path = (struct span){s, n, true};
    s += n;
    len -= n;
    if (len && *s == '?') {
        n = url_until(s + 1, len - 1, "#");
        p.query = (struct span){s + 1, n, true};
        s += n + 1;
        len -= n + 1;
    }
    if (len)
        p.fragment = (struct span){s + 1, len - 1, true};
    return p;
}

static bool is_dot(const char *s, size_t n)
{
    return (n == 1 && *s == '.') || (n == 3 && strncasecmp(s, "%2e", 3) == 0);
}

static bool is_dot_dot(const char *s, size_t n)
{
    return (n == 2 && memcmp(s, "..", 2) == 0) || (n == 6 && strncasecmp(s, "%2e%2e", 6) == 0) ||
           (n == 4 && (strncasecmp(s, ".%2e", 4) == 0 || strncasecmp(s, "%2e.", 4) == 0));
}

/* RFC 3986 5.2.4 in place, for a path that begins with '/'. The new length. */
static size_t url_remove_dots(char *path, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len;) {
        size_t n = url_until(path + i + 1, len - i - 1, "/");   /* the segment behind the '/' at i */
        bool last = i + 1 + n == len;
        if (is_dot(path + i + 1, n)) {
            if (last)
                path[out++] = '/';
        } else if (is_dot_dot(path + i + 1, n)) {
            while (out && path[--out] != '/')
                ;
            if (last)
                path[out++] = '/';
        } else {
            memmove(path + out, path + i, n + 1);
            out += n + 1;
        }
        i += n + 1;
    }
    return out;
}

/* Where text is put together; full once it did not fit. */
struct url_out {
    char *s;
    size_t len, cap;
};

static void out_put(struct url_out *o, const char *s, size_t n)
{
    if (n && o->len + n < o->cap)
        memcpy(o->s + o->len, s, n);
    o->len += n;
}

static void out_span(struct url_out *o, const char *before, struct span x)
{
    if (!x.there)
        return;
    out_put(o, before, strlen(before));
    out_put(o, x.s, x.len);
}

/* RFC 3986 5.2.3 */
static void out_merged(struct url_out *o, const struct url_parts *b, struct span ref)
{
    size_t keep = b->path.len;
    while (keep && b->path.s[keep - 1] != '/')
        keep--;
    if (!keep)
        out_put(o, "/", 1);
    out_put(o, b->path.s, keep);
    out_put(o, ref.s, ref.len);
}

/* RFC 3986 5.2.2 */
int weft__url_join(const char *base, const char *ref, char *out, size_t cap)
{
    struct url_parts b = url_split(base, strlen(base)), r = url_split(ref, strlen(ref));
    struct url_out o = {out, 0, cap};
    if (!r.scheme.there && !b.scheme.there)
        return WEFT_EADDR;
    out_span(&o, "", r.scheme.there ? r.scheme : b.scheme);
    out_put(&o, ":", 1);
    bool own = r.scheme.there || r.authority.there;
    out_span(&o, "//", own ? r.authority : b.authority);
    size_t path = o.len;
    if (own || (r.path.len && *r.path.s == '/'))
        out_span(&o, "", r.path);
    else if (r.path.len)
        out_merged(&o, &b, r.path);
    else
        out_span(&o, "", b.path);
    if (o.len < cap && o.len > path && out[path] == '/')
        o.len = path + url_remove_dots(out + path, o.len - path);
    out_span(&o, "?", own || r.path.len || r.query.there ? r.query : b.query);
    out_span(&o, "#", r.fragment);
    if (o.len >= cap)
        return WEFT_ETOOBIG;
    out[o.len] = '\0';
    return (int)o.len;
}

/* host[:port] into u and text behind the scheme. */
static weft_err url_authority(struct weft__url *u, struct url_out *o, struct span a)
{
    size_t n;
    u->authority = (uint16_t)o->len;
    if (a.len && *a.s == '[') {
        n = url_until(a.s, a.len, "]");
        if (n == a.len || n < 3 || strspn(a.s + 1, "0123456789abcdefABCDEF:.") != n - 1)
            return WEFT_EADDR;
        u->host = u->authority + 1;
        u->host_len = (uint16_t)n++ - 1;
    } else {
        n = url_until(a.s, a.len, ":");
        for (size_t i = 0; i < n; i++)
            if (!is_alpha(a.s[i]) && !is_digit(a.s[i]) && !strchr("-._", a.s[i]))
                return WEFT_EADDR;   /* '@', '%', '\\' and bytes above 0x7f among them */
        u->host = u->authority;
        u->host_len = (uint16_t)n;
    }
    if (!n || u->host_len > WEFT__HOST_MAX || (n < a.len && a.s[n] != ':'))
        return WEFT_EADDR;
    for (size_t i = 0; i < n; i++)
        o->s[o->len++] = a.s[i] >= 'A' && a.s[i] <= 'Z' ? (char)(a.s[i] | 32) : a.s[i];
    unsigned port = 0;
    for (size_t i = n + 1; i < a.len; i++) {
        port = port * 10 + (unsigned)(a.s[i] - '0');
        if (!is_digit(a.s[i]) || port > 65535)
            return WEFT_EADDR;
    }
    unsigned usual = u->https ? 443 : 80;
    if (n + 1 < a.len && port == 0)
        return WEFT_EADDR;
    u->port = (uint16_t)(port ? port : usual);
    if (u->port != usual) {
        char digits[8];
        int k = 8;
        for (unsigned v = port; v; v /= 10)
            digits[--k] = (char)('0' + v % 10);
        digits[--k] = ':';
        out_put(o, digits + k, (size_t)(8 - k));
    }
    u->authority_len = (uint16_t)o->len - u->authority;
    return 0;
}

/* U1: what may not stand in a request line is percent-encoded. False for control characters. */
static bool out_encoded(struct url_out *o, struct span x)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < x.len; i++) {
        unsigned char c = (unsigned char)x.s[i];
        if (c < 0x20 || c == 0x7f)
            return false;
        if (c == ' ' || c > 0x7e || strchr("\"<>\\^`{|}", c)) {
            o->s[o->len++] = '%';
            o->s[o->len++] = hex[c >> 4];
            o->s[o->len++] = hex[c & 15];
        } else {
            o->s[o->len++] = (char)c;
        }
    }
    return true;
}

static weft_err url_fill(struct weft__url *u, const struct url_parts *p)
{
    struct url_out o = {u->text, 0, SIZE_MAX};   /* room was counted */
    u->https = p->scheme.len == 5;
    out_put(&o, u->https ? "https://" : "http://", u->https ? 8 : 7);
    weft_err err = url_authority(u, &o, p->authority);
    if (err < 0)
        return err;
    u->target = (uint16_t)o.len;
    if (!p->path.len)
        o.s[o.len++] = '/';
    if (!out_encoded(&o, p->path))
        return WEFT_EADDR;
    o.len = u->target + url_remove_dots(o.s + u->target, o.len - u->target);
    if (p->query.there) {
        o.s[o.len++] = '?';
        if (!out_encoded(&o, p->query))
            return WEFT_EADDR;
    }
    u->len = (uint16_t)o.len;
    o.s[o.len] = '\0';
    return 0;
}

enum { URL_HOST = 1, URL_TARGET = 2 };
/* Bytes that stand in a host, in a target, as they are (U1). */
static const unsigned char url_class[256] = {
    ['a' ... 'z'] = URL_HOST | URL_TARGET, ['A' ... 'Z'] = URL_TARGET, ['0' ... '9'] = URL_HOST | URL_TARGET,
    ['-'] = URL_HOST | URL_TARGET, ['_'] = URL_HOST | URL_TARGET, ['.'] = URL_HOST | URL_TARGET, ['~'] = URL_TARGET,
    ['!'] = URL_TARGET, ['$'] = URL_TARGET, ['%'] = URL_TARGET, ['&'] = URL_TARGET, ['\''] = URL_TARGET,
    ['('] = URL_TARGET, [')'] = URL_TARGET, ['*'] = URL_TARGET, ['+'] = URL_TARGET, [','] = URL_TARGET,
    [';'] = URL_TARGET, ['='] = URL_TARGET, [':'] = URL_TARGET, ['@'] = URL_TARGET, ['/'] = URL_TARGET, ['?'] = URL_TARGET,
};

/* ":8080" at s: its length with the colon and *ret_port, or 0 when it is not as U1 has it. */
static size_t url_plain_port(const char *s, unsigned usual, uint16_t *ret_port)
{
    unsigned port = 0;
    size_t n = 1;
    for (; is_digit(s[n]) && n < 7; n++)
        port = port * 10 + (unsigned)(s[n] - '0');
    *ret_port = (uint16_t)port;
    return n > 1 && s[1] != '0' && port <= 65535 && port != usual ? n : 0;
}

/* A URL that is normal already, as nearly all are: cut in one pass and copied. False: look closer. */
static bool url_plain(struct weft__url *ret_url, const char *text, size_t len)
{
    bool https = strncmp(text, "https://", 8) == 0;
    size_t host = https ? 8 : 7, at = host;
    if (len >= sizeof ret_url->near || (!https && strncmp(text, "http://", 7) != 0))
        return false;
    while (url_class[(unsigned char)text[at]] & URL_HOST)
        at++;
    size_t host_len = at - host;
    uint16_t port = https ? 443 : 80;
    if (text[at] == ':') {
        size_t n = url_plain_port(text + at, port, &port);
        if (!n)
            return false;
        at += n;
    }
    if (!host_len || host_len > WEFT__HOST_MAX || text[at] != '/')
        return false;
    size_t target = at;
    for (; url_class[(unsigned char)text[at]] & URL_TARGET; at++)
        if (text[at] == '/' && (text[at + 1] == '.' || text[at + 1] == '%'))
            return false;   /* may be a dot segment */
    if (at != len)
        return false;
    ret_url->text = ret_url->near;
    ret_url->len = (uint16_t)len;
    ret_url->https = https;
    ret_url->port = port;
    ret_url->host = ret_url->authority = (uint16_t)host;
    ret_url->host_len = (uint16_t)host_len;
    ret_url->authority_len = (uint16_t)(target - host);
    ret_url->target = (uint16_t)target;
    memcpy(ret_url->near, text, len + 1);
    return true;
}

weft_err weft__url_parse(struct weft__url *ret_url, const char *text, size_t len)
{
    if (text[len] == '\0' && url_plain(ret_url, text, len))
        return 0;
    while (len && (*text == ' ' || *text == '\t'))
        text++, len--;
    while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    if (len > WEFT__URL_MAX || memchr(text, '\0', len))
        return WEFT_EADDR;
    struct url_parts p = url_split(text, len);
    if (!p.scheme.there)
        return WEFT_EADDR;
    if (!(p.scheme.len == 4 && strncasecmp(p.scheme.s, "http", 4) == 0) &&
        !(p.scheme.len == 5 && strncasecmp(p.scheme.s, "https", 5) == 0))
        return WEFT_EUNSUPPORTED;
    if (!p.authority.there)
        return WEFT_EADDR;
    size_t room = 3 * len + 16;
    struct weft__url u = {0};   /* near is not used here: the pieces are copied out below */
    u.text = room <= sizeof u.near ? ret_url->near : malloc(room);
    if (!u.text)
        return WEFT_ENOMEM;
    weft_err err = url_fill(&u, &p);
    if (err < 0) {
        if (u.text != ret_url->near)
            free(u.text);
        return err;
    }
    memcpy(ret_url, &u, offsetof(struct weft__url, near));
    return 0;
}

weft_err weft__url_resolve(struct weft__url *ret_url, const struct weft__url *base, const char *ref)
{
    size_t n = strlen(ref), cap = base->len + n + 8;
    if (n > WEFT__URL_MAX)
        return WEFT_EADDR;
    ref += strspn(ref, " \t");
    char *out = malloc(cap);
    if (!out)
        return WEFT_ENOMEM;
    int len = weft__url_join(base->text, ref, out, cap);
    weft_err err = len < 0 ? len : weft__url_parse(ret_url, out, (size_t)len);
    free(out);
    return err;
}

void weft__url_done(struct weft__url *u)
{
    if (u->text != u->near)
        free(u->text);
    u->text = u->near;
}

void weft__url_move(struct weft__url *to, struct weft__url *from)
{
    weft__url_done(to);
    memcpy(to, from, sizeof *to);
    if (from->text == from->near)
        to->text = to->near;
    from->text = from->near;
}
