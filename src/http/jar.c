/*
 * jar.c - cookies: what servers asked to have sent back, and to whom.
 *
 * Role    Take Set-Cookie, give Cookie, by RFC 6265 with the stricter rules of its revision (prefixes; Secure only from
 *         https, and not to be replaced or shadowed without). Near hop.c, which asks; cookieline.c, which cuts the field. Layer 5.
 *
 * Invariants, whenever jar->lock is free
 *   J1  a cookie is in the bucket of its domain, once; domain, path and name together are unique; count counts them.
 *   J2  a cookie with a Domain attribute has a domain that is no public suffix (or is the host itself, then host-only).
 *   J3  a bucket's cookies are in the order in which they are sent (cookie_before): a request's are merged from as many lists as
 *       its host has labels, by one walk of each.
 *
 * Locks   jar->lock, a leaf, held over bucket walks and copies; memory comes and goes outside of it.
 * Limits  4,096 bytes of name and value; 180 cookies a domain, 3,000 in all: the one unused for longest goes. Without
 *         libpsl every Domain of two labels or more is believed.
 * Failure what the rules refuse is dropped without a word, as RFC 6265 has it; WEFT_ENOMEM where a caller asked.
 */
#include "jar_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#ifdef WEFT_HAVE_PSL
#include <libpsl.h>
#endif

enum { JAR_BUCKETS = 256, JAR_MAX = 3000, JAR_DOMAIN_MAX = 180 };

struct weft_http_jar {
    struct weft__lock lock;
    struct weft__cookie *bucket[JAR_BUCKETS];   /* [lock] */
    uint32_t count;                             /* [lock] */
    uint64_t clock;                             /* [lock] counts uses and births */
};

int64_t weft__cookie_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t); /* lint: the wall clock, which src/sys has not; it cannot fail */
    return t.tv_sec;
}

/* ---- public suffixes ---- */

#ifdef WEFT_HAVE_PSL
static struct weft__lock psl_lock;
static psl_ctx_t *psl_list;   /* [psl_lock] read once, never freed */

/* Reads the system's list the first time: a file, once in a process's life. */
static const psl_ctx_t *psl_get(void)
{
    weft__lock(&psl_lock);
    psl_ctx_t *list = psl_list;
    weft__unlock(&psl_lock);
    if (list)
        return list;
    psl_ctx_t *fresh = psl_latest(NULL);
    weft__lock(&psl_lock);
    list = psl_list ? psl_list : (psl_list = fresh);
    weft__unlock(&psl_lock);
    if (list != fresh)
        psl_free(fresh);
    return list;
}

static bool domain_is_public(const char *domain)
{
    const psl_ctx_t *list = psl_get();
    return list ? psl_is_public_suffix(list, domain) : !strchr(domain, '.');
}
#else
static bool domain_is_public(const char *domain)
{
    return !strchr(domain, '.');
}
#endif

/* ---- matching ---- */

static bool host_is_address(const char *host)
{
    return strchr(host, ':') || host[strspn(host, "0123456789.")] == '\0';
}

/* RFC 6265 5.1.3 */
static bool domain_matches(const char *host, const char *domain)
{
    size_t h = strlen(host), d = strlen(domain);
    if (h == d)
        return strcmp(host, domain) == 0;
    return h > d && host[h - d - 1] == '.' && strcmp(host + h - d, domain) == 0 && !host_is_address(host);
}

/* RFC 6265 5.1.4; path is a request's, its query not taken off. */
static bool path_matches(const char *path, const char *cookie_path)
{
    size_t n = strlen(cookie_path), len = strcspn(path, "?");
    if (n > len || memcmp(path, cookie_path, n) != 0)
        return false;
    return n == len || cookie_path[n - 1] == '/' || path[n] == '/';
}

static unsigned domain_bucket(const char *domain)
{
    uint32_t h = 2166136261u;
    for (; *domain; domain++)
        h = (h ^ (unsigned char)*domain) * 16777619u;
    return h % JAR_BUCKETS;
}

