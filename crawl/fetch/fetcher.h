/*
 * fetcher.h - one GET, with the limits of a crawl, into memory that is used again.
 */
#ifndef CRAWL_FETCHER_H
#define CRAWL_FETCHER_H
#include "../crawl.h"

/* Most bytes of a body that are read; the rest is not asked for and the connection is closed. */
#define BODY_BYTES_MAX ((int64_t)16 << 20)
/* Memory that a worker keeps between pages. */
#define BODY_KEEP_MAX ((size_t)256 << 10)

/* What to keep of a body: pages whole, the beginning of pages, or anything. */
enum keep { KEEP_PAGES, KEEP_TITLES, KEEP_ALL };

/* What came back. Zeroed is ready; filled anew by each fetch_get. */
struct answer {
    weft_err err;             /* 0, or why it failed: before the head (status 0) or in the body */
    int status;
    bool cut;                 /* the body was longer than the limit */
    enum failure failure;     /* of err */
    int64_t bytes;            /* of the body, decoded, that were read */
    int64_t ns;
    struct text body;         /* what was to be kept */
    struct text type, coding, location, retry_after, robots_tag;   /* header values, "" if not there */
    char why[240];            /* err in words */
};

/** fetcher_client - the HTTP client of a crawl: no redirects followed, private addresses refused. */
weft_err fetcher_client(const struct crawl_options *opts, weft_http_client **ret_client);

/**
 * fetch_get - ask for a URL and read the answer.
 *
 * @max      bytes of body to read, at most BODY_BYTES_MAX.
 *
 * Parks     until answered, failed, timed out or c->kill ended.
 */
void fetch_get(struct crawl *c, const char *url, enum keep keep, int64_t max, struct answer *a);

/** answer_is_html - is the body a page? By its type; without one, by how it begins. */
bool answer_is_html(const struct answer *a, bool *ret_xhtml);
/** answer_is_redirect - does it say where to look instead? */
bool answer_is_redirect(const struct answer *a);
/** answer_retry_ns - is it a 429 or 503 that says when to come again? -1 if not, or later than RETRY_MAX. */
int64_t answer_retry_ns(const struct answer *a);
void answer_done(struct answer *a);

#endif
