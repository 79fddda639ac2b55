/*
 * visit.h - one URL on its way through the crawl, and the links that a page brings back.
 *
 * A visit has one owner at any time: the frontier while it waits, the worker while it is fetched. It changes hands over
 * the channels jobs and done, which order what both wrote.
 */
#ifndef CRAWL_VISIT_H
#define CRAWL_VISIT_H
#include "../parse/canon.h"
#include "seen.h"

struct robots;
struct site;

enum visit_kind {
    VISIT_PAGE,      /* fetch it */
    VISIT_ROBOTS,    /* fetch the robots.txt of its site */
    VISIT_NOTE       /* fetch nothing: only write its row, from status and why */
};

/* What became of it: the worker's answer to the frontier. */
enum visit_answer {
    ANSWER_DONE,     /* its row is written; harvest holds the links, or is NULL */
    ANSWER_RETRY,    /* ask again, not before retry_ns from now */
    ANSWER_REDIRECT  /* harvest holds one link: where it leads */
};

struct link {
    struct fingerprint print;
    const char *url;          /* canonical, in the harvest's memory */
    struct canon_parts parts;
};

/* One allocation: free(harvest). */
struct harvest {
    size_t len;
    struct link links[];
};

struct visit {
    struct visit *next;       /* the frontier's line of its site */
    struct site *site;        /* NULL: a note about something that is no URL */
    char *from;               /* the URL first asked for, if redirects led here; else NULL */
    const char *why;          /* of a note; lives as long as the crawl, "" if there is nothing to say */
    int64_t ns;               /* spent on fetching so far */
    uint32_t depth;           /* links from a URL given */
    uint32_t url_len, site_len;
    int status;               /* of the last response */
    uint8_t kind;             /* enum visit_kind */
    uint8_t hops;             /* redirects followed */
    uint8_t tries;            /* times that it was put off */
    uint8_t failure;          /* of a note with status -1: an enum failure of crawl.h */
    bool given;               /* by the user: its row is written whatever happens */
    bool slot;                /* counts as in flight at its site */
    /* the worker's answer */
    uint8_t answer;           /* enum visit_answer */
    int64_t retry_ns;
    struct harvest *harvest;
    struct robots *rules;     /* of a VISIT_ROBOTS */
    char url[];
};

/* frontier.c */
struct visit *visit_new(const char *url, uint32_t len, uint32_t site_len);
void visit_free(struct visit *v);

#endif