static void url_host(const struct weft__url *url, char ret[256])
{
    memcpy(ret, url->text + url->host, url->host_len);
    ret[url->host_len] = '\0';
}

/* ---- taking ---- */

/* RFC 6265 5.3, steps 4 to 10: may this host set it, and whose is it then? */
static bool cookie_settle(struct weft__cookie *c, const struct weft__url *url)
{
    char host[256];
    url_host(url, host);
    bool secure_prefix = strncasecmp(c->name, "__Secure-", 9) == 0, host_prefix = strncasecmp(c->name, "__Host-", 7) == 0;
    size_t d = strlen(c->domain);
    c->host_only = !d;
    if (d && c->domain[d - 1] == '.')
        return false;   /* "com." is as public as "com", and no list has it */
    if (*c->domain && domain_is_public(c->domain)) {
        if (strcmp(host, c->domain) != 0)
            return false;
        c->host_only = true;   /* J2 */
    }
    if (*c->domain && !domain_matches(host, c->domain))
        return false;
    if (c->host_only && !weft__cookie_text(&c->domain, host, strlen(host)))
        return false;
    if (*c->path != '/') {
        const char *path = url->text + url->target;
        size_t n = strcspn(path, "?");
        while (n > 1 && path[n - 1] != '/')
            n--;
        if (n > 1)
            n--;   /* the default path has no slash at its end */
        if (!weft__cookie_text(&c->path, path, n))
            return false;
    }
    if (c->secure && !url->https)
        return false;
    if ((secure_prefix || host_prefix) && !c->secure)
        return false;
    return !host_prefix || (c->host_only && strcmp(c->path, "/") == 0);
}

static bool cookie_same(const struct weft__cookie *a, const struct weft__cookie *b)
{
    return strcmp(a->domain, b->domain) == 0 && strcmp(a->path, b->path) == 0 && strcmp(a->name, b->name) == 0;
}

/* Longer paths come first, then older cookies (RFC 6265 5.4). Is a before b? */
static bool cookie_before(const struct weft__cookie *a, const struct weft__cookie *b)
{
    size_t x = strlen(a->path), y = strlen(b->path);
    return x != y ? x > y : a->born < b->born;
}

/* The cookie unused for longest of a bucket's domain, or of all (domain NULL). Under the lock. */
static struct weft__cookie **jar_oldest(struct weft_http_jar *jar, const char *domain, uint32_t *ret_count)
{
    struct weft__cookie **oldest = NULL;
    unsigned from = domain ? domain_bucket(domain) : 0, to = domain ? from + 1 : JAR_BUCKETS;
    *ret_count = 0;
    for (unsigned b = from; b < to; b++) {
        for (struct weft__cookie **at = &jar->bucket[b]; *at; at = &(*at)->next) {
            if (domain && strcmp((*at)->domain, domain) != 0)
                continue;
            ++*ret_count;
            if (!oldest || (*at)->used < (*oldest)->used)
                oldest = at;
        }
    }
    return oldest;
}

static struct weft__cookie *jar_unlink(struct weft_http_jar *jar, struct weft__cookie **at, struct weft__cookie *gone)
{
    struct weft__cookie *c = *at;
    *at = c->next;
    c->next = gone;
    jar->count--;
    return c;
}

