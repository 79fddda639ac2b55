/*
 * muxpattern.c - the patterns of a mux: their grammar, and which of two is the more specific.
 *
 * Role    "GET example.org/items/{id}" as segments; two patterns that would both take a request, with neither the more
 *         specific one, are found when the second is added, not when a request comes.
 * Near    mux.c. Layer 5. Limits 64 segments, 16 wildcards (WEFT__VALUES). Source: Go 1.22 net/http pattern.go, by behaviour.
 */
#include "mux_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int weft__percent_decode(const char *s, size_t n, char *out)
{
    int len = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '%') {
            int hi = i + 2 < n ? hex_value(s[i + 1]) : -1, lo = hi < 0 ? -1 : hex_value(s[i + 2]);
            if (lo < 0 || !(hi | lo))
                return -1;
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        out[len++] = c;
    }
    return len;
}

static bool is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = (char)(s[i] | 32);
        if (!((c >= 'a' && c <= 'z') || s[i] == '_' || (unsigned char)s[i] >= 0x80 || (i && s[i] >= '0' && s[i] <= '9')))
            return false;
    }
    return n > 0;
}

/* A wildcard between braces, "id", "id..." or "$". NULL, or what is wrong. */
static const char *read_wild(struct weft__segment *g, const char *s, size_t n, bool last)
{
    if (n == 1 && *s == '$') {
        g->text = "";
        g->end = true;
        return last ? NULL : "{$} not at the end";
    }
    g->wild = true;
    if (n > 3 && memcmp(s + n - 3, "...", 3) == 0) {
        g->multi = true;
        n -= 3;
        if (!last)
            return "{...} wildcard not at the end";
    }
    g->text = s;
    g->len = (uint32_t)n;
    return is_name(s, n) ? NULL : "bad wildcard name";
}

