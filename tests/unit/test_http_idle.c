/*
 * test_http_idle.c - connections of a server that wait for a request: without a goroutine, and woken in every way.
 *
 * The clients are connections of the test's own goroutine, so what weft_num_goroutines counts besides is the server's.
 */
#include "../../src/net/conn_int.h"
#include "http_site.h"
#include "net_pair.h"

enum { CONNS = 40 };

static void hello(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    if (strcmp(weft_http_request_path(rq), "/panic") == 0)
        weft_panic("as asked");
    if (strcmp(weft_http_request_path(rq), "/goexit") == 0)
        weft_goexit();
    (void)weft_http_reply_text(w, 200, "text/plain", "hello\n");
}

/* One request and its whole answer. */
static void ask(weft_conn *c, const char *request)
{
    char out[1024];
    size_t n = 0;
    REQUIRE(weft_conn_write(NULL, c, request, strlen(request)) > 0);
    for (out[0] = '\0'; n < sizeof out - 1 && !strstr(out, "hello\n"); out[n] = '\0') {
        ssize_t got = weft_conn_read(NULL, c, out + n, sizeof out - 1 - n);
        REQUIRE(got > 0);
        n += (size_t)got;
    }
}

/* Until only this goroutine and the one that accepts are left. */
static void until_all_idle(void)
{
    for (int i = 0; i < 10000 && weft_num_goroutines() > 2; i++)
        weft_sleep(WEFT_MS);
    EXPECT_EQ(weft_num_goroutines(), 2);
}

static void open_all(struct site *s, weft_conn **c)
{
    for (int i = 0; i < CONNS; i++) {
        c[i] = site_dial(s);
        ask(c[i], GET("/"));
    }
}

static void close_all(weft_conn **c)
{
    for (int i = 0; i < CONNS; i++)
        (void)weft_conn_close(c[i]);
}

TEST(http_idle, connections_between_requests_hold_no_goroutine)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = hello};
    weft_conn *c[CONNS];

    site_start(&s, &o);
    open_all(&s, c);
    for (int round = 0; round < 3; round++) {
        until_all_idle();
        for (int i = 0; i < CONNS; i++)
            ask(c[i], GET("/"));
    }
    until_all_idle();
    close_all(c);
    site_stop(&s);
}

TEST(http_idle, a_connection_that_has_not_asked_yet_holds_none_either)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = hello};
    weft_conn *c[CONNS];

    site_start(&s, &o);
    for (int i = 0; i < CONNS; i++)
        c[i] = site_dial(&s);
    until_all_idle();
    for (int i = 0; i < CONNS; i++)
        ask(c[i], GET("/"));
    close_all(c);
    site_stop(&s);
}

TEST(http_idle, the_limit_closes_idle_connections)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = hello, .idle_timeout = 20 * WEFT_MS};
    weft_conn *c[CONNS];
    char byte;

    site_start(&s, &o);
    for (int i = 0; i < CONNS; i++)
        c[i] = site_dial(&s);
    for (int i = 0; i < CONNS; i++)
        EXPECT(weft_conn_read(NULL, c[i], &byte, 1) == 0);
    close_all(c);
    site_stop(&s);
}

TEST(http_idle, shutdown_closes_idle_connections_at_once)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = hello};
    weft_conn *c[CONNS];
    char byte;

    site_start(&s, &o);
    open_all(&s, c);
    until_all_idle();
    site_stop(&s);
    for (int i = 0; i < CONNS; i++)
        EXPECT(weft_conn_read(NULL, c[i], &byte, 1) <= 0);
    close_all(c);
}

TEST(http_idle, a_woken_connection_may_panic_or_exit)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = hello};
    weft_conn *c[CONNS];

    site_start(&s, &o);
    open_all(&s, c);
    until_all_idle();
    for (int i = 0; i < CONNS; i++) {
        const char *rq = i % 2 ? GET("/panic") : GET("/goexit");
        REQUIRE(weft_conn_write(NULL, c[i], rq, strlen(rq)) > 0);
    }
    for (int i = 0; i < CONNS; i++) {
        char out[1024];
        while (weft_conn_read(NULL, c[i], out, sizeof out) > 0)
            ;
    }
    until_all_idle();
    close_all(c);
    site_stop(&s);
}

static void client(struct site *s, int requests, weft_waitgroup *wg)
{
    weft_conn *c = site_dial(s);
    for (int i = 0; i < requests; i++)
        ask(c, GET("/"));
    (void)weft_conn_close(c);
    weft_waitgroup_done(wg);
}

/* Closing, the limit, a first byte and the next wait meet in every order. */
TEST(http_idle, requests_closes_and_a_shutdown_may_race)
{
    for (int round = 0; round < 5; round++) {
        struct site s;
        struct weft_http_server_opts o = {.handler = hello};
        weft_waitgroup wg = {0};

        site_start(&s, &o);
        weft_waitgroup_add(&wg, CONNS);
        for (int i = 0; i < CONNS; i++)
            weft_go(client, &s, 1 + i % 7, &wg);
        weft_waitgroup_wait(&wg);
        site_stop(&s);
    }
}

/* ---- the wait itself ---- */

struct waiter {
    struct weft__starter start;
    weft_conn *conn;
    weft_chan(int) out;
};

static void waiter_woken(void *arg)
{
    struct waiter *w = arg;
    weft_send(w->out, weft__conn_started(w->conn));
}

/* How a wait on the second of a pair ended; what happens is up to act. */
static int wait_while(void (*act)(struct net_pair *p))
{
    struct net_pair p = net_pair("tcp");
    struct waiter w = {.start = {.fn = waiter_woken, .arg = &w}, .conn = p.b, .out = weft_make(int, 1)};
    weft_err err = weft__conn_wait_start(p.b, &w.start);

    EXPECT_EQ(err, 1);
    EXPECT_EQ(weft_conn_wait(NULL, p.b, WEFT_READ), WEFT_EBUSY);   /* the direction is taken */
    act(&p);
    err = weft_recv(w.out);
    weft_free(w.out);
    net_pair_close(&p);
    return err;
}

static void act_write(struct net_pair *p)
{
    EXPECT_EQ(weft_conn_write(NULL, p->a, "x", 1), 1);
}

static void act_deadline(struct net_pair *p)
{
    EXPECT_EQ(weft_conn_set_read_deadline(p->b, weft_now() + WEFT_MS), 0);
}

static void act_past(struct net_pair *p)
{
    EXPECT_EQ(weft_conn_set_read_deadline(p->b, weft_now() - 1), 0);
}

static void act_end(struct net_pair *p)
{
    EXPECT_EQ(weft_conn_close_write(p->a), 0);
}

static void act_close(struct net_pair *p)
{
    (void)weft_conn_ref(p->b);   /* waiter_woken still asks it */
    EXPECT_EQ(weft_conn_close(p->b), 0);
}

TEST(http_idle, a_wait_without_a_goroutine_ends_as_one_with)
{
    EXPECT_EQ(wait_while(act_write), 0);
    EXPECT_EQ(wait_while(act_end), 0);
    EXPECT_EQ(wait_while(act_deadline), WEFT_EDEADLINE);
    EXPECT_EQ(wait_while(act_past), WEFT_EDEADLINE);
    EXPECT_EQ(wait_while(act_close), WEFT_ECLOSED);
}
