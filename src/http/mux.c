/*
 * mux.c - which handler answers which request, and the middleware in front of them.
 *
 * Role    A tree per host and method: each level is a segment of the path; a literal goes before {x}, and {x} before {x...}.
 *         Patterns of one host never conflict (muxpattern.c sees to it), so the first that matches is the most specific.
 * Near    muxpattern.c; request.c has the request's values. Layer 5.
 *
 * Invariants
 *   X1  a mux is not changed once requests come: it is read without a lock.
 *   X2  a match descends the tree, so no deeper than the longest pattern (64), whatever the path.
 *
 * Limits  Those of muxpattern.c. Literals of one level are compared one after the other.
 * Source  Go 1.22 net/http ServeMux, by behaviour.
 */
#include "mux_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct mux_node {
    const struct weft__segment *seg;   /* NULL for a root */
    struct mux_node *next;             /* another literal of the same level */
    struct mux_node *literals, *wild, *multi;
    struct weft__pattern *pattern;     /* what ends here */
};

struct mux_method {
    struct mux_method *next;
    const char *method, *host;         /* "" for any */
    struct mux_node root;
};

struct mux_filter {
    struct mux_filter *next;
    weft_http_handler *fn;
    void *arg;
};

struct weft_http_mux {
    struct mux_method *methods;
    struct mux_filter *filters, **filters_end;
    struct weft__pattern *patterns;
    bool any_host;                     /* some pattern names a host */
    char error[256];
};

weft_err weft_http_mux_new(weft_http_mux **ret_mux)
{
    struct weft_http_mux *m = calloc(1, sizeof *m);
    if (!m)
        return WEFT_ENOMEM;
    m->filters_end = &m->filters;
    *ret_mux = m;
    return 0;
}

static void node_free(struct mux_node *n)   /* X2: as deep as the longest pattern; lists are walked */
{
    struct mux_node *next;
    for (struct mux_node *c = n->literals; c; c = next) {
        next = c->next;
        node_free(c);
        free(c);
    }
    if (n->wild)
        node_free(n->wild);
    free(n->wild);
    free(n->multi);
}

void weft_http_mux_free(weft_http_mux *m)
{
    if (!m)
        return;
    for (struct mux_method *k; (k = m->methods); free(k)) {
        m->methods = k->next;
        node_free(&k->root);
    }
    for (struct mux_filter *f; (f = m->filters); free(f))
        m->filters = f->next;
    for (struct weft__pattern *p; (p = m->patterns); free(p))
        m->patterns = p->next;
    free(m);
}

const char *weft_http_mux_error(const weft_http_mux *m)
{
    return m->error;
}

/* ---- adding ---- */

static struct mux_method *mux_method(struct weft_http_mux *m, const struct weft__pattern *p)
{
    for (struct mux_method *k = m->methods; k; k = k->next)
        if (strcmp(k->method, p->method) == 0 && strcasecmp(k->host, p->host) == 0)
            return k;
    struct mux_method *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->method = p->method;
    k->host = p->host;
    k->next = m->methods;
    m->methods = k;
    return k;
}

/* Where the literals, {x} or {x...} like g hang below n. */
static struct mux_node **node_slot(struct mux_node *n, const struct weft__segment *g)
{
    if (g->wild)
        return g->multi ? &n->multi : &n->wild;
    struct mux_node **at = &n->literals;
    while (*at && ((*at)->seg->end != g->end || (*at)->seg->len != g->len || memcmp((*at)->seg->text, g->text, g->len) != 0))
        at = &(*at)->next;
    return at;
}

static bool mux_insert(struct weft_http_mux *m, struct weft__pattern *p)
{
    struct mux_method *k = mux_method(m, p);
    struct mux_node *n = k ? &k->root : NULL;
    for (uint32_t i = 0; n && i < p->len; i++) {
        struct mux_node **slot = node_slot(n, &p->seg[i]);
        if (!*slot && (*slot = calloc(1, sizeof **slot)))
            (*slot)->seg = &p->seg[i];
        n = *slot;
    }
    if (n)
        n->pattern = p;
    return n != NULL;
}

