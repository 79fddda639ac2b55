/*
 * writer.c - the one goroutine that writes rows to the output.
 *
 * Role    Gathers rows into large writes, at least one a second while there is something to write.
 * Near    rows.c (made the rows, in the workers), crawl.h.
 * Invariants
 *   W3  after an error it goes on receiving and drops: nobody waits for a writer that has given up.
 * Limits  BUFFER_MAX bytes are held back, for FLUSH_EVERY at most.
 * Failure the first error of write(2) is kept in c->write_errno, and the crawl is stopped at once.
 */
#include "../crawl.h"
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_MAX ((size_t)256 << 10)
#define FLUSH_EVERY WEFT_SEC

struct writer {
    struct crawl *c;
    struct text buf;
    bool may_block;           /* a pipe or terminal: say so to the scheduler */
    bool broken;
};

static void writer_fail(struct writer *w, int err)
{
    w->broken = true;                                                  /* W3 */
    atomic_store_explicit(&w->c->write_errno, err, memory_order_relaxed);
    weft_cancel(w->c->stop);
    weft_cancel(w->c->kill);
}

/* write(2), telling why it failed as -errno. Runs on one thread from call to errno. */
static ssize_t writer_write(struct writer *w, const char *p, size_t n)
{
    if (w->may_block) {
        atomic_store_explicit(&w->c->writing_since, weft_now(), memory_order_relaxed);
        weft_block_begin();
    }
    ssize_t done = write(w->c->out_fd, p, n);
    if (done < 0)
        done = -errno;
    if (w->may_block) {
        weft_block_end();
        atomic_store_explicit(&w->c->writing_since, 0, memory_order_relaxed);
    }
    return done;
}

static void writer_flush(struct writer *w)
{
    for (size_t at = 0; at < w->buf.len && !w->broken;) {
        ssize_t n = writer_write(w, w->buf.p + at, w->buf.len - at);
        if (n >= 0)
            at += (size_t)n;
        else if (n != -EINTR)
            writer_fail(w, (int)-n);
    }
    text_clear(&w->buf, 0);
}

void writer_run(struct crawl *c)
{
    struct writer w = {.c = c};
    struct stat st;
    w.may_block = fstat(c->out_fd, &st) < 0 || !S_ISREG(st.st_mode);
    weft_ticker tick = {0};
    weft_ticker_start(&tick, FLUSH_EVERY);
    for (bool more = true; more;) {
        struct text row;
        switch (weft_select(weft_on_recv_ok(c->rows, &row, &more), weft_on_recv(weft_ticker_chan(&tick), NULL))) {
        case 0:
            if (!more)
                break;
            text_add(&w.buf, row.p, row.len);
            text_done(&row);
            if (w.buf.len >= BUFFER_MAX)
                writer_flush(&w);
            break;
        default: writer_flush(&w); break;
        }
    }
    weft_ticker_stop(&tick);
    writer_flush(&w);
    text_done(&w.buf);
}
