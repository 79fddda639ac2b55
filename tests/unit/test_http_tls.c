/* https, both sides. Source: RFC 9110 4.2.2, 4.3.4; Go net/http. The handshake's own tests are in test_tls.c. */
#include "http_cert.h"
#include "http_peer.h"

static void hello(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)rq, (void)arg;
    (void)weft_http_reply_text(w, 200, "text/plain", "over TLS\n");
}

static void serve(weft_http_server *s, weft_listener *ln)
{
    EXPECT_EQ(weft_http_serve(NULL, s, ln), 0);
}

TEST(http_tls, https_is_served_fetched_and_reused_and_checked)
{
    struct cert c;
    weft_http_server *s;
    weft_listener *ln;
    weft_waitgroup wg = {0};
    char url[WEFT_ADDR_TEXT + 16] = "https://", body[64], why[256];
    cert_make(&c);
    struct weft_tls_config server_tls = {.cert_file = c.crt, .key_file = c.key}, client_tls = {.ca_file = c.crt};
    REQUIRE(weft_http_server_new(&(struct weft_http_server_opts){.handler = hello, .tls = &server_tls}, &s) == 0);
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(ln, url + 8, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&wg, serve, s, ln);

    weft_http_client *client = client_with(&(struct weft_http_client_opts){.tls = &client_tls});
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(fetch(client, url, body, sizeof body), 200);
        EXPECT_STR(body, "over TLS\n");
    }
    weft_http_response *r;
    struct weft_http_times t;
    REQUIRE(weft_http_get(NULL, client, url, &r) == 0);
    weft_http_times(r, &t);
    EXPECT(t.reused && t.tls == 0);
    weft_http_response_free(r);
    weft_http_client_free(client);

    client = client_with(NULL);   /* does not trust it */
    struct weft_http_call call = {.url = url, .reterr_text = why, .reterr_size = sizeof why};
    EXPECT_EQ(weft_http_do(NULL, client, &call, &r), WEFT_ECERT);
    EXPECT(strncmp(why, "TLS: ", 5) == 0 && strstr(why, "certificate"));
    weft_http_client_free(client);

    memmove(url + 4, url + 5, strlen(url + 4));   /* http to the TLS port */
    EXPECT_EQ(fetch(NULL, url, body, sizeof body), 400);
    EXPECT_STR(body, "Client sent an HTTP request to an HTTPS server.\n");
    EXPECT_EQ(weft_http_server_shutdown(NULL, s), 0);
    weft_waitgroup_wait(&wg);
    weft_http_server_free(s);
    cert_drop(&c);
}

/* ---- a server with many connections ---- */

struct tls_site {
    struct cert c;
    weft_http_server *s;
    weft_listener *ln;
    weft_waitgroup wg;
    struct weft_tls_config server_tls, client_tls;
    char url[WEFT_ADDR_TEXT + 16];
};

