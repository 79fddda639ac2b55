/*
 * fetch.c - the weft contestant of bench/fetch.py, bench/tls.py and bench/http2.py: a goroutine for each connection, or each
 * stream, fetching through the public client.
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "fetch_args.h"

static struct fetch_args args;
static weft_http_client *client;
static char url[64];
static _Atomic uint64_t fetches, errors;
static _Atomic bool stop;

/* GET and use up the body where it lies. */
static bool fetch_one(void)
{
    weft_http_response *r;
    const void *piece;
    ssize_t n;
    struct weft_http_call call = {.url = url};
    if (weft_http_do(NULL, client, &call, &r) < 0)
        return false;
    while ((n = weft_http_body_next(NULL, r, &piece)) > 0)
        ;
    bool ok = n == 0 && weft_http_status(r) == 200;
    weft_http_response_free(r);
    return ok;
}

static void worker(void)
{
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        bool ok = fetch_one();
        if (!args.wait)
            atomic_fetch_add_explicit(ok ? &fetches : &errors, 1, memory_order_relaxed);
    }
}

static void nap(double seconds)
{
    weft_sleep((weft_dur)(seconds * 1e9));
}

static int measure(void)
{
    for (int i = 0; i < args.conns; i++) {
        weft_go(worker);
        if (i % 32 == 31)
            nap(0.001);
    }
    nap(args.warm);
    uint64_t n = atomic_load(&fetches);
    double t = fetch_now(), cpu = fetch_cpu();
    nap(args.seconds);
    return fetch_report(atomic_load(&fetches) - n, atomic_load(&errors), fetch_now() - t, fetch_cpu() - cpu);
}

/* The first fetch brings the process's own memory: it is under way before the others are counted. */
static int measure_memory(void)
{
    weft_go(worker);
    nap(0.3);
    double before = fetch_memory();
    for (int i = 0; i < args.conns; i++) {
        weft_go(worker);
        if (i % 32 == 31)
            nap(0.001);
    }
    nap(args.warm);
    return fetch_report_memory(args.conns, before);
}

int main(int argc, char **argv)
{
    fetch_parse(argc, argv, &args);
    struct weft_http_client_opts o = {.idle_per_host_max = args.each ? -1 : args.conns, .idle_max = args.conns,
                                      .timeout = 60 * WEFT_SEC, .http2 = args.h2 ? WEFT_HTTP2_ALWAYS : 0};
    struct weft_tls_config tls = {.ca_file = args.ca, .no_session_cache = args.full};
    if (args.ca)
        o.tls = &tls;
    snprintf(url, sizeof url, "http%s://127.0.0.1:%d/%s", args.ca ? "s" : "", args.port, args.wait ? "slow" : "");
    if (weft_http_client_new(&o, &client) < 0)
        return 1;
    int status = args.wait ? measure_memory() : measure();
    fflush(stdout);
    _exit(status);   /* the goroutines are in the middle of things */
}
