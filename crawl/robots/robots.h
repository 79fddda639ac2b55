/*
 * robots.h - the rules of a site's robots.txt that concern us (RFC 9309).
 */
#ifndef CRAWL_ROBOTS_H
#define CRAWL_ROBOTS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The name that robots.txt files may address us by. */
#define ROBOTS_PRODUCT "weft"
/* Bytes of a robots.txt that are read; RFC 9309 2.5 asks for at least 500 KiB. */
#define ROBOTS_BYTES_MAX (500 * 1024)
/* Longest Crawl-delay that is honoured as written, in seconds; longer ones count as this. */
#define ROBOTS_DELAY_MAX 300

/* Immutable once made: any number of goroutines may read it. */
struct robots;

/**
 * robots_parse - the rules for a product token.
 *
 * @body     the file as it came; what is behind ROBOTS_BYTES_MAX is not looked at. HTML and junk have no rules.
 * @product  letters, '-' and '_'; compared without regard to case.
 *
 * Returns   rules; free with robots_free.
 */
struct robots *robots_parse(const char *body, size_t len, const char *product);

/**
 * robots_all - rules that allow everything, or nothing.
 *
 * @why      copied; robots_why tells it. @kind what stood in the way, for the caller's own use; robots_kind tells it.
 */
struct robots *robots_all(bool allow, const char *why, int kind);
void robots_free(struct robots *r);

/**
 * robots_allows - may this path be fetched?
 *
 * @path     path and query of a canonical URL, beginning with "/".
 */
bool robots_allows(const struct robots *r, const char *path, size_t len);

/** robots_delay_ms - Crawl-delay in milliseconds, 0 if none. */
int64_t robots_delay_ms(const struct robots *r);
/** robots_why - the reason of a verdict that is not from a file: "robots.txt: status 500". "" otherwise. */
const char *robots_why(const struct robots *r);
int robots_kind(const struct robots *r);

#endif
