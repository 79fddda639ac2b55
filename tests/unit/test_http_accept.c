/* When a server accepts: with a client's first bytes, or at once; and what a client meets that speaks while the server stops. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "http/server_int.h"
#include "http_site.h"

static char order[8];                  /* the first letters of the paths asked for, as they came */
static atomic_int order_len;

static void note(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    int i = atomic_fetch_add(&order_len, 1);
    if (i < (int)sizeof order - 1)
        order[i] = weft_http_request_path(rq)[1];
    (void)weft_http_reply_text(w, 200, "text/plain", "yes");
}

static const struct weft_http_server_opts early = {.handler = note, .accept_silent = true};
static const struct weft_http_server_opts late = {.handler = note};

static uint32_t connections(struct site *s)
{
    weft__lock(&s->server->lock);
    uint32_t n = s->server->conns_len;
    weft__unlock(&s->server->lock);
    return n;
}

static bool accepting(struct site *s)
{
    weft__lock(&s->server->lock);
    bool yes = s->server->serving != 0;
    weft__unlock(&s->server->lock);
    return yes;
}

/* The seconds of TCP_DEFER_ACCEPT that the site's listener has, once it is served. */
static int deferred(struct site *s)
{
    int value = -1;
    socklen_t len = sizeof value;
    weft_conn *c = site_dial(s);       /* who is answered was accepted: the option was set before */
    char byte;
    EXPECT(weft_conn_write(NULL, c, LAST("/x"), sizeof LAST("/x") - 1) > 0);
    EXPECT_EQ(weft_conn_read(NULL, c, &byte, 1), 1);
    (void)weft_conn_close(c);
    weft__lock(&s->server->lock);
    struct weft__fd *f = (struct weft__fd *)s->server->listeners[0];   /* a listener begins with it */
    EXPECT_EQ(getsockopt(f->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, &len), 0);
    weft__unlock(&s->server->lock);
    return value;
}

TEST(http_accept, waits_for_the_first_bytes_unless_told_not_to)
{
    struct site s;
    site_start(&s, &late);
    EXPECT(deferred(&s) > 0);
    site_stop(&s);
    site_start(&s, &early);
    EXPECT_EQ(deferred(&s), 0);
    site_stop(&s);
}

static void ask_into(weft_conn *c, const char *request, bool *ret_yes)
{
    char buf[512];
    size_t n = 0;
    ssize_t r = weft_conn_write(NULL, c, request, strlen(request));
    while (r > 0 && n < sizeof buf - 1 && (r = weft_conn_read(NULL, c, buf + n, sizeof buf - 1 - n)) > 0)
        n += (size_t)r;
    buf[n] = '\0';
    *ret_yes = r == 0 && strstr(buf, "\r\n\r\nyes") != NULL;
}

/* A holds the only place though it is silent, and B is the one who waits. */
TEST(http_accept, a_silent_client_counts_where_it_is_accepted_at_once)
{
    struct site s;
    struct weft_http_server_opts o = early;
    o.conns_max = 1;
    site_start(&s, &o);
    while (!accepting(&s))
        weft_yield();
    weft_conn *a = site_dial(&s), *b = site_dial(&s);
    bool a_yes = false, b_yes = false;
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, ask_into, b, LAST("/b"), &b_yes);
    while (connections(&s) == 0)
        weft_sleep(WEFT_MS);
    ask_into(a, LAST("/a"), &a_yes);
    weft_waitgroup_wait(&wg);
    EXPECT(a_yes && b_yes);
    EXPECT_STR(order, "ab");
    (void)weft_conn_close(a);
    (void)weft_conn_close(b);
    site_stop(&s);
}

static void stop(struct site *s, weft_waitgroup *wg)
{
    site_stop(s);
    weft_waitgroup_done(wg);
}

/* A request that meets a shutdown: was it answered whole, or ended before a byte of an answer? */
static bool meet(struct site *s, int wait_us)
{
    weft_conn *c = site_dial(s);
    weft_waitgroup wg = {0};
    char buf[512];
    size_t n = 0;
    ssize_t r;
    weft_waitgroup_add(&wg, 1);
    weft_go(stop, s, &wg);
    weft_sleep(wait_us * WEFT_US);
    r = weft_conn_write(NULL, c, GET("/m"), sizeof GET("/m") - 1);
    while (r > 0 && n < sizeof buf - 1 && (r = weft_conn_read(NULL, c, buf + n, sizeof buf - 1 - n)) > 0)
        n += (size_t)r;
    weft_waitgroup_wait(&wg);
    (void)weft_conn_close(c);
    buf[n] = '\0';
    if (n)
        return strstr(buf, "\r\n\r\nyes") != NULL;
    return r == 0 || r == -ECONNRESET || r == -EPIPE;
}

/* A connection that was not accepted yet is reset with the listener, or by its first bytes later: nothing hangs, nothing is half
 * answered, and a client knows that it may ask again elsewhere. */
TEST(http_accept, who_speaks_while_the_server_stops_is_answered_or_turned_away)
{
    for (int i = 0; i < 60; i++) {
        struct site s;
        site_start(&s, i % 2 ? &early : &late);
        while (!accepting(&s))
            weft_yield();
        EXPECT(meet(&s, i / 2 * 10));
    }
}

/* The request comes only when the server is gone. */
TEST(http_accept, who_speaks_after_the_server_has_stopped_is_told_so)
{
    for (int i = 0; i < 2; i++) {
        struct site s;
        char byte;
        site_start(&s, i ? &early : &late);
        while (!accepting(&s)) /* or it is stopped before it has begun */
            weft_yield();
        weft_conn *c = site_dial(&s);
        site_stop(&s);
        ssize_t n = weft_conn_write(NULL, c, GET("/m"), sizeof GET("/m") - 1);
        if (n > 0)
            n = weft_conn_read(NULL, c, &byte, 1);
        EXPECT(n == 0 || n == -ECONNRESET || n == -EPIPE);
        (void)weft_conn_close(c);
    }
}