/* Puts c in, in place of one of the same name; what has to go comes back as a list. An expired one only removes. */
static struct weft__cookie *jar_insert(struct weft_http_jar *jar, struct weft__cookie *c, int64_t now)
{
    struct weft__cookie *gone = NULL, **at = &jar->bucket[domain_bucket(c->domain)];
    uint32_t count;
    c->used = c->born = ++jar->clock;
    for (; *at; at = &(*at)->next) {
        if (!cookie_same(*at, c))
            continue;
        c->born = (*at)->born;
        gone = jar_unlink(jar, at, gone);
        break;
    }
    if (c->expires <= now) {
        c->next = gone;
        return c;
    }
    struct weft__cookie **oldest = jar_oldest(jar, c->domain, &count);
    if (count >= JAR_DOMAIN_MAX)
        gone = jar_unlink(jar, oldest, gone);
    else if (jar->count >= JAR_MAX)
        gone = jar_unlink(jar, jar_oldest(jar, NULL, &count), gone);
    for (at = &jar->bucket[domain_bucket(c->domain)]; *at && cookie_before(*at, c);) /* J3 */
        at = &(*at)->next;
    c->next = *at;
    *at = c;
    jar->count++;
    return gone;
}

static void cookies_free(struct weft__cookie *c)
{
    while (c) {
        struct weft__cookie *next = c->next;
        weft__cookie_free(c);
        c = next;
    }
}

/* Would c, which came without https, stand before a Secure cookie or in its place? Under the lock. */
static bool jar_guards(const struct weft_http_jar *jar, const struct weft__cookie *c, int64_t now)
{
    for (int b = 0; b < JAR_BUCKETS; b++)
        for (const struct weft__cookie *o = jar->bucket[b]; o; o = o->next)
            if (o->secure && o->expires > now && strcmp(o->name, c->name) == 0 && path_matches(c->path, o->path) &&
                (domain_matches(o->domain, c->domain) || domain_matches(c->domain, o->domain)))
                return true;
    return false;
}

static void jar_add(struct weft_http_jar *jar, struct weft__cookie *c, bool trusted)
{
    int64_t now = weft__cookie_now();
    weft__lock(&jar->lock);
    bool refused = !trusted && jar_guards(jar, c, now);
    struct weft__cookie *gone = refused ? c : jar_insert(jar, c, now);
    weft__unlock(&jar->lock);
    cookies_free(gone);
}

void weft__jar_take(weft_http_jar *jar, const struct weft__url *url, const char *value)
{
    struct weft__cookie *c = weft__cookie_parse(value);
    if (c && cookie_settle(c, url))
        jar_add(jar, c, url->https);
    else
        weft__cookie_free(c);
}

/* ---- giving ---- */

enum { PICK_LISTS = 64 };       /* labels of a host that are looked at, from the left */

struct pick {
    const struct weft__url *url;
    char host[256];
    struct weft__cookie *at[PICK_LISTS];
    int lists;
    int64_t now;
    char *out;          /* room for cap bytes */
    size_t cap, len;    /* len counts on past cap */
};

static bool pick_wants(const struct pick *p, const struct weft__cookie *c)
{
    return c->expires > p->now && (!c->secure || p->url->https) && path_matches(p->url->text + p->url->target, c->path) &&
           (c->host_only ? strcmp(p->host, c->domain) == 0 : domain_matches(p->host, c->domain));
}

/* The next of the domain `of` from c on. */
static struct weft__cookie *pick_from(const struct pick *p, struct weft__cookie *c, const char *of)
{
    while (c && (strcmp(c->domain, of) != 0 || !pick_wants(p, c)))
        c = c->next;
    return c;
}

/* From the lists of the host and the domains above it, each in order (J3), to the next of all. NULL at the end. */
static struct weft__cookie *pick_next(struct pick *p)
{
    int best = -1;
    for (int i = 0; i < p->lists; i++)
        if (p->at[i] && (best < 0 || cookie_before(p->at[i], p->at[best])))
            best = i;
    if (best < 0)
        return NULL;
    struct weft__cookie *c = p->at[best];
    p->at[best] = pick_from(p, c->next, c->domain);
    return c;
}

static void pick_begin(const struct weft_http_jar *jar, struct pick *p)
{
    p->lists = 0;
    for (const char *d = p->host; d && p->lists < PICK_LISTS; d = strchr(d, '.') ? strchr(d, '.') + 1 : NULL)
        p->at[p->lists++] = pick_from(p, jar->bucket[domain_bucket(d)], d);
}

