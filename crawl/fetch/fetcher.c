/*
 * fetcher.c - GET over weft's HTTP client: timeout, size limit, reasons in words.
 *
 * Role    The one place that talks HTTP. What an answer means for the crawl is worker.c's and robotstxt.c's business.
 * Near    polite/private_addr.c (asked before each connect), weft/http.h.
 * Invariants
 *   H1  redirects are not followed here: each hop passes scope, robots.txt, seen-set and the pause of its site.
 *   H2  bytes <= max; body.len <= bytes.
 * Limits  BODY_BYTES_MAX a body, decoded, so a decompression bomb ends there too; --timeout for the whole fetch.
 * Failure err, failure and why of the answer. A coding that the client does not know fails: its bytes are no page.
 */
#include "fetcher.h"
#include "../base/mem.h"
#include "../polite/private_addr.h"
#include "../polite/retry_after.h"
#include "harvest.h"
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

#define IDLE_MIN 100
#define IDLE_MAX 10000
#define RETRY_MAX (120 * WEFT_SEC)
#define RETRY_MIN WEFT_SEC

static bool fetcher_allow(const struct sockaddr *addr, void *arg)
{
    (void)arg;
    return !private_addr(addr);
}

/* Connections kept for later: as many as descriptors allow, so that many hosts can each wait for their pause. */
static int fetcher_idle_max(int workers)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
        return IDLE_MIN;
    int64_t room = rl.rlim_cur > INT32_MAX ? IDLE_MAX : ((int64_t)rl.rlim_cur - workers) / 2;
    return (int)(room < IDLE_MIN ? IDLE_MIN : room > IDLE_MAX ? IDLE_MAX : room);
}

weft_err fetcher_client(const struct crawl_options *opts, weft_http_client **ret_client)
{
    struct weft_tls_config tls = {.ca_file = opts->ca_file};
    return weft_http_client_new(
        &(struct weft_http_client_opts){
            .redirects_max = -1,                                       /* H1 */
            .timeout = opts->timeout,
            .user_agent = opts->user_agent,
            .idle_per_host_max = (int)(opts->per_site < opts->workers ? opts->per_site : opts->workers),
            .idle_max = fetcher_idle_max(opts->workers),
            .tls = opts->ca_file ? &tls : NULL,
            .allow = opts->allow_private ? NULL : fetcher_allow,
        },
        ret_client);
}

static enum failure failure_of(weft_err err)
{
    switch (err) {
    case WEFT_EDEADLINE:
    case -ETIMEDOUT: return FAIL_TIMEOUT;
    case WEFT_ENOHOST:
    case WEFT_EDNS: return FAIL_DNS;
    case -ECONNREFUSED:
    case -ENETUNREACH:
    case -EHOSTUNREACH: return FAIL_CONNECT;
    case -ECONNRESET:
    case -EPIPE:
    case WEFT_EEOF: return FAIL_RESET;
    case WEFT_ETLS:
    case WEFT_ECERT: return FAIL_TLS;
    case WEFT_EPROTO:
    case WEFT_ETOOBIG:
    case WEFT_EUNSUPPORTED: return FAIL_PROTOCOL;
    case WEFT_EDENIED: return FAIL_PRIVATE;
    case WEFT_ECANCELED: return FAIL_STOPPED;
    case WEFT_EADDR: return FAIL_URL;
    default: return FAIL_OTHER;
    }
}

static void answer_fail(struct answer *a, weft_err err, const char *words)
{
    a->err = err;
    a->failure = failure_of(err);
    if (err == WEFT_EDENIED)
        words = "the address is private or loopback (--allow-private allows it)";
    else if (err == WEFT_ECANCELED)
        words = "stopped by the user";
    snprintf(a->why, sizeof a->why, "%s", words && *words ? words : weft_strerror(err));
}

static void answer_header(struct text *t, const weft_http_response *resp, const char *name)
{
    const char *value = weft_http_header(resp, name);
    text_clear(t, 0);
    if (value)
        text_adds(t, value);
}

/* All fields of that name as one list. */
static void answer_header_list(struct text *t, const weft_http_response *resp, const char *name)
{
    struct weft_http_field f;
    text_clear(t, 0);
    for (size_t i = 0; weft_http_header_at(resp, i, &f); i++) {
        if (strcasecmp(f.name, name))
            continue;
        text_adds(t, t->len ? ", " : "");
        text_adds(t, f.value);
    }
}

