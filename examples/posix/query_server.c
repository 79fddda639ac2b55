/*
 * query_server.c CONNINFO - a web server whose pages are queries, by plain libpq on goroutines; a query ends with its client.
 *
 * libpq blocks. With libweft-posix linked its goroutine's processor goes on to the others, and nothing here is asynchronous.
 * Each request has a context, which is cancelled when the client goes away: then PQcancel asks the data base to stop.
 *
 *   GET /sleep?s=SECONDS    a query that takes so long
 *   GET /busy               how many queries of /sleep the data base is at
 *
 * Prints its address, and a line for each query that ended with its client. Ends at SIGINT or SIGTERM.
 * Build    cc query_server.c $(pkg-config --cflags --libs weft-posix weft libpq) -o query_server
 */
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

enum { CONNECTIONS = 8 };
static weft_chan(PGconn *) pool;

struct stopper {
    PGcancel *how;
    weft_chan(char) done;
};

/* Runs on a goroutine of its own when the request's context ends. */
static void stop_query(void *arg)
{
    struct stopper *s = arg;
    char why[256];

    if (!PQcancel(s->how, why, sizeof why))
        fprintf(stderr, "PQcancel: %s\n", why);
    weft_close(s->done);
}

/* PQexecParams that ends with ctx. The caller clears the result. */
static PGresult *query(weft_ctx *ctx, PGconn *db, const char *sql, const char *arg)
{
    struct stopper s = {PQgetCancel(db), weft_make(char)};
    weft_ctx_after *h = weft_ctx_after_func(ctx, stop_query, &s);
    PGresult *r = PQexecParams(db, sql, arg ? 1 : 0, NULL, &arg, NULL, NULL, 0);

    if (!weft_ctx_after_func_stop(h))   /* it has begun: it must not meet the next query of this connection */
        (void)weft_recv(s.done);
    weft_free(s.done);
    PQfreeCancel(s.how);
    return r;
}

static void give_back(PGconn *db)
{
    if (PQstatus(db) != CONNECTION_OK)
        PQreset(db);
    weft_send(pool, db);
}

static void answer(weft_http_request *rq, weft_http_writer *w, const char *sql, const char *arg)
{
    PGconn *db = weft_recv(pool);
    weft_defer(give_back, db);
    PGresult *r = query(weft_http_request_ctx(rq), db, sql, arg);
    weft_defer(PQclear, r);
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        weft_http_reply_text(w, 200, "text/plain", PQgetvalue(r, 0, 0));
    } else if (state && strcmp(state, "57014") == 0) { /* query_canceled: nobody is there to be told */
        printf("a query ended with its client\n");
        fflush(stdout);
    } else {
        weft_http_reply_text(w, 500, "text/plain", PQresultErrorMessage(r));
    }
}

static void sleep_page(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    const char *q = weft_http_request_query(rq);

    (void)arg;
    answer(rq, w, "select pg_sleep($1), 'slept'", q && strncmp(q, "s=", 2) == 0 ? q + 2 : "1");
}

static void busy_page(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    answer(rq, w, "select count(*) from pg_stat_activity "
                  "where state = 'active' and query like '%pg_sleep($1)%' and pid <> pg_backend_pid()", NULL);
}

static void serve(weft_http_server *server, weft_listener *ln)
{
    if (weft_http_serve(NULL, server, ln) < 0)
        puts("the server failed");
}

static bool connect_all(const char *conninfo)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        PGconn *db = PQconnectdb(conninfo);
        weft_send(pool, db);
        if (PQstatus(db) != CONNECTION_OK) {
            fprintf(stderr, "%s", PQerrorMessage(db));
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    weft_http_mux *mux;
    weft_http_server *server;
    weft_listener *ln;
    weft_waitgroup serving = {0};
    weft_chan(int) stop = weft_make(int, 1);
    char addr[WEFT_ADDR_TEXT];

    pool = weft_make(PGconn *, CONNECTIONS);
    if (argc != 2 || !connect_all(argv[1]) || weft_http_mux_new(&mux) < 0 ||
        weft_http_mux_handle(mux, "GET /sleep", sleep_page, NULL) < 0 || weft_http_mux_handle(mux, "GET /busy", busy_page, NULL) < 0)
        return 1;
    struct weft_http_server_opts opts = {.handler = weft_http_mux_handler, .arg = mux};
    if (weft_http_server_new(&opts, &server) < 0 || weft_listen(&ln, "tcp", "127.0.0.1:0") < 0 ||
        weft_listener_addr(ln, addr, sizeof addr) < 0)
        return 1;
    weft_signal_notify(stop, SIGINT, SIGTERM);
    weft_waitgroup_go(&serving, serve, server, ln);
    printf("http://%s\n", addr);
    fflush(stdout);
    (void)weft_recv(stop);
    weft_http_server_shutdown(NULL, server);
    weft_waitgroup_wait(&serving);
    weft_http_server_free(server);
    weft_http_mux_free(mux);
    for (int i = 0; i < CONNECTIONS; i++)
        PQfinish(weft_recv(pool));
    weft_signal_stop(stop);
    weft_free(stop);
    weft_free(pool);
    puts("stopped");
    return 0;
}
