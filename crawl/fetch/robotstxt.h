/*
 * robotstxt.h - get the robots.txt of a site and make rules of whatever comes back.
 */
#ifndef CRAWL_ROBOTSTXT_H
#define CRAWL_ROBOTSTXT_H
#include "fetcher.h"

/**
 * robotstxt_fetch - answer a VISIT_ROBOTS: v->rules is set, or v->answer is ANSWER_RETRY.
 *
 * 2xx: the rules of the file. 4xx: all allowed. 5xx, 429 and no answer: nothing allowed. Up to five redirects are
 * followed, to any host; more, or one without a target: all allowed.
 *
 * Source    RFC 9309 2.3.1. Stricter for 429, as Google is.
 */
void robotstxt_fetch(struct crawl *c, struct answer *a, struct visit *v);

#endif
