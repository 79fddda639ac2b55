/*
 * crawl.h - what the goroutines of one crawl share.
 *
 *              links, rules, retries, redirects
 *        .---------------- done <-----------------.
 *        v                                        |
 *   [conductor] ------------- jobs ----------> [worker] x c ----- rows -----> [writer] --> file
 *        ^                                        |  ^
 *        '--- listed --- [list reader]            '--'  readers (parsers, one per processor)
 *
 *   [signals] cancels stop, later kill.   [progress] reads the counters.
 *
 * Every arrow is a bounded channel. Why it cannot lock up:
 *   X1  at most c visits are out, and jobs and done have room for c: neither the conductor nor a worker ever waits to
 *       send on them.
 *   X2  a worker waits for rows only, the writer for the disk only. A slow disk so slows the fetching; nothing piles up.
 *   X3  the list reader waits for the conductor, which takes lines only while its queues are short.
 */
#ifndef CRAWL_CRAWL_H
#define CRAWL_CRAWL_H
#include "base/text.h"
#include "cli/options.h"
#include "frontier/frontier.h"
#include "parse/pagelinks.h"
#include "polite/scope.h"
#include "store/rows.h"
#include <stdatomic.h>
#include <weft/weft.h>

/* Why fetches failed, for the summary. crawl_failure_name() gives the words. */
enum failure {
    FAIL_NONE,
    FAIL_TIMEOUT,
    FAIL_DNS,
    FAIL_CONNECT,
    FAIL_RESET,
    FAIL_TLS,
    FAIL_PROTOCOL,
    FAIL_PRIVATE,
    FAIL_ROBOTS,
    FAIL_REDIRECT,
    FAIL_URL,
    FAIL_STOPPED,
    FAIL_OTHER,
    FAIL_KINDS
};

/* Counters, all relaxed: a reader may see one ahead of another. */
struct crawl_stats {
    _Atomic uint64_t rows;                /* pages told of in the output */
    _Atomic uint64_t bytes;               /* of their bodies, decoded */
    _Atomic uint64_t classes[6];          /* rows with a status of 1xx .. 5xx; [0] unused */
    _Atomic uint64_t failed[FAIL_KINDS];  /* rows with status -1, and pages that broke off */
    _Atomic uint64_t robots;              /* robots.txt files asked for */
    _Atomic int64_t in_flight;            /* fetches under way */
    _Atomic uint64_t queued, sites, seen, denied, unreachable, dropped;   /* the frontier's, as of its last step */
};

/* Parsers: a page's way from bytes to links. Taken from crawl.readers and given back. */
struct reader {
    struct canon *canon;
    struct page_reader *page;
    struct page_scan scan;
    struct text decoded, url;
    uint32_t *table;                      /* of harvest.c: links of the page met before */
    size_t table_cap;
};

struct crawl {
    const struct crawl_options *opts;
    const char *product;                  /* the name for robots.txt */
    struct scope scope;
    weft_http_client *client;
    weft_ctx *stop;                       /* ends: no new fetches */
    weft_ctx *kill;                       /* ends: fetches under way are given up */
    weft_chan(struct visit *) jobs;
    weft_chan(struct visit *) done;
    weft_chan(struct visit *) listed;     /* lines of the list; NULL without one */
    weft_chan(struct text) rows;          /* written rows; the receiver frees them */
    weft_chan(struct reader *) readers;
    weft_chan(char) finished;             /* closed when all is written */
    weft_chan(int) signals;
    _Atomic int signal;                   /* the signal that stopped the crawl, 0 none */
    _Atomic int write_errno;              /* why the writer gave up, 0 not */
    _Atomic weft_time writing_since;      /* the writer is in a write that may block, since then; 0 not */
    _Atomic bool list_broken;             /* the list could not be read to its end */
    int out_fd;
    weft_time began;
    struct crawl_stats stats;
};

static inline void stat_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}
static inline uint64_t stat_get(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* frontier/conductor.c: runs the frontier until nothing is left or c->stop ends; then closes c->jobs. Parks. */
void conductor_run(struct crawl *c, struct frontier *f);
/* fetch/worker.c: makes the visits of c->jobs until it is closed. Parks. */
void worker_run(struct crawl *c);
/* store/writer.c: writes c->rows to c->out_fd until it is closed and drained. Parks. */
void writer_run(struct crawl *c);
/* cli/list_reader.c: sends the lines of a list to c->listed, then closes it. Owns fd. Parks. */
void list_reader_run(struct crawl *c, int fd);
/* cli/progress.c: tells how it goes, until c->finished is closed. Parks. */
void progress_run(struct crawl *c);
/* cli/progress.c: the last words. */
void progress_summary(struct crawl *c);
/* cli/interrupt.c: first signal: stop; a while later: kill; second signal: exit at once. Parks. */
void interrupt_run(struct crawl *c);

const char *crawl_failure_name(enum failure kind);

#endif