weft_err weft_http_mux_handle(weft_http_mux *m, const char *pattern, weft_http_handler *handler, void *arg)
{
    const char *why = "no handler";
    struct weft__pattern *p = handler ? weft__pattern_parse(pattern, &why) : NULL;
    if (!p) {
        (void)snprintf(m->error, sizeof m->error, "pattern \"%.100s\": %s", pattern, why);
        return WEFT_EINVAL;
    }
    for (struct weft__pattern *q = m->patterns; q; q = q->next) {
        if (weft__pattern_conflict(p, q)) {
            (void)snprintf(m->error, sizeof m->error, "pattern \"%.100s\" conflicts with \"%.100s\"", p->text, q->text);
            free(p);
            return -EEXIST;
        }
    }
    p->handler = handler;
    p->arg = arg;
    p->next = m->patterns;
    m->patterns = p;   /* also when memory ends below: nodes may point into it */
    m->any_host |= *p->host != '\0';
    return mux_insert(m, p) ? 0 : WEFT_ENOMEM;
}

weft_err weft_http_mux_use(weft_http_mux *m, weft_http_handler *filter, void *arg)
{
    struct mux_filter *f = filter ? calloc(1, sizeof *f) : NULL;
    if (!f)
        return filter ? WEFT_ENOMEM : WEFT_EINVAL;
    f->fn = filter;
    f->arg = arg;
    *m->filters_end = f;
    m->filters_end = &f->next;
    return 0;
}

/* ---- matching ---- */

struct match {
    struct weft__value values[WEFT__VALUES];
    uint32_t len;
};

/* Is s[0 .. n), as it came, the literal? */
static bool literal_is(const struct weft__segment *g, const char *s, size_t n)
{
    char c;
    size_t at = 0;
    if (g->end || n < g->len)
        return false;
    for (size_t i = 0; i < n; at++) {
        size_t step = s[i] == '%' && i + 2 < n ? 3 : 1;
        if (weft__percent_decode(s + i, step, &c) != 1 || at == g->len || g->text[at] != c)
            return false;
        i += step;
    }
    return at == g->len;
}

/* The pattern below n that takes path, which is empty or begins with '/'. */
static struct weft__pattern *node_match(const struct mux_node *n, const char *path, struct match *mt)
{
    struct weft__pattern *p = NULL;
    if (!*path)
        return n->pattern;
    const char *s = path + 1;
    size_t len = strcspn(s, "/");
    for (const struct mux_node *c = n->literals; c && !p; c = c->next)
        if (c->seg->end ? !len && !s[0] : literal_is(c->seg, s, len))
            p = node_match(c, s + len, mt);
    if (p)
        return p;
    uint32_t mark = mt->len;
    if (n->wild && len) {
        mt->values[mt->len++] = (struct weft__value){s, (uint32_t)len};
        p = node_match(n->wild, s + len, mt);
        if (p)
            return p;
        mt->len = mark;
    }
    if (!n->multi)
        return NULL;
    mt->values[mt->len++] = (struct weft__value){s, (uint32_t)strlen(s)};
    return n->multi->pattern;
}

/* The trees of one method and host. */
static struct weft__pattern *match_in(const struct weft_http_mux *m, const char *method, const char *host, size_t host_len,
                                      const char *path, struct match *mt)
{
    for (const struct mux_method *k = m->methods; k; k = k->next) {
        if (strcmp(k->method, method) == 0 && strlen(k->host) == host_len && strncasecmp(k->host, host, host_len) == 0) {
            mt->len = 0;
            return node_match(&k->root, path, mt);
        }
    }
    return NULL;
}

/* A pattern with the host goes before one without; one with the method before one without; HEAD is a GET too. */
static struct weft__pattern *mux_match(const struct weft_http_mux *m, const char *method, const char *host, size_t host_len,
                                       const char *path, struct match *mt)
{
    for (int any = m->any_host && host_len ? 0 : 1; any < 2; any++) {
        size_t n = any ? 0 : host_len;
        struct weft__pattern *p = match_in(m, method, host, n, path, mt);
        if (!p && strcmp(method, "HEAD") == 0)
            p = match_in(m, "GET", host, n, path, mt);
        if (!p)
            p = match_in(m, "", host, n, path, mt);
        if (p)
            return p;
    }
    return NULL;
}

