/*
 * fuzz_url.c - URLs and references, as the client and as the crawler read them.
 *
 * Checks that a URL which parses is normal (U1): it parses again, to itself; that a resolved reference is one; that the
 * crawler's canonical form is canonical; and that client and crawler never see two different hosts in one text: else a
 * check of the one would not hold for the other. The text is "base NUL reference".
 */
#include "../../crawl/parse/canon.h"
#include "../../src/http/http_int.h"
#include "fuzz.h"

static void check_normal(const struct weft__url *u)
{
    struct weft__url v = {0};
    v.text = v.near;
    CHECK(u->len == strlen(u->text));
    for (const char *t = u->text; *t; t++)
        CHECK(*t > 0x20 && *t < 0x7f);
    CHECK(u->text[u->target] == '/' && u->host_len && u->host_len <= 255 && u->port);
    CHECK(u->authority + u->authority_len == u->target);
    if (u->len <= WEFT__URL_MAX) {
        CHECK(weft__url_parse(&v, u->text, u->len) == 0);
        CHECK(strcmp(u->text, v.text) == 0 && u->port == v.port && u->host == v.host && u->host_len == v.host_len &&
              u->target == v.target && u->https == v.https && u->authority_len == v.authority_len);
    }
    weft__url_done(&v);
}

static void fuzz_ours(const char *base, size_t base_len, const char *ref)
{
    struct weft__url u = {0}, v = {0};
    u.text = u.near;
    v.text = v.near;
    bool ok = weft__url_parse(&u, base, base_len) == 0;
    if (ok) {
        check_normal(&u);
    } else {
        static const char plain[] = "http://a/b/c/d;p?q";
        CHECK(weft__url_parse(&u, plain, sizeof plain - 1) == 0);
    }
    if (weft__url_resolve(&v, &u, ref) == 0)
        check_normal(&v);
    weft__url_done(&u);
    weft__url_done(&v);
}

/* What the crawler has canonised, the client takes as it is; *c is its canon. */
static void check_both(const char *text, const struct canon_parts *parts)
{
    struct weft__url u = {0};
    u.text = u.near;
    if (weft__url_parse(&u, text, parts->len) == 0) {
        size_t brackets = text[parts->host_at] == '[';
        CHECK(u.host_len == parts->host_len - 2 * brackets);
        CHECK(memcmp(u.text + u.host, text + parts->host_at + brackets, u.host_len) == 0 && u.port == parts->port);
    }
    weft__url_done(&u);
}

static void fuzz_canon(const char *base, size_t base_len, const char *ref, size_t ref_len)
{
    static struct canon *c;   /* as the crawler's: page after page */
    c = c ? c : canon_new();
    struct canon_parts p, q;
    struct text a = {0}, b = {0};
    (void)canon_base(c, base, base_len, false);
    if (canon_url(c, ref, ref_len, LXB_ENCODING_UTF_8, &a, &p) == CANON_OK) {
        CHECK(p.len == a.len && a.len <= CANON_MAX && strlen(a.p) == a.len);
        for (const char *t = a.p; *t; t++)
            CHECK(*t > 0x20 && *t < 0x7f);
        enum canon_result r = canon_url(c, a.p, a.len, LXB_ENCODING_UTF_8, &b, &q);
        CHECK(r == CANON_OK && strcmp(a.p, b.p) == 0);
        CHECK(p.host_at == q.host_at && p.host_len == q.host_len && p.site_len == q.site_len && p.port == q.port);
        check_both(a.p, &p);
    }
    (void)canon_base(c, NULL, 0, false);
    text_done(&a);
    text_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    size_t base_len, ref_len;
    char *base = fuzz_until(&in, '\0', &base_len), *ref = fuzz_text(&in, in.n, &ref_len);
    fuzz_ours(base, base_len, ref);
    fuzz_canon(base, base_len, ref, ref_len);
    free(base);
    free(ref);
    return 0;
}
