/*
 * harvest.h - the links of a page as canonical URLs, ready for the frontier.
 */
#ifndef CRAWL_HARVEST_H
#define CRAWL_HARVEST_H
#include "../crawl.h"

/* Where only the title is wanted, it is looked for in so many bytes. */
#define TITLE_WITHIN ((size_t)64 << 10)

struct reader *reader_new(void);
void reader_free(struct reader *r);

/**
 * harvest_page - read title and links of a page.
 *
 * @type     its Content-Type, for the charset; "" if there is none.
 * @scope    links that lead elsewhere are left out; NULL: leave all links out, only the title is wanted.
 *
 * Returns   the links, each once, or NULL if there is none; the title is r->scan.title until the next call.
 */
struct harvest *harvest_page(struct reader *r, const char *url, const char *type, bool xhtml, const struct text *body,
                             const struct scope *scope);

/** harvest_one - a single reference, as of a redirect, seen from url. NULL if it is no URL to crawl: *ret_why says why. */
struct harvest *harvest_one(struct reader *r, const char *url, const char *ref, const char **ret_why);

#endif
