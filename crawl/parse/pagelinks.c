/*
 * pagelinks.c - title and links of a page, from lexbor's tokenizer.
 *
 * Role    One pass over the tokens; no tree is built. What a tree builder would know is kept in a few counters: inside
 *         a template, inside SVG or MathML, inside the title.
 * Near    charset.c (makes the page UTF-8 before), canon.c (resolves the references after).
 * Invariants
 *   L1  a reference is stored only while no template is open, and never from text, comments or raw-text elements.
 *   L2  ends[i] is the offset of the NUL behind reference i; the first begins at 0, the next at ends[i] + 1.
 * Locks   none: one goroutine at a time owns a reader, and nothing here parks.
 * Limits  PAGELINKS_MAX links, TITLE_MAX bytes of title.
 * Failure memory only: the program ends (mem.h). Any bytes are a page.
 * Not so  A tree: three times the work, for the few pages where misnested tables would move a link (it stays a link).
 */
#include "pagelinks.h"
#include "../base/mem.h"
#include "../robots/robots.h"
#include "../robots/robotstag.h"
#include <lexbor/html/html.h>
#include <lexbor/html/tokenizer.h>
#include <lexbor/html/tokenizer/state.h>
#include <strings.h>

#define TITLE_MAX 1000

struct page_reader {
    lxb_html_tokenizer_t *tkz;
    struct page_scan *scan;
    bool xhtml, title_only;
    bool in_title, had_title;
    unsigned foreign;         /* open <svg> and <math> */
    unsigned templates;       /* open <template> */
};

typedef lxb_html_token_attr_t attr;

static bool attr_is(const attr *a, const char *name)
{
    size_t len;
    const lxb_char_t *s = lxb_html_token_attr_name((attr *)(uintptr_t)a, &len);
    return s && len == strlen(name) && !strncasecmp((const char *)s, name, len);
}

static const attr *page_attr(const lxb_html_token_t *token, const char *name)
{
    for (const attr *a = token->attr_first; a; a = a->next)
        if (attr_is(a, name))
            return a->value ? a : NULL;
    return NULL;
}

/* Is word among the blank- or comma-separated words of the attribute? Case does not matter. */
static bool attr_has_word(const attr *a, const char *word)
{
    size_t n = strlen(word);
    if (!a)
        return false;
    const char *p = (const char *)a->value, *end = p + a->value_size;
    while (p < end) {
        size_t len = 0;
        while (p < end && strchr(" \t\n\f\r,", *p))
            p++;
        while (p + len < end && !strchr(" \t\n\f\r,", p[len]))
            len++;
        if (len == n && !strncasecmp(p, word, n))
            return true;
        p += len;
    }
    return false;
}

static void page_add(struct page_reader *r, const char *ref, size_t len)
{
    struct page_scan *s = r->scan;
    if (r->templates || s->links_len == PAGELINKS_MAX)               /* L1 */
        return;
    if (s->links_len == s->links_cap) {
        s->links_cap = s->links_cap ? 2 * s->links_cap : 64;
        s->ends = mem_grow(s->ends, s->links_cap * sizeof *s->ends);
    }
    text_add(&s->hrefs, ref, len);
    s->ends[s->links_len++] = (uint32_t)s->hrefs.len;                /* L2 */
    text_addc(&s->hrefs, 0);
}

static void page_add_attr(struct page_reader *r, const lxb_html_token_t *token, const char *name)
{
    const attr *a = page_attr(token, name);
    if (a && !attr_has_word(page_attr(token, "rel"), "nofollow"))
        page_add(r, (const char *)a->value, a->value_size);
}

static void page_anchor(struct page_reader *r, const lxb_html_token_t *token)
{
    if (page_attr(token, "href"))
        page_add_attr(r, token, "href");
    else if (r->foreign)
        page_add_attr(r, token, "xlink:href");
}

