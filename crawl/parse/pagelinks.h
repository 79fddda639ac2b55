/*
 * pagelinks.h - what a crawler reads in an HTML page: title, links, base, and whether links may be followed.
 *
 * Followed are the addresses of: a, area (href, in SVG also xlink:href), iframe and frame (src), link with rel
 * canonical, next, prev or alternate (alternate only without type or with an HTML one), meta refresh. Not: anything with
 * rel=nofollow; anything in comments, scripts, styles, textareas, templates, other attributes.
 */
#ifndef CRAWL_PAGELINKS_H
#define CRAWL_PAGELINKS_H
#include "../base/text.h"
#include <stdint.h>

/* Most links kept of one page; the rest is not looked at. */
#define PAGELINKS_MAX 100000

/* Zeroed is empty and ready; reused page after page. */
struct page_scan {
    struct text title;        /* entities decoded, white space collapsed; at most 1,000 bytes */
    struct text base;         /* first <base href>, as written */
    struct text hrefs;        /* the references, one behind the other, each with a NUL */
    uint32_t *ends;           /* end of each in hrefs, its NUL not counted */
    size_t links_len, links_cap;
    bool has_base;
    bool nofollow;            /* meta robots says nofollow or none */
};

/* lexbor's tokenizer; one goroutine at a time. */
struct page_reader;
struct page_reader *page_reader_new(void);
void page_reader_free(struct page_reader *r);

/**
 * page_reader_scan - read a page.
 *
 * @html     UTF-8 (ill-formed bytes are passed on).
 * @xhtml    the page is application/xhtml+xml: <script/> and its like end where they begin.
 * @title_only  stop behind the title: no links are wanted.
 * @scan     emptied, then filled.
 */
void page_reader_scan(struct page_reader *r, const char *html, size_t len, bool xhtml, bool title_only, struct page_scan *scan);
void page_scan_done(struct page_scan *scan);

#endif