/* One segment s[0 .. n) of a path; decoded text goes to *store. NULL, or what is wrong. */
static const char *read_segment(struct weft__segment *g, const char *s, size_t n, bool last, char **store)
{
    *g = (struct weft__segment){0};
    const char *brace = memchr(s, '{', n);
    if (brace) {
        if (brace != s || s[n - 1] != '}')
            return "a wildcard must be a whole segment";
        return read_wild(g, s + 1, n - 2, last);
    }
    if (memchr(s, '}', n))
        return "unmatched }";
    if (!n || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
        return "a path that no request has once it is cleaned";
    int len = weft__percent_decode(s, n, *store);
    if (len < 0)
        return "bad escape";
    g->text = *store;
    g->len = (uint32_t)len;
    *store += len;
    return NULL;
}

static const char *read_path(struct weft__pattern *p, const char *path, char *store)
{
    int wild = 0;
    const char *why = NULL;
    while (*path == '/' && !why) {
        const char *s = path + 1;
        size_t n = strcspn(s, "/");
        path = s + n;
        if (p->len == WEFT__MUX_SEGMENTS)
            return "too many segments";
        struct weft__segment *g = &p->seg[p->len++];
        if (!n && !*path)
            *g = (struct weft__segment){.text = "", .wild = true, .multi = true};   /* "/x/" is "/x/{...}" */
        else
            why = read_segment(g, s, n, !*path, &store);
        wild += g->wild;
        for (uint32_t i = 0; !why && g->wild && g->len && i + 1 < p->len; i++)
            if (p->seg[i].wild && p->seg[i].len == g->len && memcmp(p->seg[i].text, g->text, g->len) == 0)
                why = "duplicate wildcard name";
    }
    return why ? why : wild > WEFT__VALUES ? "too many wildcards" : NULL;
}

/* Method, host and path of p->text, which is cut up. */
static const char *read_all(struct weft__pattern *p, char *store)
{
    char *s = p->text + strlen(p->text) + 1;   /* the copy to be cut */
    size_t n = strcspn(s, " \t");
    p->method = p->host = "";
    if (s[n]) {
        p->method = s;
        s[n++] = '\0';
        s += n + strspn(s + n, " \t");
        if (!weft__http_is_token(p->method))
            return "bad method";
    }
    char *path = strchr(s, '/');
    if (!path)
        return "no / in it: host and path, or path";
    if (path != s) {
        memmove(store, s, (size_t)(path - s));
        store[path - s] = '\0';
        p->host = store;
        store += path - s + 1;
        if (strpbrk(p->host, "{}: \t"))
            return "bad host: no wildcard, no port";
    }
    return read_path(p, path, store);
}

struct weft__pattern *weft__pattern_parse(const char *text, const char **ret_why)
{
    size_t n = strlen(text) + 1;
    *ret_why = "longer than 4,096 bytes";
    if (n > 4096)
        return NULL;
    size_t segs = WEFT__MUX_SEGMENTS * sizeof(struct weft__segment);
    struct weft__pattern *p = calloc(1, sizeof *p + segs + 3 * n + 1);   /* text, the copy that is cut, decoded pieces */
    *ret_why = "memory is short";
    if (!p)
        return NULL;
    p->text = (char *)p + sizeof *p + segs;
    memcpy(p->text, text, n);
    memcpy(p->text + n, text, n);
    *ret_why = n == 1 ? "empty" : read_all(p, p->text + 2 * n);
    if (!*ret_why)
        return p;
    free(p);
    return NULL;
}

/* ---- comparing ---- */

enum rel { EQUAL, GENERAL, SPECIFIC, OVERLAP, DISJOINT };

static enum rel both(enum rel a, enum rel b)
{
    if (a == EQUAL || b == DISJOINT)
        return b;
    if (b == EQUAL || a == DISJOINT || a == b)
        return a;
    return OVERLAP;
}

static enum rel turned(enum rel r)
{
    return r == GENERAL ? SPECIFIC : r == SPECIFIC ? GENERAL : r;
}

/* a is a wildcard. */
static enum rel wild_against(const struct weft__segment *a, const struct weft__segment *b)
{
    if (a->multi || b->multi)
        return a->multi && b->multi ? EQUAL : a->multi ? GENERAL : SPECIFIC;
    if (b->wild)
        return EQUAL;
    return b->end ? DISJOINT : GENERAL;   /* {x} takes nothing empty */
}

static enum rel segments_rel(const struct weft__segment *a, const struct weft__segment *b)
{
    if (a->wild)
        return wild_against(a, b);
    if (b->wild)
        return turned(wild_against(b, a));
    return a->end == b->end && a->len == b->len && memcmp(a->text, b->text, a->len) == 0 ? EQUAL : DISJOINT;
}

static bool ends_in_multi(const struct weft__pattern *p)
{
    return p->seg[p->len - 1].multi;
}

static enum rel paths_rel(const struct weft__pattern *a, const struct weft__pattern *b)
{
    if (a->len != b->len && !ends_in_multi(a) && !ends_in_multi(b))
        return DISJOINT;
    enum rel r = EQUAL;
    uint32_t i = 0;
    for (; i < a->len && i < b->len && r != DISJOINT; i++)
        r = both(r, segments_rel(&a->seg[i], &b->seg[i]));
    if (r == DISJOINT || a->len == b->len)
        return r;
    if (a->len < b->len && ends_in_multi(a))
        return both(r, GENERAL);
    return a->len > b->len && ends_in_multi(b) ? both(r, SPECIFIC) : DISJOINT;
}

static enum rel methods_rel(const char *a, const char *b)
{
    if (strcmp(a, b) == 0)
        return EQUAL;
    if (!*a || (strcmp(a, "GET") == 0 && strcmp(b, "HEAD") == 0))
        return GENERAL;
    if (!*b || (strcmp(b, "GET") == 0 && strcmp(a, "HEAD") == 0))
        return SPECIFIC;
    return DISJOINT;
}

bool weft__pattern_conflict(const struct weft__pattern *a, const struct weft__pattern *b)
{
    if (strcasecmp(a->host, b->host) != 0)
        return false;
    enum rel r = both(methods_rel(a->method, b->method), paths_rel(a, b));
    return r == EQUAL || r == OVERLAP;
}
