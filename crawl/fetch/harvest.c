/*
 * harvest.c - from the references in a page to a list of canonical links.
 *
 * Role    Runs in the workers, on a reader borrowed for the length of one page, so that the conductor only has to look
 *         fingerprints up.
 * Near    parse/ (the steps), polite/scope.c, frontier/conductor.c (takes the harvest).
 * Invariants
 *   V1  a harvest holds each URL once; the table has a slot per link at most half full.
 * Locks   none: a reader has one user at a time, and nothing here parks while it has it.
 * Limits  PAGELINKS_MAX links a page.
 */
#include "harvest.h"
#include "../base/mem.h"
#include "../parse/charset.h"

/* Links while they are collected: texts one behind the other, pointed to by offset until they stay where they are. */
struct basket {
    struct link *links;
    size_t len, cap;
    struct text urls;
};

struct reader *reader_new(void)
{
    struct reader *r = mem_new(sizeof *r);
    r->canon = canon_new();
    r->page = page_reader_new();
    return r;
}

void reader_free(struct reader *r)
{
    if (!r)
        return;
    canon_free(r->canon);
    page_reader_free(r->page);
    page_scan_done(&r->scan);
    text_done(&r->decoded);
    text_done(&r->url);
    free(r->table);
    free(r);
}

static void table_clear(struct reader *r, size_t links)
{
    size_t cap = 64;
    while (cap < 2 * links)
        cap *= 2;
    if (cap > r->table_cap) {
        r->table = mem_grow(r->table, cap * sizeof *r->table);
        r->table_cap = cap;
    }
    memset(r->table, 0, r->table_cap * sizeof *r->table);
}

/* Is the fingerprint in the basket already? If not, note it as the next link. */
static bool table_has(struct reader *r, const struct basket *b, struct fingerprint fp)
{
    for (size_t i = fp.lo & (r->table_cap - 1);; i = (i + 1) & (r->table_cap - 1)) {           /* V1 */
        uint32_t at = r->table[i];
        if (!at) {
            r->table[i] = (uint32_t)b->len + 1;
            return false;
        }
        const struct fingerprint *have = &b->links[at - 1].print;
        if (have->lo == fp.lo && have->hi == fp.hi)
            return true;
    }
}

static void basket_add(struct basket *b, const struct text *url, const struct canon_parts *parts, struct fingerprint fp)
{
    if (b->len == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 32;
        b->links = mem_grow(b->links, b->cap * sizeof *b->links);
    }
    b->links[b->len++] = (struct link){.print = fp, .parts = *parts};
    text_add(&b->urls, url->p, url->len);
    text_addc(&b->urls, 0);
}

/* One allocation with all of it; the basket is empty afterwards. */
static struct harvest *basket_pack(struct basket *b)
{
    struct harvest *h = NULL;
    if (b->len) {
        size_t head = sizeof *h + b->len * sizeof *b->links;
        h = mem_check(malloc(head + b->urls.len));
        h->len = b->len;
        memcpy(h->links, b->links, b->len * sizeof *b->links);
        char *p = (char *)h + head;
        memcpy(p, b->urls.p, b->urls.len);
        for (size_t i = 0; i < h->len; p += h->links[i++].parts.len + 1)
            h->links[i].url = p;
    }
    free(b->links);
    text_done(&b->urls);
    *b = (struct basket){0};
    return h;
}

static void harvest_links(struct reader *r, lxb_encoding_t encoding, const struct scope *scope, struct basket *b)
{
    struct canon_parts parts;
    const struct page_scan *s = &r->scan;
    table_clear(r, s->links_len);
    for (size_t i = 0, at = 0; i < s->links_len; at = s->ends[i++] + 1) {
        if (canon_url(r->canon, s->hrefs.p + at, s->ends[i] - at, encoding, &r->url, &parts) != CANON_OK ||
            !scope_has(scope, r->url.p, &parts))
            continue;
        struct fingerprint fp = seen_print(r->url.p, r->url.len);
        if (!table_has(r, b, fp))
            basket_add(b, &r->url, &parts, fp);
    }
}

struct harvest *harvest_page(struct reader *r, const char *url, const char *type, bool xhtml, const struct text *body,
                             const struct scope *scope)
{
    size_t skip, len = body->len;
    const char *html = text_str(body);
    lxb_encoding_t encoding = charset_find(type, html, len, &skip);
    html += skip;
    len -= skip;
    if (!scope && len > TITLE_WITHIN)
        len = TITLE_WITHIN;
    if (encoding != LXB_ENCODING_UTF_8) {
        text_clear(&r->decoded, (size_t)1 << 20);
        charset_decode(encoding, html, len, &r->decoded);
        html = text_str(&r->decoded);
        len = r->decoded.len;
    }
    page_reader_scan(r->page, html, len, xhtml, !scope, &r->scan);
    if (!scope || r->scan.nofollow || !r->scan.links_len || !canon_base(r->canon, url, strlen(url), false))
        return NULL;
    if (r->scan.has_base)
        (void)canon_base(r->canon, r->scan.base.p, r->scan.base.len, true);    /* a bad base is as none */
    struct basket b = {0};
    harvest_links(r, encoding, scope, &b);
    return basket_pack(&b);
}

struct harvest *harvest_one(struct reader *r, const char *url, const char *ref, const char **ret_why)
{
    struct canon_parts parts;
    struct basket b = {0};
    enum canon_result res = CANON_BAD;
    if (canon_base(r->canon, url, strlen(url), false))
        res = canon_url(r->canon, ref, strlen(ref), LXB_ENCODING_UTF_8, &r->url, &parts);
    if (res != CANON_OK) {
        *ret_why = canon_why(res);
        return NULL;
    }
    basket_add(&b, &r->url, &parts, seen_print(r->url.p, r->url.len));
    return basket_pack(&b);
}
