/*
 * accesslog.c - a line for each request: middleware.
 *
 * Role    remote - - [date] "METHOD target HTTP/1.1" status bytes milliseconds, as the common log format has it and one
 *         number more. Near mux.c. Layer 5.
 * Limits  A line has at most 640 bytes, 400 of the target; what could break a line or a terminal is written as '?'. A
 *         request whose handler panics is logged with status 500.
 */
#include <weft/time.h>
#include <weft/unwind.h>

#include "server_int.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES 640

struct log_entry {
    weft_http_request *rq;
    weft_http_writer *w;
    const struct weft_http_access_log *to;
    weft_time began;
    bool returned;
};

/* The line of e, with its end. Its length. */
static __attribute__((noinline)) size_t entry_text(const struct log_entry *e, char line[static LINE_MAX_BYTES])
{
    static const char *const versions[] = {"1.0", "1.1", "2.0"};
    char remote[WEFT_ADDR_TEXT] = "-", date[30];
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &ts);   /* lint: the time of day, which src/sys does not have */
    weft__http_date(ts.tv_sec, date);
    if (weft_conn_remote(e->rq->x->sc->conn, remote, sizeof remote) <= 0)
        (void)snprintf(remote, sizeof remote, "-");
    int status = e->returned || e->w->head_sent ? e->w->status : 500;
    int version = weft_http_request_version(e->rq);
    int n = snprintf(line, LINE_MAX_BYTES - 1, "%s - - [%s] \"%s %.400s HTTP/%s\" %d %llu %.3f", remote, date,
                     weft_http_request_method(e->rq), weft_http_request_target(e->rq), versions[version == 20 ? 2 : version == 11], status,
                     (unsigned long long)weft_http_reply_sent_bytes(e->w), (double)(weft_now() - e->began) / 1e6);
    size_t len = n < 0 ? 0 : (size_t)n < LINE_MAX_BYTES - 1 ? (size_t)n : LINE_MAX_BYTES - 2;
    line[len] = '\n';
    line[len + 1] = '\0';
    return len + 1;
}

static void entry_write(struct log_entry *e)
{
    char line[LINE_MAX_BYTES];
    size_t len = entry_text(e, line) - 1;
    char *request = memchr(line, '"', len), *end = memrchr(line, '"', len);   /* a quote inside would end the request for readers */
    for (char *c = line; c < line + len; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || (*c == '"' && c != request && c != end))
            *c = '?';
    if (e->to && e->to->line)
        e->to->line(line, len + 1, e->to->arg);
    else
        (void)fwrite(line, 1, len + 1, stderr);
}

void weft_http_access_log(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    struct log_entry e = {.rq = rq, .w = w, .to = arg, .began = weft_now()};
    weft_defer(entry_write, &e);
    weft_http_next(rq, w);
    e.returned = true;
}
