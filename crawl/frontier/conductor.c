/*
 * conductor.c - the goroutine that owns the frontier: hands visits out, takes answers in.
 *
 * Role    The only place where the crawl's state changes, so it needs no lock.
 * Near    crawl.h (the picture), frontier.c (what it decides with), fetch/worker.c (the other end of jobs and done).
 * Invariants
 *   X1  out <= workers, and jobs and done have room for as many: sending a visit out or back never waits.
 *   X4  lines are taken from the list only while fewer than LIST_AHEAD visits wait.
 *   X5  it ends with out == 0: every visit came back, every row is on its way to the writer.
 * Order   A visit belongs to whoever received it last; the channels order the accesses.
 */
#include "../crawl.h"

#define LIST_AHEAD 10000
#define WAIT_MAX (3600 * WEFT_SEC)

struct conductor {
    struct crawl *c;
    struct frontier *f;
    int out;                              /* visits that workers have */
    bool stopping;                        /* c->stop has ended */
    bool spent;                           /* --max-pages are handed out */
    weft_chan(struct visit *) listed;     /* NULL once the list has ended */
};

static void conductor_send(struct conductor *k, struct visit *v)
{
    k->out++;
    weft_send(k->c->jobs, v);                                          /* X1 */
}

/* Hand out all that may start now. The instant at which more may. */
static weft_time conductor_hand_out(struct conductor *k)
{
    weft_time wake = FRONTIER_NEVER, now = weft_now();
    while (!k->stopping && k->out < k->c->opts->workers) {
        struct visit *v = frontier_next(k->f, now, &wake);
        if (!v)
            return wake;
        conductor_send(k, v);
    }
    return FRONTIER_NEVER;
}

/* Nothing more will be fetched for this visit: have its row written. */
static void conductor_note(struct conductor *k, struct visit *v, const char *why)
{
    v->kind = VISIT_NOTE;
    v->why = why;
    conductor_send(k, v);
}

static void conductor_redirect(struct conductor *k, struct visit *v, weft_time now)
{
    const struct link *to = &v->harvest->links[0];
    if (k->stopping || !scope_has(&k->c->scope, to->url, &to->parts)) {
        frontier_release(k->f, v, now);
        conductor_note(k, v, k->stopping ? "stopped before the redirect was followed" : "redirect leaves the hosts given");
    } else if (!frontier_redirect(k->f, v, to, k->c->listed != NULL, now)) {
        conductor_note(k, v, "");          /* the page has, or will have, a row of its own */
    }
}

static void conductor_page(struct conductor *k, struct visit *v, weft_time now)
{
    switch ((enum visit_answer)v->answer) {
    case ANSWER_DONE:
        for (size_t i = 0; v->harvest && i < v->harvest->len; i++)
            frontier_link(k->f, &v->harvest->links[i], v->depth + 1);
        frontier_done(k->f, v, now);
        break;
    case ANSWER_RETRY:
        if (!k->stopping) {
            frontier_retry(k->f, v, now);
            break;
        }
        frontier_release(k->f, v, now);
        conductor_note(k, v, "stopped before it was asked again");
        break;
    case ANSWER_REDIRECT: conductor_redirect(k, v, now); break;
    }
}

static void conductor_settle(struct conductor *k, struct visit *v)
{
    weft_time now = weft_now();
    k->out--;
    switch ((enum visit_kind)v->kind) {
    case VISIT_NOTE: frontier_done(k->f, v, now); break;
    case VISIT_PAGE: conductor_page(k, v, now); break;
    case VISIT_ROBOTS:
        if (v->answer == ANSWER_RETRY)
            frontier_retry(k->f, v, now);
        else
            frontier_rules(k->f, v, now);
        break;
    }
}

/* A line of the list: a URL for the frontier, or a note on what is none. */
static void conductor_line(struct conductor *k, struct visit *v)
{
    if (v->kind == VISIT_NOTE) {
        conductor_send(k, v);
        return;
    }
    struct link link = {.print = seen_print(v->url, v->url_len), .url = v->url,
                        .parts = {.len = v->url_len, .site_len = v->site_len}};
    (void)frontier_give(k->f, &link, true);
    visit_free(v);
}

static void conductor_publish(struct conductor *k)
{
    struct crawl_stats *st = &k->c->stats;
    struct frontier_counts n;
    frontier_counts(k->f, &n);
    k->spent = n.spent;
    atomic_store_explicit(&st->queued, n.queued, memory_order_relaxed);
    atomic_store_explicit(&st->sites, n.sites, memory_order_relaxed);
    atomic_store_explicit(&st->seen, n.seen, memory_order_relaxed);
    atomic_store_explicit(&st->denied, n.denied, memory_order_relaxed);
    atomic_store_explicit(&st->unreachable, n.unreachable, memory_order_relaxed);
    atomic_store_explicit(&st->dropped, n.dropped, memory_order_relaxed);
}

static bool conductor_over(const struct conductor *k, weft_time wake)
{
    if (k->out)
        return false;
    if (k->stopping)
        return true;
    return wake == FRONTIER_NEVER && (!k->listed || k->spent);
}

void conductor_run(struct crawl *c, struct frontier *f)
{
    struct conductor k = {.c = c, .f = f, .listed = c->listed};
    weft_receiver(char) stop = weft_ctx_done(c->stop);
    for (;;) {
        weft_time wake = conductor_hand_out(&k), now = weft_now();
        conductor_publish(&k);
        if (conductor_over(&k, wake))
            break;
        bool hungry = !k.stopping && !k.spent && k.out < c->opts->workers && stat_get(&c->stats.queued) < LIST_AHEAD;
        weft_chan(struct visit *) lines = hungry ? k.listed : NULL;    /* X4 */
        weft_dur wait = wake > now + WAIT_MAX ? WAIT_MAX : wake - now;
        struct visit *v;
        bool more;
        switch (weft_select(weft_on_recv(c->done, &v), weft_on_recv_ok(lines, &v, &more), weft_on_recv(stop, NULL),
                            weft_on_timeout(wait))) {
        case 0:
            conductor_settle(&k, v);
            while (weft_try_recv(c->done, &v) == 1)
                conductor_settle(&k, v);
            break;
        case 1:
            if (more)
                conductor_line(&k, v);
            else
                k.listed = NULL;
            break;
        case 2:
            k.stopping = true;
            stop = NULL;                   /* never ready again */
            break;
        default: break;
        }
    }
    weft_close(c->jobs);                                               /* X5 */
}
