/*
 * options.h - the command line of `weft crawl`.
 */
#ifndef CRAWL_OPTIONS_H
#define CRAWL_OPTIONS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crawl_options {
    int workers;              /* -c */
    const char *out;          /* -o; "-" is standard output */
    const char *list;         /* --list; "-" is standard input; NULL: follow links */
    int64_t depth;            /* --depth; -1 no limit */
    int64_t pages_max;        /* --max-pages; 0 no limit */
    int64_t time_max;         /* --max-time, ns; 0 no limit */
    int64_t timeout;          /* --timeout, ns */
    int64_t per_site;         /* --per-host */
    int64_t delay;            /* --delay, ns */
    bool allow_private;
    const char *user_agent;
    const char *ca_file;      /* NULL: the system's */
    bool help;
    char **urls;              /* points into argv */
    int urls_len;
};

/**
 * options_parse - read the words behind `weft crawl`.
 *
 * @argv     reordered: URLs are gathered. Strings are borrowed.
 * @reterr   on failure: one line without a line end, cut to n.
 *
 * Returns   false on bad input.
 */
bool options_parse(int argc, char **argv, struct crawl_options *ret, char *reterr, size_t n);

/** options_help - the text of `weft crawl --help`, on standard output. */
void options_help(void);

/**
 * options_duration - "500ms", "10s", "1.5s", "2m", "1h", "0"; a bare number is seconds.
 *
 * Returns   false if it is none, is negative, or is longer than 100 years.
 */
bool options_duration(const char *s, int64_t *ret_ns);

#endif
