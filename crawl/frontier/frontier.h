/*
 * frontier.h - what is still to visit, and when each site may be asked again.
 *
 * Owned by one goroutine (conductor.c); nothing here parks. This is the whole of what the crawl knows about its
 * queues, so a frontier on disk or on other machines replaces frontier.c and seen.c behind this header.
 */
#ifndef CRAWL_FRONTIER_H
#define CRAWL_FRONTIER_H
#include "visit.h"

/* URLs that wait at one site; more are dropped and counted. Bounds what an endless site costs. */
#define SITE_QUEUE_MAX 1000000
#define FRONTIER_NEVER INT64_MAX

struct frontier;

/* Times are instants and durations of one clock, in ns. */
struct frontier_opts {
    int per_site;             /* fetches of one host at a time, at least 1 */
    int64_t delay;            /* from the end of a fetch to the next start at its host */
    uint64_t pages_max;       /* pages to hand out in all; 0: no limit */
    uint32_t depth_max;       /* links from a URL given; deeper ones are not added */
};

struct frontier_counts {
    uint64_t queued;          /* visits waiting */
    uint64_t sites;
    uint64_t seen;            /* different URLs met */
    uint64_t denied;          /* URLs that robots.txt disallows */
    uint64_t unreachable;     /* URLs of sites whose robots.txt could not be had */
    uint64_t dropped;         /* links past SITE_QUEUE_MAX */
    bool spent;               /* pages_max are handed out */
};

struct frontier *frontier_new(const struct frontier_opts *opts);
/** frontier_free - with everything that waits. Visits that are out must be back. */
void frontier_free(struct frontier *f);

/** frontier_link - add a link found at depth - 1, unless it was met before, lies too deep, or is disallowed. */
void frontier_link(struct frontier *f, const struct link *link, uint32_t depth);

/**
 * frontier_give - add a URL that the user gave.
 *
 * @again    also if it was met before (lines of a list).
 *
 * Returns   false if it was met before, or pages_max are handed out.
 */
bool frontier_give(struct frontier *f, const struct link *link, bool again);

/**
 * frontier_next - the visit to make now.
 *
 * Every visit handed out must come back by one of frontier_done, _retry, _redirect; notes and pages alike.
 *
 * Returns   NULL if there is none; *ret_wake is then the instant to ask again, FRONTIER_NEVER if only frontier_done or
 *           an addition can change that.
 */
struct visit *frontier_next(struct frontier *f, int64_t now, int64_t *ret_wake);

/** frontier_done - a visit is over: its host may be asked again after the pause. Frees it. Not for VISIT_ROBOTS. */
void frontier_done(struct frontier *f, struct visit *v, int64_t now);
/** frontier_rules - a VISIT_ROBOTS is over; the site takes v->rules. Frees the visit. */
void frontier_rules(struct frontier *f, struct visit *v, int64_t now);
/** frontier_retry - put a visit off: it goes to the head of its line, and its whole host waits for v->retry_ns. */
void frontier_retry(struct frontier *f, struct visit *v, int64_t now);
/** frontier_release - the fetch is over, but not the visit: its slot is given back, the pause begins. */
void frontier_release(struct frontier *f, struct visit *v, int64_t now);

/**
 * frontier_redirect - send a visit on to another URL; it goes to the head of that site's line.
 *
 * @always   also if the URL was met before.
 *
 * Returns   false if it was met before: the visit is still the caller's, its slot is given back.
 */
bool frontier_redirect(struct frontier *f, struct visit *v, const struct link *to, bool always, int64_t now);

void frontier_counts(const struct frontier *f, struct frontier_counts *ret);

#endif
