/*
 * progress.c - how the crawl goes: a line redrawn on a terminal, plain lines elsewhere, and the summary.
 *
 * Role    All of it goes to standard error; standard output may be the rows.
 * Near    crawl.h: the counters, which the other goroutines raise.
 */
#include "../base/mem.h"
#include "../crawl.h"
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_EVERY (200 * WEFT_MS)
#define LINE_EVERY (5 * WEFT_SEC)

static const char *const failure_names[FAIL_KINDS] = {
    [FAIL_NONE] = "disallowed",
    [FAIL_TIMEOUT] = "timeout",      [FAIL_DNS] = "DNS",           [FAIL_CONNECT] = "connect",
    [FAIL_RESET] = "broken off",     [FAIL_TLS] = "TLS",           [FAIL_PROTOCOL] = "bad HTTP",
    [FAIL_PRIVATE] = "private address", [FAIL_ROBOTS] = "robots.txt", [FAIL_REDIRECT] = "redirects",
    [FAIL_URL] = "malformed URL",    [FAIL_STOPPED] = "stopped",   [FAIL_OTHER] = "other",
};

const char *crawl_failure_name(enum failure kind)
{
    return failure_names[kind];
}

static uint64_t failed_total(struct crawl *c)
{
    uint64_t n = 0;
    for (int i = 0; i < FAIL_KINDS; i++)
        n += stat_get(&c->stats.failed[i]);
    return n;
}

/* Figures of a moment, for the rates since the one before. */
struct moment {
    weft_time at;
    uint64_t rows, bytes;
};

static void progress_write(const struct text *t)
{
    ssize_t n = write(STDERR_FILENO, t->p, t->len);
    (void)n;                               /* nobody can be told that nobody can be told */
}

static void progress_line(struct crawl *c, struct moment *before, struct text *t)
{
    struct moment m = {weft_now(), stat_get(&c->stats.rows), stat_get(&c->stats.bytes)};
    double s = (double)(m.at - before->at) / 1e9;
    if (s <= 0)
        s = 1e-9;
    text_addf(t, "%llu pages  %.0f/s  %.1f MB/s  %lld in flight  %llu queued  %llu errors", (unsigned long long)m.rows,
              (double)(m.rows - before->rows) / s, (double)(m.bytes - before->bytes) / s / 1e6,
              (long long)atomic_load_explicit(&c->stats.in_flight, memory_order_relaxed),
              (unsigned long long)stat_get(&c->stats.queued), (unsigned long long)failed_total(c));
    *before = m;
}

static size_t terminal_width(void)
{
    struct winsize ws;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 20 ? ws.ws_col - 1u : 79;
}

void progress_run(struct crawl *c)
{
    bool terminal = isatty(STDERR_FILENO);
    struct moment before = {.at = c->began};
    struct text t = {0};
    weft_ticker tick = {0};
    weft_ticker_start(&tick, terminal ? REDRAW_EVERY : LINE_EVERY);
    while (weft_select(weft_on_recv(weft_ticker_chan(&tick), NULL), weft_on_recv(c->finished, NULL)) == 0) {
        text_clear(&t, 0);
        text_adds(&t, terminal ? "\r" : "weft: ");
        progress_line(c, &before, &t);
        if (terminal && t.len > terminal_width())
            t.len = terminal_width();
        text_adds(&t, terminal ? "\x1b[K" : "\n");
        progress_write(&t);
    }
    weft_ticker_stop(&tick);
    text_clear(&t, 0);
    if (terminal) {
        text_adds(&t, "\r\x1b[K");
        progress_write(&t);
    }
    text_done(&t);
}

static void summary_failures(struct crawl *c, struct text *t)
{
    uint64_t total = failed_total(c);
    if (!total)
        return;
    text_addf(t, "weft: %llu failed:", (unsigned long long)total);
    const char *sep = " ";
    for (int i = 0; i < FAIL_KINDS; i++) {
        uint64_t n = stat_get(&c->stats.failed[i]);
        if (n) {
            text_addf(t, "%s%s %llu", sep, crawl_failure_name((enum failure)i), (unsigned long long)n);
            sep = ", ";
        }
    }
    text_addc(t, '\n');
}

static uint64_t no_status(struct crawl *c)
{
    uint64_t n = stat_get(&c->stats.rows);
    for (int i = 1; i <= 5; i++)
        n -= stat_get(&c->stats.classes[i]);
    return n;
}

static void summary_statuses(struct crawl *c, struct text *t)
{
    text_adds(t, "weft: status:");
    for (int i = 1; i <= 5; i++) {
        uint64_t n = stat_get(&c->stats.classes[i]);
        if (n)
            text_addf(t, " %dxx %llu,", i, (unsigned long long)n);
    }
    text_addf(t, " none %llu\n", (unsigned long long)no_status(c));
}

static void summary_unvisited(struct crawl *c, struct text *t)
{
    const struct {
        uint64_t n;
        const char *why;
    } left[] = {
        {stat_get(&c->stats.denied), "disallowed by robots.txt"},
        {stat_get(&c->stats.unreachable), "of hosts whose robots.txt could not be had"},
        {stat_get(&c->stats.dropped), "dropped, because too many of their host were waiting"},
        {stat_get(&c->stats.queued), "left when the crawl stopped"},
    };
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        if (left[i].n)
            text_addf(t, "weft: %llu URLs not visited: %s\n", (unsigned long long)left[i].n, left[i].why);
}

void progress_summary(struct crawl *c)
{
    struct text t = {0};
    double s = (double)(weft_now() - c->began) / 1e9;
    uint64_t rows = stat_get(&c->stats.rows);
    text_addf(&t, "weft: %llu pages of %llu hosts in %.1f s (%.0f/s), %.1f MB\n", (unsigned long long)rows,
              (unsigned long long)stat_get(&c->stats.sites), s, (double)rows / (s > 0 ? s : 1),
              (double)stat_get(&c->stats.bytes) / 1e6);
    summary_statuses(c, &t);
    summary_failures(c, &t);
    summary_unvisited(c, &t);
    if (strcmp(c->opts->out, "-")) {
        char *full = realpath(c->opts->out, NULL);
        text_addf(&t, "weft: rows are in %s\n", full ? full : c->opts->out);
        free(full);
    }
    progress_write(&t);
    text_done(&t);
}