static void site_open(struct tls_site *t, struct weft_http_server_opts opts)
{
    *t = (struct tls_site){.url = "https://"};
    cert_make(&t->c);
    t->server_tls = (struct weft_tls_config){.cert_file = t->c.crt, .key_file = t->c.key};
    t->client_tls = (struct weft_tls_config){.ca_file = t->c.crt, .server_name = "127.0.0.1"};
    opts.handler = hello;
    opts.tls = &t->server_tls;
    REQUIRE(weft_http_server_new(&opts, &t->s) == 0);
    REQUIRE(weft_listen(&t->ln, "tcp", "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(t->ln, t->url + 8, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&t->wg, serve, t->s, t->ln);
}

static void site_close(struct tls_site *t)
{
    EXPECT_EQ(weft_http_server_shutdown(NULL, t->s), 0);
    weft_waitgroup_wait(&t->wg);
    weft_http_server_free(t->s);
    cert_drop(&t->c);
}

static weft_conn *site_dial(struct tls_site *t)
{
    weft_conn *c;
    REQUIRE(weft_dial(NULL, "tcp", t->url + 8, &c) == 0);
    return c;
}

/* A request and its whole answer; false where the server has ended the connection. */
static bool asked(weft_conn *c, const char *more)
{
    char buf[1024];
    size_t len = 0;
    int n = snprintf(buf, sizeof buf, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", more);
    if (weft_conn_write(NULL, c, buf, (size_t)n) != n)
        return false;
    while (len < 9 || memcmp(buf + len - 9, "over TLS\n", 9) != 0) {
        ssize_t got = weft_conn_read(NULL, c, buf + len, sizeof buf - len);
        if (got <= 0)
            return false;
        len += (size_t)got;
    }
    return true;
}

static void ask(weft_conn *c, const char *more)
{
    REQUIRE(asked(c, more));
}

/* Goroutines come and go until the last request is done with: the count must get down to most. */
static void expect_goroutines(int most)
{
    while ((int)weft_num_goroutines() > most)
        weft_sleep(WEFT_MS);
}

enum { MANY = 100 };

TEST(http_tls, an_idle_connection_of_tls_holds_no_goroutine)
{
    struct tls_site t;
    weft_conn *c[MANY];
    site_open(&t, (struct weft_http_server_opts){0});
    int before = (int)weft_num_goroutines();
    for (int i = 0; i < MANY; i++) {
        c[i] = site_dial(&t);
        REQUIRE(weft_tls_client(NULL, c[i], &t.client_tls, &c[i]) == 0);
        ask(c[i], "");
    }
    expect_goroutines(before);
    for (int i = 0; i < MANY; i++)
        ask(c[i], "");
    expect_goroutines(before);
    for (int i = 0; i < MANY; i++)
        weft_conn_close(c[i]);
    site_close(&t);
}

TEST(http_tls, a_client_that_says_nothing_costs_no_goroutine_and_is_ended)
{
    struct tls_site t;
    weft_conn *c[MANY];
    char byte;
    site_open(&t, (struct weft_http_server_opts){.head_timeout = WEFT_SEC});
    int before = (int)weft_num_goroutines();
    for (int i = 0; i < MANY; i++)
        c[i] = site_dial(&t);
    weft_conn *last = site_dial(&t);   /* those before it have been accepted when it is served */
    while (weft_tls_client(NULL, last, &t.client_tls, &last) != 0 || !asked(last, "")) {   /* the limit is for it too, on a busy machine */
        weft_conn_close(last);
        last = site_dial(&t);
    }
    expect_goroutines(before);
    for (int i = 0; i < MANY; i++) {
        EXPECT(weft_conn_read(NULL, c[i], &byte, 1) <= 0);
        weft_conn_close(c[i]);
    }
    weft_conn_close(last);
    site_close(&t);
}

TEST(http_tls, a_handshake_that_stalls_is_ended_by_the_time_limit)
{
    struct tls_site t;
    weft_conn *c[10];
    char buf[64];
    site_open(&t, (struct weft_http_server_opts){.head_timeout = WEFT_SEC / 2});
    for (int i = 0; i < 10; i++) {
        c[i] = site_dial(&t);
        EXPECT_EQ(weft_conn_write(NULL, c[i], "\x16\x03\x01\x02\x00\x01", 6), 6);
    }
    for (int i = 0; i < 10; i++) {
        while (weft_conn_read(NULL, c[i], buf, sizeof buf) > 0)
            ;
        weft_conn_close(c[i]);
    }
    site_close(&t);
}

TEST(http_tls, a_server_ends_with_its_farewell)
{
    struct tls_site t;
    char byte;
    site_open(&t, (struct weft_http_server_opts){.idle_timeout = 2 * WEFT_SEC});
    for (int i = 0; i < 2; i++) {   /* after the answer, and when it has been idle for too long */
        weft_conn *c = site_dial(&t);
        REQUIRE(weft_tls_client(NULL, c, &t.client_tls, &c) == 0);
        ask(c, i ? "" : "Connection: close\r\n");
        EXPECT_EQ(weft_conn_read(NULL, c, &byte, 1), 0);
        weft_conn_close(c);
    }
    site_close(&t);
}

/* ---- records that come in halves ---- */

struct halves {
    weft_conn *a, *b;
    atomic_bool hold;            /* of what comes next from a to b, the second half waits for go */
    weft_chan(int) held, go;
    weft_waitgroup wg;
};

static void halves_way(struct halves *h, bool back)
{
    weft_conn *from = back ? h->b : h->a, *to = back ? h->a : h->b;
    char buf[8192];
    ssize_t n;
    while ((n = weft_conn_read(NULL, from, buf, sizeof buf)) > 0) {
        ssize_t first = !back && atomic_load(&h->hold) ? n / 2 : n;
        EXPECT_EQ(weft_conn_write(NULL, to, buf, (size_t)first), first);
        if (first == n)
            continue;
        weft_send(h->held, 1);
        (void)weft_recv(h->go);
        EXPECT_EQ(weft_conn_write(NULL, to, buf + first, (size_t)(n - first)), n - first);
    }
    weft_conn_close_write(to);
}

TEST(http_tls, half_a_record_waits_without_a_goroutine)
{
    struct tls_site t;
    char addr[WEFT_ADDR_TEXT];
    weft_listener *ln;
    weft_conn *c;
    struct halves h = {.held = weft_make(int), .go = weft_make(int)};
    site_open(&t, (struct weft_http_server_opts){0});
    int before = (int)weft_num_goroutines();
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0 && weft_listener_addr(ln, addr, sizeof addr) > 0);
    REQUIRE(weft_dial(NULL, "tcp", addr, &c) == 0 && weft_accept(NULL, ln, &h.a) == 0);
    h.b = site_dial(&t);
    weft_waitgroup_go(&h.wg, halves_way, &h, false);
    weft_waitgroup_go(&h.wg, halves_way, &h, true);
    REQUIRE(weft_tls_client(NULL, c, &t.client_tls, &c) == 0);
    ask(c, "");
    weft_waitgroup wg = {0};
    atomic_store(&h.hold, true);
    weft_waitgroup_go(&wg, ask, c, "X-More: 1\r\n");
    (void)weft_recv(h.held);
    expect_goroutines(before + 3);   /* the relay's two and the one that asks */
    atomic_store(&h.hold, false);
    weft_send(h.go, 1);
    weft_waitgroup_wait(&wg);
    weft_conn_close(c);
    weft_waitgroup_wait(&h.wg);
    weft_conn_close(h.a);
    weft_conn_close(h.b);
    weft_listener_close(ln);
    weft_free(h.held);
    weft_free(h.go);
    site_close(&t);
}

TEST(http_tls, what_a_server_says_unasked_is_no_answer)
{
    struct cert k;
    cert_make(&k);
    struct weft_tls_config server = {.cert_file = k.crt, .key_file = k.key, .alpn = "http/1.1"}, client = {.ca_file = k.crt};
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.tls = &client});
    loud_ask(c, &server);
    weft_http_client_free(c);
    cert_drop(&k);
}
