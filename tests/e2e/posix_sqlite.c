/*
 * posix_sqlite.c FILE - SQLite's busy handler sleeps on a goroutine, beside others, on one processor.
 *
 * One goroutine keeps a transaction open and parks; a second wants to write and is kept waiting by the busy handler; a
 * third computes. The first commits only after the third has done its work while the second waited.
 */
#include <sqlite3.h>
#include <weft/weft.h>

#include "posix_e2e.h"

static const char *file;
static _Atomic int busy;

static sqlite3 *open_db(void)
{
    sqlite3 *db;

    if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL) != SQLITE_OK)
        die("open: %s", sqlite3_errmsg(db));
    return db;
}

static void run(sqlite3 *db, const char *sql)
{
    char *why = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        die("%s: %s", sql, why);
}

/* Sleeps as SQLite's own handler does, and counts. */
static int wait_a_little(void *arg, int times)
{
    (void)arg, (void)times;
    atomic_fetch_add_explicit(&busy, 1, memory_order_relaxed);
    sqlite3_sleep(2);
    return 1;
}

static void write_row(weft_chan(int) done)
{
    sqlite3 *db = open_db();

    sqlite3_busy_handler(db, wait_a_little, NULL);
    run(db, "insert into t values (2)");
    sqlite3_close(db);
    weft_send(done, 1);
}

static void compute(weft_chan(int) done)
{
    volatile unsigned x = 1;

    while (atomic_load_explicit(&busy, memory_order_relaxed) < 5) /* the other is being kept waiting meanwhile */
        for (int i = 0; i < 10000; i++)
            x = x * 1664525u + 1013904223u;
    weft_send(done, 2);
}

static int count_rows(void *arg, int n, char **value, char **name)
{
    (void)n, (void)name;
    *(int *)arg = (int)strtol(value[0], NULL, 10);
    return 0;
}

int main(int argc, char **argv)
{
    int rows = 0;

    if (argc != 2)
        die("usage: posix_sqlite FILE");
    file = argv[1];
    weft_chan(int) wrote = weft_make(int), computed = weft_make(int);
    sqlite3 *db = open_db();
    run(db, "create table t (n int)");
    run(db, "begin immediate");
    run(db, "insert into t values (1)");
    weft_go(write_row, wrote);
    weft_go(compute, computed);
    (void)weft_recv(computed); /* parks with the transaction open */
    run(db, "commit");
    (void)weft_recv(wrote);
    if (sqlite3_exec(db, "select count(*) from t", count_rows, &rows, NULL) != SQLITE_OK || rows != 2)
        die("%d rows, not 2", rows);
    printf("the busy handler slept %d times while another goroutine computed on %d processor\n",
           atomic_load_explicit(&busy, memory_order_relaxed), weft_procs(0));
    sqlite3_close(db);
    weft_free(wrote);
    weft_free(computed);
    return 0;
}
