/*
 * posix_pq.c CONNINFO CONNECTIONS QUERIES - libpq on goroutines.
 *
 *   1  as many goroutines as connections wait for an advisory lock at the same time, by the server's own count
 *   2  QUERIES goroutines share the connections for `select pg_sleep(0.05)`: how many are under way at once is counted. Were each
 *      to hold its processor, it would be as many as there are processors, and a slow machine is no failure, as a time would make it
 *   3  a query is ended by its context, through PQcancel
 */
#include <libpq-fe.h>
#include <stdatomic.h>
#include <weft/weft.h>

#include "posix_e2e.h"

static const char *conninfo;
static _Atomic int under_way, most_under_way; /* of the naps */

static PGconn *dial(void)
{
    PGconn *c = PQconnectdb(conninfo);

    if (PQstatus(c) != CONNECTION_OK)
        die("connect: %s", PQerrorMessage(c));
    return c;
}

static void run(PGconn *c, const char *sql)
{
    PGresult *r = PQexec(c, sql);

    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        die("%s: %s", sql, PQerrorMessage(c));
    PQclear(r);
}

static int number(PGconn *c, const char *sql)
{
    PGresult *r = PQexec(c, sql);

    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        die("%s: %s", sql, PQerrorMessage(c));
    int n = (int)strtol(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return n;
}

static void share_lock(weft_chan(PGconn *) idle)
{
    PGconn *c = dial();

    run(c, "select pg_advisory_lock_shared(42)");
    run(c, "select pg_advisory_unlock_shared(42)");
    weft_send(idle, c);
}

static void nap(weft_chan(PGconn *) idle)
{
    PGconn *c = weft_recv(idle);
    int now = atomic_fetch_add_explicit(&under_way, 1, memory_order_relaxed) + 1;
    int most = atomic_load_explicit(&most_under_way, memory_order_relaxed);

    while (now > most && !atomic_compare_exchange_weak_explicit(&most_under_way, &most, now, memory_order_relaxed, memory_order_relaxed))
        ;
    run(c, "select pg_sleep(0.05)");
    atomic_fetch_sub_explicit(&under_way, 1, memory_order_relaxed);
    weft_send(idle, c);
}

static void all_wait(PGconn *main_conn, weft_chan(PGconn *) idle, int n)
{
    weft_waitgroup wg = {0};

    run(main_conn, "select pg_advisory_lock(42)");
    size_t before = rss_kib();
    for (int i = 0; i < n; i++)
        weft_waitgroup_go(&wg, share_lock, idle);
    while (number(main_conn, "select count(*) from pg_locks where locktype = 'advisory' and not granted") < n)
        weft_sleep(10 * WEFT_MS);
    printf("%d queries wait at the same time on %d processors: %d threads, %zu bytes of user memory each, libpq's included\n", n,
           weft_procs(0), thread_count(), (rss_kib() - before) * 1024 / (size_t)n);
    run(main_conn, "select pg_advisory_unlock(42)");
    weft_waitgroup_wait(&wg);
}

/* ---- cancellation ---- */

static void cancel_query(void *arg)
{
    char why[256];

    if (!PQcancel(arg, why, sizeof why))
        die("PQcancel: %s", why);
}

static void cancel_when_it_runs(weft_ctx *ctx, PGconn *c)
{
    while (number(c, "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(600)%' and pid <> pg_backend_pid()") < 1)
        weft_sleep(5 * WEFT_MS);
    weft_cancel(ctx);
}

static void is_cancelled(PGconn *main_conn, PGconn *c)
{
    weft_ctx *ctx = weft_with_cancel(NULL);
    PGcancel *how = PQgetCancel(c);
    weft_waitgroup wg = {0};

    weft_ctx_after *h = weft_ctx_after_func(ctx, cancel_query, how);
    weft_waitgroup_go(&wg, cancel_when_it_runs, ctx, main_conn);
    PGresult *r = PQexec(c, "select pg_sleep(600)");
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    if (!state || strcmp(state, "57014") != 0)
        die("the query ended with %s, not 57014 (query_canceled)", state ? state : "no state");
    printf("a query was cancelled through its context\n");
    PQclear(r);
    weft_waitgroup_wait(&wg);
    (void)weft_ctx_after_func_stop(h);
    while (weft_num_goroutines() > 1) /* cancel_query has read the server's last word */
        weft_sleep(WEFT_MS);
    PQfreeCancel(how);
    weft_ctx_unref(ctx);
}

int main(int argc, char **argv)
{
    int conns = argc == 4 ? (int)strtol(argv[2], NULL, 10) : 0, queries = conns ? (int)strtol(argv[3], NULL, 10) : 0;
    weft_waitgroup wg = {0};

    if (conns < 1 || queries < 1)
        die("usage: posix_pq CONNINFO CONNECTIONS QUERIES");
    conninfo = argv[1];
    weft_chan(PGconn *) idle = weft_make(PGconn *, conns);
    PGconn *c = dial();
    all_wait(c, idle, conns);
    weft_time begin = weft_now();
    for (int i = 0; i < queries; i++)
        weft_waitgroup_go(&wg, nap, idle);
    weft_waitgroup_wait(&wg);
    weft_dur took = weft_now() - begin;
    int most = atomic_load_explicit(&most_under_way, memory_order_relaxed);
    printf("%d queries of 50 ms over %d connections: %lld ms, up to %d at once\n", queries, conns, (long long)(took / WEFT_MS), most);
    if (most <= 2 * weft_procs(0))
        die("they did not overlap");
    PGconn *other = weft_recv(idle);
    is_cancelled(c, other);
    PQfinish(other);
    for (int i = 1; i < conns; i++)
        PQfinish(weft_recv(idle));
    PQfinish(c);
    weft_free(idle);
    return 0;
}