/* Read up to max bytes, keep up to keep_max of them. */
static void answer_read(struct crawl *c, weft_http_response *resp, size_t keep_max, int64_t max, struct answer *a)
{
    const void *piece;
    ssize_t n;
    while ((n = weft_http_body_next(c->kill, resp, &piece)) > 0) {
        a->cut = n > max - a->bytes;
        if (a->cut)
            n = max - a->bytes;
        a->bytes += n;                                                 /* H2 */
        if (a->body.len < keep_max)
            text_add(&a->body, piece, (size_t)n < keep_max - a->body.len ? (size_t)n : keep_max - a->body.len);
        if (a->cut)
            return;
    }
    if (n < 0)
        answer_fail(a, (weft_err)n, weft_http_error_text(resp));
}

void fetch_get(struct crawl *c, const char *url, enum keep keep, int64_t max, struct answer *a)
{
    weft_http_response *resp;
    weft_time began = weft_now();
    text_clear(&a->body, BODY_KEEP_MAX);
    a->err = a->status = 0;
    a->bytes = 0;
    a->cut = false;
    a->why[0] = 0;
    char words[200] = "";
    struct weft_http_call call = {.url = url, .reterr_text = words, .reterr_size = sizeof words};
    atomic_fetch_add_explicit(&c->stats.in_flight, 1, memory_order_relaxed);
    weft_err err = weft_http_do(c->kill, c->client, &call, &resp);
    if (err < 0) {
        text_clear(&a->type, 0);
        answer_fail(a, err, words);
    } else {
        a->status = weft_http_status(resp);
        answer_header(&a->type, resp, "content-type");
        answer_header(&a->coding, resp, "content-encoding");
        answer_header(&a->location, resp, "location");
        answer_header(&a->retry_after, resp, "retry-after");
        answer_header_list(&a->robots_tag, resp, "x-robots-tag");
        bool html = !a->type.len || strcasestr(a->type.p, "html");
        bool known = weft_http_decoded(resp);
        size_t keep_max = !known ? 0 : keep == KEEP_ALL ? SIZE_MAX : !html ? 0 : keep == KEEP_TITLES ? TITLE_WITHIN : SIZE_MAX;
        answer_read(c, resp, keep_max, max, a);
        if (!known && !a->err) {
            snprintf(words, sizeof words, "content coding \"%.40s\" is not supported", text_str(&a->coding));
            answer_fail(a, WEFT_EUNSUPPORTED, words);
        }
        weft_http_response_free(resp);
    }
    atomic_fetch_sub_explicit(&c->stats.in_flight, 1, memory_order_relaxed);
    a->ns = weft_now() - began;
}

static bool type_is(const char *type, const char *name)
{
    size_t n = strlen(name);
    return !strncasecmp(type, name, n) && (!type[n] || strchr("; \t", type[n]));
}

bool answer_is_html(const struct answer *a, bool *ret_xhtml)
{
    const char *type = text_str(&a->type);
    *ret_xhtml = type_is(type, "application/xhtml+xml");
    if (*ret_xhtml || type_is(type, "text/html"))
        return true;
    if (*type || !a->body.len)
        return false;
    const char *p = a->body.p + strspn(a->body.p, " \t\r\n\f");
    return !strncasecmp(p, "<!doctype html", 14) || !strncasecmp(p, "<html", 5) || !strncasecmp(p, "<head", 5) ||
           !strncasecmp(p, "<body", 5) || !strncmp(p, "<!--", 4) || !strncasecmp(p, "<title", 6);
}

bool answer_is_redirect(const struct answer *a)
{
    int s = a->status;
    return (s == 301 || s == 302 || s == 303 || s == 307 || s == 308) && a->location.len;
}

int64_t answer_retry_ns(const struct answer *a)
{
    if (a->status != 429 && a->status != 503)
        return -1;
    int64_t ms = retry_after_ms(text_str(&a->retry_after), time(NULL));
    if (ms < 0 || ms > RETRY_MAX / WEFT_MS)
        return -1;
    return ms * WEFT_MS < RETRY_MIN ? RETRY_MIN : ms * WEFT_MS;
}

void answer_done(struct answer *a)
{
    text_done(&a->body);
    text_done(&a->type);
    text_done(&a->coding);
    text_done(&a->location);
    text_done(&a->retry_after);
    text_done(&a->robots_tag);
}
