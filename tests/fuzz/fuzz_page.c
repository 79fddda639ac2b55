/*
 * fuzz_page.c - HTML pages: encoding, title, links, and the harvest of canonical links.
 *
 * Checks L2 (references lie one behind the other), that the title is bounded, that each link of a harvest is canonical,
 * in scope and there once. "content type NUL page"; the page is in a block of just its size, as a body is.
 */
#include "../../crawl/crawl.h"
#include "../../crawl/fetch/harvest.h"
#include "../../crawl/polite/scope.h"
#include "fuzz.h"

static void check_scan(const struct page_scan *s)
{
    size_t at = 0;
    CHECK(s->title.len <= 1000 && s->links_len <= PAGELINKS_MAX);
    for (size_t i = 0; i < s->links_len; i++) {
        CHECK(s->ends[i] >= at && s->ends[i] < s->hrefs.len && s->hrefs.p[s->ends[i]] == '\0');
        at = s->ends[i] + 1u;
    }
}

static void check_harvest(const struct harvest *h, const struct scope *scope)
{
    for (size_t i = 0; h && i < h->len; i++) {
        const struct link *l = &h->links[i];
        CHECK(strlen(l->url) == l->parts.len && l->parts.len <= CANON_MAX && scope_has(scope, l->url, &l->parts));
        for (size_t k = 0; k < i && i < 50; k++)
            CHECK(strcmp(h->links[k].url, l->url) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char url[] = "https://example.org/dir/page?x";
    static struct scope scope = {.everything = true};
    struct fuzz_in in = {data, size};
    static struct reader *r;   /* as the crawler's: page after page */
    r = r ? r : reader_new();
    char *type = fuzz_until(&in, '\0', NULL);
    struct text body = {0};
    body.p = fuzz_text(&in, in.n, &body.len);   /* with the NUL that a struct text has */
    body.cap = body.len + 1;
    struct harvest *h = harvest_page(r, url, type, body.len & 1, &body, &scope);
    check_scan(&r->scan);
    check_harvest(h, &scope);
    free(h);
    h = harvest_page(r, url, type, false, &body, NULL);
    CHECK(!h);
    check_scan(&r->scan);
    free(body.p);
    free(type);
    return 0;
}