static void page_link(struct page_reader *r, const lxb_html_token_t *token)
{
    const attr *rel = page_attr(token, "rel"), *type = page_attr(token, "type");
    bool follow = attr_has_word(rel, "canonical") || attr_has_word(rel, "next") || attr_has_word(rel, "prev");
    if (attr_has_word(rel, "alternate") && !attr_has_word(rel, "stylesheet"))
        follow = follow || !type || !strncasecmp((const char *)type->value, "text/html", 9);
    if (follow)
        page_add_attr(r, token, "href");
}

/* content="5; url='x'" of a meta refresh. */
static void page_refresh(struct page_reader *r, const attr *content)
{
    const char *p = (const char *)content->value, *end = p + content->value_size;
    p += strspn(p, " \t\n\f\r0123456789.");
    p += strspn(p, " \t\n\f\r;,");
    if (p >= end)
        return;
    if (!strncasecmp(p, "url", 3)) {
        const char *eq = p + 3 + strspn(p + 3, " \t\n\f\r");
        if (*eq == '=')
            p = eq + 1 + strspn(eq + 1, " \t\n\f\r");
    }
    size_t len = (size_t)(end - p);
    if (*p == '"' || *p == '\'') {
        const char *quote = memchr(p + 1, *p, len - 1);
        p++;
        len = quote ? (size_t)(quote - p) : len - 1;
    }
    if (len)
        page_add(r, p, len);
}

static void page_meta(struct page_reader *r, const lxb_html_token_t *token)
{
    const attr *name = page_attr(token, "name"), *equiv = page_attr(token, "http-equiv");
    const attr *content = page_attr(token, "content");
    if (!content)
        return;
    if (attr_has_word(name, "robots") || attr_has_word(name, "weft")) {
        if (content->value_size && robotstag_nofollow((const char *)content->value, content->value_size, ROBOTS_PRODUCT))
            r->scan->nofollow = true;
    } else if (attr_has_word(equiv, "refresh")) {
        page_refresh(r, content);
    }
}

static void page_base(struct page_reader *r, const lxb_html_token_t *token)
{
    const attr *href = page_attr(token, "href");
    if (href && !r->scan->has_base && !r->templates) {
        text_add(&r->scan->base, href->value, href->value_size);
        r->scan->has_base = true;
    }
}

/* What the tree builder would tell the tokenizer: the content of these elements is no markup. */
static void page_raw_text(struct page_reader *r, const lxb_html_token_t *token)
{
    bool ends_here = token->type & LXB_HTML_TOKEN_TYPE_CLOSE_SELF;
    if (r->foreign || (r->xhtml && ends_here))
        return;
    lxb_html_tokenizer_set_state_by_tag(r->tkz, false, token->tag_id, LXB_NS_HTML);
    r->in_title = token->tag_id == LXB_TAG_TITLE && !r->had_title && !r->templates;
}

static void page_open(struct page_reader *r, const lxb_html_token_t *token)
{
    bool ends_here = token->type & LXB_HTML_TOKEN_TYPE_CLOSE_SELF;
    switch (token->tag_id) {
    case LXB_TAG_A: page_anchor(r, token); break;
    case LXB_TAG_AREA: page_add_attr(r, token, "href"); break;
    case LXB_TAG_LINK: page_link(r, token); break;
    case LXB_TAG_FRAME: page_add_attr(r, token, "src"); break;
    case LXB_TAG_META: page_meta(r, token); break;
    case LXB_TAG_BASE: page_base(r, token); break;
    case LXB_TAG_TEMPLATE: r->templates += !r->foreign && !(r->xhtml && ends_here); break;
    case LXB_TAG_SVG:
    case LXB_TAG_MATH: r->foreign += !ends_here; break;
    case LXB_TAG_IFRAME: page_add_attr(r, token, "src"); /* fall through */
    case LXB_TAG_SCRIPT:
    case LXB_TAG_STYLE:
    case LXB_TAG_TITLE:
    case LXB_TAG_TEXTAREA:
    case LXB_TAG_XMP:
    case LXB_TAG_NOEMBED:
    case LXB_TAG_NOFRAMES:
    case LXB_TAG_PLAINTEXT: page_raw_text(r, token); break;
    default: break;
    }
}

