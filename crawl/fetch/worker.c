/*
 * worker.c - a worker: takes a visit, makes it, writes its row, gives it back.
 *
 * Role    c goroutines run this. One page's way: fetch, redirect or retry or parse, row, harvest.
 * Near    crawl.h (the picture), fetcher.c, harvest.c, store/rows.c.
 * Invariants
 *   K1  every visit received is sent back exactly once, with an answer.
 *   K2  a visit has a row when it goes back with ANSWER_DONE, unless the crawl stopped before it was fetched.
 * Order   The row is sent before the visit: when the conductor counts a page as done, its row is with the writer.
 * Limits  REDIRECTS_MAX hops, TRIES_MAX waits on Retry-After.
 */
#include "../base/mem.h"
#include "../robots/robots.h"
#include "../robots/robotstag.h"
#include "fetcher.h"
#include "harvest.h"
#include "robotstxt.h"

#define REDIRECTS_MAX 10
#define TRIES_MAX 3
#define ROW_ROOM 320

static enum row_format worker_format(const struct crawl *c)
{
    size_t n = strlen(c->opts->out);
    return n > 6 && !strcmp(c->opts->out + n - 6, ".jsonl") ? ROW_JSONL : ROW_CSV;
}

static void worker_row(struct crawl *c, const struct row *row)
{
    struct text t = {0};
    text_room(&t, ROW_ROOM);
    row_write(worker_format(c), row, &t);
    stat_add(&c->stats.rows, 1);
    stat_add(&c->stats.bytes, (uint64_t)row->bytes);
    if (row->status >= 100 && row->status < 600)
        stat_add(&c->stats.classes[row->status / 100], 1);
    weft_send(c->rows, t);
}

static const char *visit_first_url(const struct visit *v)
{
    return v->from ? v->from : v->url;
}

/* A visit that is not fetched, or no further: a list line that is no URL, a disallowed one, a redirect's end. */
static void worker_note(struct crawl *c, struct visit *v)
{
    const char *final = v->harvest ? v->harvest->links[0].url : v->hops ? v->url : "";
    if (v->status < 0)
        stat_add(&c->stats.failed[v->failure], 1);
    worker_row(c, &(struct row){.url = visit_first_url(v), .final_url = final, .status = v->status, .ns = v->ns,
                                .error = v->why});
}

/* Title and links of a page; also of one that broke off in the middle. */
static void worker_parse(struct crawl *c, struct answer *a, struct visit *v, struct text *title)
{
    bool xhtml;
    if (!a->body.len || !answer_is_html(a, &xhtml))
        return;
    bool follow = !c->scope.everything && a->status < 300 &&
                  !robotstag_nofollow(text_str(&a->robots_tag), a->robots_tag.len, c->product);
    struct reader *r = weft_recv(c->readers);
    v->harvest = harvest_page(r, v->url, text_str(&a->type), xhtml, &a->body, follow ? &c->scope : NULL);
    text_add(title, text_str(&r->scan.title), r->scan.title.len);
    weft_send(c->readers, r);
}

static void worker_page_row(struct crawl *c, const struct answer *a, const struct visit *v, const char *title)
{
    char error[300] = "";
    if (a->err && a->status)
        snprintf(error, sizeof error, "status %d, then: %s", a->status, a->why);
    else if (a->err)
        snprintf(error, sizeof error, "%s", a->why);
    else if (a->cut)
        snprintf(error, sizeof error, "longer than %lld bytes: the rest was not read", (long long)BODY_BYTES_MAX);
    if (a->err)
        stat_add(&c->stats.failed[a->failure], 1);
    worker_row(c, &(struct row){.url = visit_first_url(v), .final_url = a->status || v->hops ? v->url : "",
                                .status = a->err ? -1 : a->status, .bytes = a->bytes, .content_type = text_str(&a->type),
                                .title = title, .ns = v->ns, .error = error});
}

/* A redirect: its target becomes the harvest, and the conductor decides. False: there is none to follow. */
static bool worker_redirect(struct crawl *c, struct answer *a, struct visit *v)
{
    const char *why = "more than 10 redirects";
    if (v->hops < REDIRECTS_MAX) {
        struct reader *r = weft_recv(c->readers);
        v->harvest = harvest_one(r, v->url, a->location.p, &why);
        weft_send(c->readers, r);
    }
    if (v->harvest)
        return true;
    a->err = WEFT_EREDIRECT;
    a->failure = FAIL_REDIRECT;
    snprintf(a->why, sizeof a->why, "%s", v->hops < REDIRECTS_MAX ? "redirect to what is no URL to crawl" : why);
    return false;
}

static void worker_page(struct crawl *c, struct answer *a, struct visit *v)
{
    struct text title = {0};
    fetch_get(c, v->url, c->scope.everything ? KEEP_TITLES : KEEP_PAGES, BODY_BYTES_MAX, a);
    v->ns += a->ns;
    v->status = a->status;
    v->answer = ANSWER_DONE;
    if (a->status && answer_is_redirect(a) && worker_redirect(c, a, v)) {
        v->answer = ANSWER_REDIRECT;
        return;
    }
    v->retry_ns = v->tries < TRIES_MAX ? answer_retry_ns(a) : -1;
    if (!a->err && v->retry_ns >= 0) {
        v->answer = ANSWER_RETRY;
        return;
    }
    worker_parse(c, a, v, &title);
    worker_page_row(c, a, v, text_str(&title));
    text_done(&title);
}

void worker_run(struct crawl *c)
{
    struct answer *a = mem_new(sizeof *a);
    weft_range(v, c->jobs) {
        bool stopped = weft_ctx_err(c->stop) != 0;
        if (v->kind == VISIT_NOTE) {
            worker_note(c, v);
        } else if (stopped) {                                          /* K2 */
            v->answer = ANSWER_DONE;
            if (v->kind == VISIT_ROBOTS)
                v->rules = robots_all(false, "stopped", FAIL_STOPPED);
        } else if (v->kind == VISIT_ROBOTS) {
            robotstxt_fetch(c, a, v);
        } else {
            worker_page(c, a, v);
        }
        weft_send(c->done, v);                                         /* K1 */
    }
    answer_done(a);
    free(a);
}
