/*
 * canon.h - the canonical form of a URL: one spelling per page.
 *
 * The form is what the WHATWG URL parser (lexbor) writes, without fragment, plus RFC 3986 section 6.2.2: escapes of
 * unreserved characters are decoded, the others have upper-case digits. So scheme and host are lower case, default
 * ports and dot segments are gone, an empty path is "/", and an empty query keeps its "?" (it is another URL).
 */
#ifndef CRAWL_CANON_H
#define CRAWL_CANON_H
#include "../base/text.h"
#include <lexbor/encoding/base.h>
#include <stdint.h>

/* Longest URL that is crawled, in its canonical form. */
#define CANON_MAX 8192

/* Parts of a canonical URL, as offsets in its text: "https://h.test:8443/a/b?c" */
struct canon_parts {
    uint32_t len;        /* whole text */
    uint32_t host_at;    /* 8: behind "://" */
    uint32_t host_len;   /* 6: brackets of IPv6 included */
    uint32_t site_len;   /* 19: scheme, host and port; the path begins here */
    uint16_t port;       /* 8443; the scheme's default if the URL has none */
};

enum canon_result {
    CANON_OK,
    CANON_BAD,           /* not a URL by the WHATWG parser, no host, or a port of 0 */
    CANON_SCHEME,        /* neither http nor https */
    CANON_LOGIN,         /* user:password@ */
    CANON_LONG           /* past CANON_MAX */
};

/* One goroutine at a time. */
struct canon;

struct canon *canon_new(void);
void canon_free(struct canon *c);

/**
 * canon_base - set the URL against which canon_url resolves; NULL for none. Text must be absolute.
 *
 * @relative_to_old  resolve the text against the present base first, as <base href> asks.
 *
 * Returns   false if the text is no URL; the base stays as it was.
 */
bool canon_base(struct canon *c, const char *text, size_t len, bool relative_to_old);

/**
 * canon_url - resolve and canonicalise a reference as written in a page or by a person.
 *
 * @encoding   the document's, for the query (WHATWG); LXB_ENCODING_UTF_8 when in doubt.
 * @ret_text   replaced by the canonical text. Undefined unless CANON_OK.
 */
enum canon_result canon_url(struct canon *c, const char *text, size_t len, lxb_encoding_t encoding,
                            struct text *ret_text, struct canon_parts *ret_parts);

/** canon_why - what a result other than CANON_OK means, for a person. */
const char *canon_why(enum canon_result r);

/**
 * canon_percent - RFC 3986 6.2.2.1 and 6.2.2.2 in place: upper-case escapes, unreserved characters decoded. A digit that
 * would make an escape of a lone % before it stays as it is.
 *
 * Returns   the new length, at most n.
 */
size_t canon_percent(char *p, size_t n);

#endif