/* Did the pattern name this path up to its last segment? "/a/" takes "/a/" exactly, and "/a/b" not. */
static bool match_exact(const struct weft__pattern *p, const char *path)
{
    if (!p || !p->seg[p->len - 1].multi)
        return p != NULL;
    uint32_t slashes = 0;
    size_t n = strlen(path);
    for (size_t i = 0; i < n; i++)
        slashes += path[i] == '/';
    return n && path[n - 1] == '/' && slashes == p->len;
}

/* ---- answers of the mux's own ---- */

/* 1: "."; 2: ".."; 0: neither. With "%2e" for a dot. */
static int dots(const char *s, size_t n)
{
    int k = 0;
    for (size_t i = 0; i < n; k++) {
        if (s[i] == '.')
            i++;
        else if (n - i >= 3 && s[i] == '%' && s[i + 1] == '2' && (s[i + 2] | 32) == 'e')
            i += 3;
        else
            return 0;
    }
    return k <= 2 ? k : 0;
}

/* The path without "//", "." and ".." into out (room for strlen + 2). True when that changed something. */
static bool path_clean(const char *path, char *out)
{
    size_t n = 0;
    const char *s = path;
    while (*s == '/') {
        size_t len = strcspn(++s, "/");
        int d = dots(s, len);
        if (d == 2) {
            while (n && out[--n] != '/')
                ;
        } else if (len && !d) {
            out[n++] = '/';
            memcpy(out + n, s, len);
            n += len;
        }
        if ((!len || d) && !s[len] && (!n || out[n - 1] != '/'))
            out[n++] = '/';   /* it ended in a slash, or in dots that stand for a folder */
        s += len;
    }
    out[n] = '\0';
    return strcmp(path, out) != 0;
}

/* path into to, up to three times as long. A backslash is a slash to browsers: "/\\host" would lead to another host. */
static char *put_path(char *to, const char *path)
{
    for (; *path; path++) {
        if (*path == '\\')
            to = (char *)memcpy(to, "%5C", 3) + 3;
        else
            *to++ = *path;
    }
    *to = '\0';
    return to;
}

static void send_redirect(weft_http_request *rq, weft_http_writer *w, const char *path)
{
    const char *query = weft_http_request_query(rq), *method = weft_http_request_method(rq);
    size_t n = 3 * strlen(path) + (query ? strlen(query) : 0) + 2;
    char *to = weft__request_text(rq, n);
    bool reading = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (!to) {
        (void)weft_http_reply_text(w, 503, "text/plain; charset=utf-8", "503 memory is short\n");
        return;
    }
    char *end = put_path(to, path);
    (void)snprintf(end, n - (size_t)(end - to), "%s%s", query ? "?" : "", query ? query : "");
    if (weft_http_reply_field(w, "Location", to) < 0)
        (void)weft_http_reply_text(w, 414, "text/plain; charset=utf-8", "414 the path is too long\n");
    else
        weft_http_reply_status(w, reading ? 301 : 308);
}

/* 405 with the methods that the path has, or 404. */
static void send_no_match(const struct weft_http_mux *m, weft_http_writer *w, const char *host, size_t host_len, const char *path)
{
    char allow[256] = "";
    size_t n = 0;
    struct match mt;
    for (const struct mux_method *k = m->methods; k; k = k->next) {
        size_t kh = strlen(k->host);
        bool here = *k->method && (!kh || (kh == host_len && strncasecmp(k->host, host, kh) == 0));
        mt.len = 0;
        if (!here || !node_match(&k->root, path, &mt) || weft__http_has_word(allow, k->method))
            continue;
        bool head = strcmp(k->method, "GET") == 0 && !weft__http_has_word(allow, "HEAD");
        int put = snprintf(allow + n, sizeof allow - n, "%s%s%s", n ? ", " : "", k->method, head ? ", HEAD" : "");
        n += put > 0 && (size_t)put < sizeof allow - n ? (size_t)put : 0;
        allow[n] = '\0';
    }
    if (!n) {
        (void)weft_http_reply_text(w, 404, "text/plain; charset=utf-8", "404 page not found\n");
        return;
    }
    (void)weft_http_reply_field(w, "Allow", allow);
    (void)weft_http_reply_text(w, 405, "text/plain; charset=utf-8", "405 method not allowed\n");
}

