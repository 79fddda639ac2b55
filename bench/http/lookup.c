/*
 * lookup.c - what a name costs: CONNS goroutines look up names that nobody knows yet; then one name that is known.
 *
 * Role    For bench/fetch.py, beside bench/floor/names.c. -W: the known name, CPU time of one lookup from the cache.
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "fetch_args.h"

static struct fetch_args args;
static _Atomic uint64_t lookups, errors;
static _Atomic uint32_t number;
static _Atomic bool stop;

static void worker(void)
{
    weft_addr a[4];
    char name[32];
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        snprintf(name, sizeof name, "n%u.test", atomic_fetch_add_explicit(&number, 1, memory_order_relaxed));
        atomic_fetch_add_explicit(weft_resolve(NULL, name, a, 4) == 1 ? &lookups : &errors, 1, memory_order_relaxed);
    }
}

static int known(void)
{
    enum { N = 2000000 };
    weft_addr a[4];
    uint64_t bad = 0;
    double t = fetch_now(), cpu = fetch_cpu();
    for (int i = 0; i < N; i++)
        bad += weft_resolve(NULL, "www.known.test", a, 4) != 1;
    return fetch_report(N, bad, fetch_now() - t, fetch_cpu() - cpu);
}

int main(int argc, char **argv)
{
    char server[32];
    fetch_parse(argc, argv, &args);
    snprintf(server, sizeof server, "127.0.0.1:%d", args.port);
    if (weft_resolver_configure(&(struct weft_resolver_opts){.servers = server}) < 0)
        return 1;
    int status;
    if (args.wait) {
        status = known();
    } else {
        for (int i = 0; i < args.conns; i++)
            weft_go(worker);
        weft_sleep((weft_dur)(args.warm * 1e9));
        uint64_t n = atomic_load(&lookups);
        double t = fetch_now(), cpu = fetch_cpu();
        weft_sleep((weft_dur)(args.seconds * 1e9));
        status = fetch_report(atomic_load(&lookups) - n, atomic_load(&errors), fetch_now() - t, fetch_cpu() - cpu);
    }
    fflush(stdout);
    _exit(status);
}