static void page_close(struct page_reader *r, const lxb_html_token_t *token)
{
    switch (token->tag_id) {
    case LXB_TAG_TEMPLATE: r->templates -= r->templates > 0; break;
    case LXB_TAG_SVG:
    case LXB_TAG_MATH: r->foreign -= r->foreign > 0; break;
    case LXB_TAG_TITLE:
        r->had_title = r->had_title || r->in_title;
        r->in_title = false;
        break;
    default: break;
    }
}

/* Text of the title; runs of white space, also across tokens, become one blank. */
static void page_title(struct page_reader *r, const lxb_html_token_t *token)
{
    struct text *t = &r->scan->title;
    for (const lxb_char_t *p = token->text_start; p < token->text_end && t->len < TITLE_MAX; p++) {
        if (!strchr(" \t\n\f\r", *p))
            text_addc(t, (char)*p);
        else if (t->len && t->p[t->len - 1] != ' ')
            text_addc(t, ' ');
    }
}

static lxb_html_token_t *page_token(lxb_html_tokenizer_t *tkz, lxb_html_token_t *token, void *ctx)
{
    struct page_reader *r = ctx;
    (void)tkz;
    if (token->tag_id == LXB_TAG__TEXT) {
        if (r->in_title)
            page_title(r, token);
    } else if (token->tag_id >= LXB_TAG__BEGIN) {
        if (token->type & LXB_HTML_TOKEN_TYPE_CLOSE)
            page_close(r, token);
        else
            page_open(r, token);
    }
    if (r->title_only && r->had_title)
        return NULL;                       /* the tokenizer stops */
    return token;
}

struct page_reader *page_reader_new(void)
{
    struct page_reader *r = mem_new(sizeof *r);
    r->tkz = mem_check(lxb_html_tokenizer_create());
    if (lxb_html_tokenizer_init(r->tkz) != LXB_STATUS_OK || lxb_html_tokenizer_tags_make(r->tkz, 128) ||
        lxb_html_tokenizer_attrs_make(r->tkz, 128))
        mem_check(NULL);
    return r;
}

void page_reader_free(struct page_reader *r)
{
    if (!r)
        return;
    lxb_html_tokenizer_tags_destroy(r->tkz);
    lxb_html_tokenizer_attrs_destroy(r->tkz);
    lxb_html_tokenizer_destroy(r->tkz);
    free(r);
}

void page_reader_scan(struct page_reader *r, const char *html, size_t len, bool xhtml, bool title_only,
                      struct page_scan *scan)
{
    text_clear(&scan->title, 0);
    text_clear(&scan->base, 0);
    text_clear(&scan->hrefs, 1 << 20);
    scan->links_len = 0;
    scan->has_base = scan->nofollow = false;
    *r = (struct page_reader){.tkz = r->tkz, .scan = scan, .xhtml = xhtml, .title_only = title_only};

    lxb_html_tokenizer_clean(r->tkz);
    lexbor_hash_clean(r->tkz->tags);
    lexbor_hash_clean(r->tkz->attrs);
    lxb_html_tokenizer_callback_token_done_set(r->tkz, page_token, r);
    if (lxb_html_tokenizer_begin(r->tkz) == LXB_STATUS_OK &&
        lxb_html_tokenizer_chunk(r->tkz, (const lxb_char_t *)html, len) == LXB_STATUS_OK)
        (void)lxb_html_tokenizer_end(r->tkz);
    struct text *t = &scan->title;
    while (t->len && t->p[t->len - 1] == ' ')
        t->p[--t->len] = 0;
}

void page_scan_done(struct page_scan *scan)
{
    text_done(&scan->title);
    text_done(&scan->base);
    text_done(&scan->hrefs);
    free(scan->ends);
    *scan = (struct page_scan){0};
}
