/*
 * robotstxt.c - robots.txt over HTTP: status codes, redirects, failures.
 *
 * Role    The first fetch of every site. Its verdict stays for the whole crawl: it is not asked for again.
 * Near    robots/robots.c (the file itself), frontier.c (keeps the site waiting until this is done).
 * Limits  5 redirects, 3 waits on Retry-After, 500 KiB. A redirect to another host is one request there, without that
 *         host's pause.
 */
#include "robotstxt.h"
#include "../base/mem.h"
#include "../robots/robots.h"
#include "harvest.h"

#define HOPS_MAX 5
#define TRIES_MAX 3

/* The verdict on the answer that is no redirect. */
static struct robots *robotstxt_judge(struct crawl *c, const struct answer *a)
{
    char why[200];
    if (a->err) {
        snprintf(why, sizeof why, "%.160s (asking for robots.txt)", a->why);
        return robots_all(false, why, (int)a->failure);
    }
    if (a->status >= 200 && a->status < 300)
        return robots_parse(text_str(&a->body), a->body.len, c->product);
    if (a->status >= 500 || a->status == 429) {
        snprintf(why, sizeof why, "robots.txt: status %d, so nothing is allowed", a->status);
        return robots_all(false, why, FAIL_ROBOTS);
    }
    return robots_all(true, "", FAIL_NONE);
}

/* Where the redirect leads, as a text of its own; NULL if nowhere. */
static char *robotstxt_next(struct crawl *c, const char *url, const struct answer *a)
{
    const char *why;
    struct reader *r = weft_recv(c->readers);
    struct harvest *h = harvest_one(r, url, a->location.p, &why);
    weft_send(c->readers, r);
    char *next = h ? mem_dup(h->links[0].url, h->links[0].parts.len) : NULL;
    free(h);
    return next;
}

void robotstxt_fetch(struct crawl *c, struct answer *a, struct visit *v)
{
    char *url = mem_dup(v->url, v->url_len);
    v->answer = ANSWER_DONE;
    for (int hop = 0; url; hop++) {
        stat_add(&c->stats.robots, 1);
        fetch_get(c, url, KEEP_ALL, ROBOTS_BYTES_MAX + 1, a);   /* one more: robots_parse must see that it is cut */
        v->retry_ns = a->err ? -1 : answer_retry_ns(a);
        if (v->retry_ns >= 0 && v->tries < TRIES_MAX) {
            v->answer = ANSWER_RETRY;
            break;
        }
        if (a->err || !answer_is_redirect(a)) {
            v->rules = robotstxt_judge(c, a);
            break;
        }
        char *next = hop < HOPS_MAX ? robotstxt_next(c, url, a) : NULL;
        free(url);
        url = next;
    }
    if (!url)
        v->rules = robots_all(true, "", FAIL_NONE);
    free(url);
}
