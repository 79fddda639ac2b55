/*
 * robotstag.h - what X-Robots-Tag and <meta name=robots> say about following links.
 */
#ifndef CRAWL_ROBOTSTAG_H
#define CRAWL_ROBOTSTAG_H
#include <stdbool.h>
#include <stddef.h>

/**
 * robotstag_nofollow - does the value forbid a crawler of this name to follow the links of the page?
 *
 * @value    "noindex, nofollow", "weft: none", "max-image-preview:none, otherbot: nofollow".
 * @product  the crawler's name, compared without regard to case.
 *
 * A name with a colon holds for what follows it. Directives that have a value themselves are no names.
 *
 * Source    Google, "Robots meta tag, data-nosnippet, and X-Robots-Tag specifications".
 */
bool robotstag_nofollow(const char *value, size_t len, const char *product);

#endif