/* The handler for a request in *ret_p; false after an answer was given. */
static bool mux_route(struct weft_http_mux *m, weft_http_request *rq, weft_http_writer *w, struct weft__pattern **ret_p)
{
    struct match mt;
    const char *path = rq->path, *method = weft_http_request_method(rq);
    const char *target = weft_http_request_target(rq);
    bool absolute = *target != '/' && *target != '*';   /* its host counts then, not the field (RFC 9112 3.2.2) */
    const char *host = absolute ? strchr(target, ':') + 3 : weft_http_request_header(rq, "host");
    if (!host)
        host = "";   /* HTTP/1.0 */
    size_t host_len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?"), n = strlen(path);
    if (*path != '/')   /* "OPTIONS *" asks about the server as a whole: as Go's, it says that it is there */
        return false;
    if (strstr(path, "//") || strstr(path, "/.") || strstr(path, "/%2")) {
        char *clean = weft__request_text(rq, n + 2);
        if (clean && path_clean(path, clean)) {
            send_redirect(rq, w, clean);
            return false;
        }
    }
    struct weft__pattern *p = mux_match(m, method, host, host_len, path, &mt);
    if (!match_exact(p, path) && path[n - 1] != '/') {
        char *longer = weft__request_text(rq, n + 2);
        struct match mt2;
        if (longer) {
            memcpy(longer, path, n);
            memcpy(longer + n, "/", 2);
            if (match_exact(mux_match(m, method, host, host_len, longer, &mt2), longer)) {
                send_redirect(rq, w, longer);
                return false;
            }
        }
    }
    if (!p) {
        send_no_match(m, w, host, host_len, path);
        return false;
    }
    memcpy(rq->values, mt.values, mt.len * sizeof *mt.values);
    *ret_p = p;
    return true;
}

/* ---- dispatch ---- */

struct weft__chain {
    struct weft__chain *outer;         /* of the mux that this one is a handler of */
    struct weft_http_mux *mux;         /* NULL once its handler was called */
    const struct mux_filter *next;
};

static void mux_last(struct weft_http_mux *m, weft_http_request *rq, weft_http_writer *w)
{
    struct weft__pattern *p;
    if (mux_route(m, rq, w, &p)) {
        rq->pattern = p;
        p->handler(rq, w, p->arg);
    }
}

void weft_http_next(weft_http_request *rq, weft_http_writer *w)
{
    struct weft__chain *c = rq->chain;
    if (!c || !c->mux)
        return;   /* not in middleware, or called a second time */
    const struct mux_filter *f = c->next;
    if (f) {
        c->next = f->next;
        f->fn(rq, w, f->arg);
        return;
    }
    struct weft_http_mux *m = c->mux;
    c->mux = NULL;
    mux_last(m, rq, w);
}

void weft_http_mux_handler(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    struct weft_http_mux *m = arg;
    if (!m->filters) {
        mux_last(m, rq, w);
        return;
    }
    struct weft__chain c = {.outer = rq->chain, .mux = m, .next = m->filters};
    rq->chain = &c;
    weft_http_next(rq, w);
    rq->chain = c.outer;
}

const char *weft_http_request_pattern(const weft_http_request *rq)
{
    return rq->pattern ? rq->pattern->text : "";
}

const char *weft_http_request_value(weft_http_request *rq, const char *name)
{
    const struct weft__pattern *p = rq->pattern;
    size_t n = strlen(name);
    uint32_t k = 0;
    for (uint32_t i = 0; p && i < p->len; i++) {
        const struct weft__segment *g = &p->seg[i];
        if (!g->wild)
            continue;
        const struct weft__value *v = &rq->values[k++];
        if (!n || g->len != n || memcmp(g->text, name, n) != 0)
            continue;
        char *text = weft__request_text(rq, v->len + 1);
        int len = text ? weft__percent_decode(v->s, v->len, text) : 0;
        if (text && len < 0) {   /* a bad escape stays as it came */
            memcpy(text, v->s, v->len);
            len = (int)v->len;
        }
        if (text)
            text[len] = '\0';
        return text ? text : "";
    }
    return "";
}