static void pick_put(struct pick *p, const char *s)
{
    size_t n = strlen(s);
    if (p->len + n < p->cap)
        memcpy(p->out + p->len, s, n);
    p->len += n;
}

/* Under the lock. */
static void pick_all(struct weft_http_jar *jar, struct pick *p)
{
    pick_begin(jar, p);
    for (struct weft__cookie *c = pick_next(p); c; c = pick_next(p)) {
        c->used = ++jar->clock;
        if (p->len)
            pick_put(p, "; ");
        if (*c->name) {
            pick_put(p, c->name);
            pick_put(p, "=");
        }
        pick_put(p, c->value);
    }
}

char *weft__jar_give(weft_http_jar *jar, const struct weft__url *url)
{
    struct pick p = {.url = url, .now = weft__cookie_now()};
    url_host(url, p.host);
    for (;;) {
        weft__lock(&jar->lock);
        p.len = 0;   /* also where the last one has gone since the first look */
        if (jar->count > 0)
            pick_all(jar, &p);
        weft__unlock(&jar->lock);
        if (p.len && p.len < p.cap) {
            p.out[p.len] = '\0';
            return p.out;
        }
        free(p.out);
        if (!p.len)
            return NULL;
        p.cap = p.len + 1;
        p.out = malloc(p.cap);
        if (!p.out)
            return NULL;
    }
}

/* ---- the public side ---- */

weft_err weft_http_jar_new(weft_http_jar **ret_jar)
{
    struct weft_http_jar *jar = calloc(1, sizeof *jar);
    if (!jar)
        return WEFT_ENOMEM;
    *ret_jar = jar;
    return 0;
}

void weft_http_jar_free(weft_http_jar *jar)
{
    for (int b = 0; jar && b < JAR_BUCKETS; b++)
        cookies_free(jar->bucket[b]);
    free(jar);
}

weft_err weft_http_jar_set(weft_http_jar *jar, const char *url, const char *set_cookie)
{
    struct weft__url u;
    weft_err err = weft__url_parse(&u, url, strlen(url));
    if (err < 0)
        return err;
    weft__jar_take(jar, &u, set_cookie);
    weft__url_done(&u);
    return 0;
}

int weft_http_jar_get(weft_http_jar *jar, const char *url, char *ret_buf, size_t n)
{
    struct weft__url u;
    weft_err err = weft__url_parse(&u, url, strlen(url));
    if (err < 0)
        return err;
    char *text = weft__jar_give(jar, &u);
    size_t len = text ? strlen(text) : 0;
    weft__url_done(&u);
    if (len < n)
        memcpy(ret_buf, text ? text : "", len + 1);
    free(text);
    return len < n ? (int)len : WEFT_ETOOBIG;
}

weft_err weft_http_jar_load(weft_http_jar *jar, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        struct weft__cookie *c = weft__cookie_parse_line(text, n);
        if (c)
            jar_add(jar, c, true);
        text += n + (text[n] == '\n');
    }
    return 0;
}

weft_err weft_http_jar_save(weft_http_jar *jar, char **ret_text, size_t *ret_len)
{
    static const char head[] = "# Netscape HTTP Cookie File\n";
    size_t cap = 4096;
    for (;;) {
        char *out = malloc(cap);
        size_t len = sizeof head - 1;
        if (!out)
            return WEFT_ENOMEM;
        memcpy(out, head, sizeof head);
        weft__lock(&jar->lock);
        for (int b = 0; b < JAR_BUCKETS; b++)
            for (const struct weft__cookie *c = jar->bucket[b]; c; c = c->next)
                len += weft__cookie_line(c, len < cap ? out + len : out, len < cap ? cap - len : 0);
        weft__unlock(&jar->lock);
        if (len < cap) {
            *ret_text = out;
            *ret_len = len;
            return 0;
        }
        free(out);
        cap = len + 1024;
    }
}
