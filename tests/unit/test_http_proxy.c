/* Proxies of the HTTP client: which one, and what is said to it. Source: RFC 9110 9.3.6, RFC 9112 3.2.2, RFC 1928, 1929. */
#include "../../src/http/proxy.h"
#include "http_cert.h"
#include "http_site.h"

#define OK2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

static weft_http_client *proxied(const char *scheme, const char *user, const struct peer *p)
{
    char text[256];
    snprintf(text, sizeof text, "%s%s%s", scheme, user, p->url + 7);
    return client_with(&(struct weft_http_client_opts){.proxy = text});
}

static int fetch_why(weft_http_client *c, const char *url, char *why, size_t n)
{
    weft_http_response *r;
    struct weft_http_call call = {.url = url, .reterr_text = why, .reterr_size = n};
    int err = weft_http_do(NULL, c, &call, &r);
    if (err == 0) {
        err = weft_http_status(r);
        weft_http_response_free(r);
    }
    return err;
}

TEST(http_proxy, plain_requests_name_the_whole_url)
{
    struct peer p;
    PEER_START(&p, {OK2}, {OK2}, {OK2});
    weft_http_client *c = proxied("http://", "us%3aer:p%40ss@", &p);
    char body[64];
    EXPECT_EQ(fetch(c, "http://nowhere.test:8080/a?b#c", body, sizeof body), 200);
    EXPECT(strncmp(peer_last(&p), "GET http://nowhere.test:8080/a?b HTTP/1.1\r\nHost: nowhere.test:8080\r\n", 67) == 0);
    EXPECT(strstr(peer_last(&p), "Proxy-Authorization: Basic dXM6ZXI6cEBzcw==\r\n") != NULL);
    EXPECT_EQ(fetch(c, "http://nowhere.test:8080/d", body, sizeof body), 200);
    EXPECT_EQ(atomic_load(&p.conns), 1);
    weft_http_client_free(c);
    c = proxied("", "", &p);   /* no scheme: http */
    EXPECT_EQ(fetch(c, "http://nowhere.test", body, sizeof body), 200);
    EXPECT(strncmp(peer_last(&p), "GET http://nowhere.test/ HTTP/1.1\r\n", 35) == 0 && !strstr(peer_last(&p), "Proxy-Auth"));
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_proxy, a_refusing_or_odd_proxy_is_an_error_with_words)
{
    struct peer p;
    PEER_START(&p, {"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"}, {"HTTP/1.1 403 No\r\n\r\n"},
               {"HTTP/1.1 502 Bad\r\n\r\n"}, {"SSH-2.0\r\n\r\n"}, {"HTTP/1.1 200 OK\r\n\r\nearly bird"}, {.close = true},
               {"HTTP/1.1 200 OK\r\n", .close = true});
    static const char *const want[] = {"proxy: the proxy wants a user and a password (407)", "proxy: the proxy refused (4xx)",
        "proxy: the proxy failed (5xx)", "proxy: the proxy does not speak HTTP/1", "proxy: the proxy says more than was asked",
        "proxy: the proxy ended the connection", "proxy: the proxy ended the connection"};
    weft_http_client *c = proxied("http://", "", &p);
    char why[128];
    for (int i = 0; i < p.answers_len; i++) {
        EXPECT_EQ(fetch_why(c, "https://[::1]:8443/", why, sizeof why), i < 5 ? WEFT_EPROTO : WEFT_EEOF);
        EXPECT_STR(why, want[i]);
        EXPECT(strncmp(peer_last(&p), "CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n", 49) == 0);
    }
    weft_http_client_free(c);
    peer_stop(&p);
}

/* ---- a proxy that passes on ---- */

/* Started until stopped: what its goroutine notes is looked at after its stop only, as a socket is no edge for ThreadSanitizer. */
struct passer {
    weft_listener *ln;
    char addr[WEFT_ADDR_TEXT];
    weft_mutex lock;
    char target[WEFT_ADDR_TEXT];   /* [lock] */
    int conns;                 /* noted */
    unsigned char seen[600];   /* noted: of the last connection */
    size_t seen_len;           /* noted */
    const char *user;          /* SOCKS5: wants this user */
    int refuse;                /* SOCKS5: the reply */
    bool http;
    const struct weft_tls_config *tls;   /* is spoken to over TLS; or NULL */
    weft_chan(size_t) back;    /* gets the bytes of each connection that came from the target; or NULL */
    weft_waitgroup wg;
};

static void pass_on(weft_conn *from, weft_conn *to, size_t *ret_bytes)
{
    char buf[4096];
    ssize_t n;
    size_t sum = 0;
    while ((n = weft_conn_read(NULL, from, buf, sizeof buf)) > 0 && weft_conn_write(NULL, to, buf, (size_t)n) >= 0)
        sum += (size_t)n;
    (void)weft_conn_close_write(to);
    *ret_bytes = sum;
}

/* Reads n bytes of what the client says, kept in seen. */
static const unsigned char *hear(struct passer *p, weft_conn *c, size_t n)
{
    unsigned char *at = p->seen + p->seen_len;
    if (weft_conn_read_full(NULL, c, at, n) != (ssize_t)n)
        return NULL;
    p->seen_len += n;
    return at;
}

static bool socks_hello(struct passer *p, weft_conn *c)
{
    const unsigned char *h = hear(p, c, 2);
    if (!h || h[0] != 5 || !hear(p, c, h[1]))
        return false;
    if (p->user) {
        (void)weft_conn_write(NULL, c, "\5\2", 2);
        h = hear(p, c, 2);
        size_t n = h ? h[1] : 0;
        if (!h || !hear(p, c, n + 1) || !hear(p, c, h[2 + n]))
            return false;
        bool ok = strlen(p->user) == n && memcmp(h + 2, p->user, n) == 0;
        (void)weft_conn_write(NULL, c, ok ? "\1\0" : "\1\1", 2);
        if (!ok)
            return false;
    } else {
        (void)weft_conn_write(NULL, c, "\5\0", 2);
    }
    h = hear(p, c, 5);
    return h && hear(p, c, (h[3] == 1 ? 4u : h[3] == 4 ? 16u : h[4] + 1u) - 1 + 2) &&
           weft_conn_write(NULL, c, (char[]){5, (char)p->refuse, 0, 3, 1, 'x', 0, 0}, 8) == 8 && !p->refuse;
}

static bool http_hello(struct passer *p, weft_conn *c)
{
    ssize_t n = peer_read_head(NULL, c, (char *)p->seen, sizeof p->seen);
    p->seen_len = n > 0 ? (size_t)n : 0;
    return n > 0 && strncmp((char *)p->seen, "CONNECT ", 8) == 0 && weft_conn_write(NULL, c, "HTTP/1.1 200 Go\r\n\r\n", 19) == 19;
}

static void passer_aim(struct passer *p, const char *target)
{
    weft_mutex_lock(&p->lock);
    snprintf(p->target, sizeof p->target, "%s", target);
    weft_mutex_unlock(&p->lock);
}

static weft_err passer_dial(struct passer *p, weft_conn **ret_conn)
{
    char target[WEFT_ADDR_TEXT];
    weft_mutex_lock(&p->lock);
    memcpy(target, p->target, sizeof target);
    weft_mutex_unlock(&p->lock);
    return weft_dial(NULL, "tcp", target, ret_conn);
}

static void passer_run(struct passer *p)
{
    weft_conn *c, *up;
    while (weft_accept(NULL, p->ln, &c) == 0) {
        p->conns++;
        p->seen_len = 0;
        if (p->tls && weft_tls_server(NULL, c, p->tls, &c) < 0) {
            (void)weft_conn_close(c);
            continue;
        }
        if ((p->http ? http_hello(p, c) : socks_hello(p, c)) && passer_dial(p, &up) == 0) {
            weft_waitgroup wg = {0};
            size_t there = 0, back = 0;
            weft_waitgroup_go(&wg, pass_on, c, up, &there);
            weft_waitgroup_go(&wg, pass_on, up, c, &back);
            weft_waitgroup_wait(&wg);
            (void)weft_conn_close(up);
            if (p->back)
                weft_send(p->back, back);
        }
        (void)weft_conn_close(c);
    }
}

static void passer_start(struct passer *p, const char *target)
{
    passer_aim(p, target);
    REQUIRE(weft_listen(&p->ln, "tcp", "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(p->ln, p->addr, sizeof p->addr) > 0);
    weft_waitgroup_go(&p->wg, passer_run, p);
}

static void passer_stop(struct passer *p)
{
    (void)weft_listener_close(p->ln);
    weft_waitgroup_wait(&p->wg);
}

static weft_http_client *through(const char *scheme, const struct passer *p, const struct weft_tls_config *tls)
{
    char text[256];
    snprintf(text, sizeof text, "%s%s/", scheme, p->addr);
    return client_with(&(struct weft_http_client_opts){.proxy = text, .tls = tls});
}

static void hello(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    (void)weft_http_reply_text(w, 200, "text/plain", weft_http_request_target(rq));
}

TEST(http_proxy, https_goes_through_a_tunnel)
{
    struct cert cert;
    cert_make(&cert);
    struct weft_tls_config server_tls = {.cert_file = cert.crt, .key_file = cert.key}, client_tls = {.ca_file = cert.crt};
    struct site s;
    struct passer p = {.http = true};
    char body[64], url[256], want[512];
    site_start(&s, &(struct weft_http_server_opts){.handler = hello, .tls = &server_tls});
    passer_start(&p, s.url + 7);
    weft_http_client *c = through("http://", &p, &client_tls);
    snprintf(url, sizeof url, "https://%s/x", s.url + 7);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(fetch(c, url, body, sizeof body), 200);
        EXPECT_STR(body, "/x");   /* inside the tunnel a request is as any other */
    }
    snprintf(want, sizeof want, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", s.url + 7, s.url + 7);
    weft_http_client_free(c);
    passer_stop(&p);
    EXPECT_STR((char *)p.seen, want);
    EXPECT_EQ(p.conns, 1);
    site_stop(&s);
}

TEST(http_proxy, sessions_behind_a_tunnel_are_kept_by_the_servers_port)
{
    struct cert cert;
    cert_make(&cert);
    struct weft_tls_config server_tls = {.cert_file = cert.crt, .key_file = cert.key}, client_tls = {.ca_file = cert.crt};
    struct site s[2];
    struct passer p = {.http = true, .back = weft_make(size_t, 4)};
    char url[256];
    size_t back[4];
    site_start(&s[0], &(struct weft_http_server_opts){.handler = hello, .tls = &server_tls});
    server_tls.min_version = WEFT_TLS_1_3;   /* other settings: tickets of its own, which the first one cannot open */
    site_start(&s[1], &(struct weft_http_server_opts){.handler = hello, .tls = &server_tls});
    passer_start(&p, s[0].url + 7);
    weft_http_client *c = through("http://", &p, &client_tls);
    for (int i = 0; i < 4; i++) {
        char body[64];
        passer_aim(&p, s[i % 2].url + 7);
        snprintf(url, sizeof url, "https://%s/", s[i % 2].url + 7);
        EXPECT_EQ(fetch(c, url, body, sizeof body), 200);
        weft_http_client_close_idle(c);
        back[i] = weft_recv(p.back);
    }
    EXPECT(back[2] + 200 < back[0] && back[3] + 200 < back[1]);   /* resumed: the certificate does not come again */
    weft_http_client_free(c);
    passer_stop(&p);
    weft_free(p.back);
    site_stop(&s[0]);
    site_stop(&s[1]);
}

/* ---- a proxy spoken to over TLS ---- */

static void echo(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[8192];
    ssize_t n;
    (void)arg;
    while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0 && weft_http_reply_write(w, buf, (size_t)n) == 0)
        continue;
}

TEST(http_proxy, a_tunnel_may_lead_through_a_proxy_spoken_to_over_tls)
{
    enum { BYTES = 3000000 };
    struct cert cert;
    cert_make(&cert);
    struct weft_tls_config server_tls = {.cert_file = cert.crt, .key_file = cert.key}, client_tls = {.ca_file = cert.crt};
    struct site s;
    struct passer p = {.http = true, .tls = &server_tls};
    char url[256], *body = malloc(BYTES), *got;
    size_t len;
    for (size_t i = 0; i < BYTES; i++)
        body[i] = (char)(i * 2654435761u >> 13);
    site_start(&s, &(struct weft_http_server_opts){.handler = echo, .tls = &server_tls});
    passer_start(&p, s.url + 7);
    weft_http_client *c = through("https://", &p, &client_tls);
    snprintf(url, sizeof url, "https://%s/x", s.url + 7);
    for (int i = 0; i < 3; i++) {
        weft_http_response *r;
        size_t n = i == 1 ? 0 : BYTES;
        struct weft_http_call call = {.method = "PUT", .url = url, .body = body, .body_len = n};
        REQUIRE(weft_http_do(NULL, c, &call, &r) == 0);
        EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &got, &len), 0);
        EXPECT_EQ(len, n);
        EXPECT(len == n && memcmp(got, body, n) == 0);
        free(got);
        weft_http_response_free(r);
    }
    weft_http_client_free(c);
    passer_stop(&p);
    EXPECT_EQ(p.conns, 1);
    EXPECT(strncmp((char *)p.seen, "CONNECT ", 8) == 0);
    site_stop(&s);
    free(body);
}

TEST(http_proxy, plain_requests_go_to_a_proxy_over_tls_as_they_are)
{
    struct cert cert;
    cert_make(&cert);
    struct weft_tls_config server_tls = {.cert_file = cert.crt, .key_file = cert.key}, client_tls = {.ca_file = cert.crt};
    struct site s;
    char text[256], got[256];
    site_start(&s, &(struct weft_http_server_opts){.handler = hello, .tls = &server_tls});
    snprintf(text, sizeof text, "https://%s", s.url + 7);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.proxy = text, .tls = &client_tls});
    for (int i = 0; i < 2; i++) {
        weft_http_response *r;
        struct weft_http_times t;
        REQUIRE(weft_http_get(NULL, c, "http://nowhere.test:99/a?b", &r) == 0);
        weft_http_times(r, &t);
        EXPECT_EQ(t.reused, i == 1);
        ssize_t n = weft_http_body_read(NULL, r, got, sizeof got - 1);
        got[n > 0 ? n : 0] = '\0';
        EXPECT_STR(got, "http://nowhere.test:99/a?b");
        weft_http_response_free(r);
    }
    weft_http_client_free(c);
    site_stop(&s);
}

/* ---- hosts that share a proxy's connections ---- */

/* Was the answer, whose body is want, had on a kept connection? */
static bool had_on_kept(weft_http_client *c, const char *url, const char *want)
{
    weft_http_response *r;
    struct weft_http_times t;
    char got[256];
    REQUIRE(weft_http_get(NULL, c, url, &r) == 0);
    weft_http_times(r, &t);
    ssize_t n = weft_http_body_read(NULL, r, got, sizeof got - 1);
    got[n > 0 ? n : 0] = '\0';
    EXPECT_STR(got, want);
    weft_http_response_free(r);
    return t.reused;
}

TEST(http_proxy, hosts_of_plain_requests_share_its_connections)
{
    struct site s;
    char direct[256];
    site_start(&s, &(struct weft_http_server_opts){.handler = hello});
    snprintf(direct, sizeof direct, "%s/x", s.url);
    for (int http2 = 0; http2 <= WEFT_HTTP2_ALWAYS; http2++) {
        weft_http_client *c = client_with(&(struct weft_http_client_opts){.proxy = s.url, .no_proxy = "127.0.0.1", .http2 = http2,
                                                                          .timeout = 60 * WEFT_SEC});
        EXPECT(!had_on_kept(c, "http://a.test/1", "http://a.test/1"));
        EXPECT(had_on_kept(c, "http://b.test:81/2", "http://b.test:81/2"));
        EXPECT(!had_on_kept(c, direct, "/x"));   /* not through it: a connection of its own, though to the same port */
        EXPECT(had_on_kept(c, "http://[::2]/3", "http://[::2]/3"));
        EXPECT(had_on_kept(c, direct, "/x"));
        weft_http_client_free(c);
    }
    site_stop(&s);
}

/* As in Go, where MaxConnsPerHost counts a proxy's connections. */
TEST(http_proxy, its_connections_are_limited_as_one_hosts)
{
    struct site s;
    char why[128];
    site_start(&s, &(struct weft_http_server_opts){.handler = hello});
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.proxy = s.url, .conns_per_host_max = 1, .timeout = 60 * WEFT_SEC});
    weft_http_response *r, *second;
    REQUIRE(weft_http_get(NULL, c, "http://a.test/1", &r) == 0);   /* has the connection until it is freed */
    struct weft_http_call call = {.url = "http://b.test/2", .timeout = WEFT_MS, .reterr_text = why, .reterr_size = sizeof why};
    EXPECT_EQ(weft_http_do(NULL, c, &call, &second), WEFT_EDEADLINE);
    EXPECT(strncmp(why, "waiting for a connection", 24) == 0);
    weft_http_response_free(r);
    EXPECT(had_on_kept(c, "http://b.test/2", "http://b.test/2"));
    weft_http_client_free(c);
    site_stop(&s);
}

static void fetch_to_no_end(weft_http_client *c, const char *url)
{
    char body[8];
    EXPECT(fetch(c, url, body, sizeof body) < 0);
}

/* What is passed on is HTTP/1, as is known without the first dial, which here never ends. */
TEST(http_proxy, no_dial_to_it_waits_for_another_where_http2_is_wanted)
{
    char addr[WEFT_ADDR_TEXT], text[256];
    weft_listener *ln;
    weft_conn *conn[2] = {NULL, NULL};
    weft_waitgroup wg = {0};
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0 && weft_listener_addr(ln, addr, sizeof addr) > 0);
    snprintf(text, sizeof text, "https://%s", addr);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.proxy = text, .http2 = WEFT_HTTP2_ALWAYS, .timeout = 60 * WEFT_SEC});
    weft_waitgroup_go(&wg, fetch_to_no_end, c, "http://a.test/");
    weft_waitgroup_go(&wg, fetch_to_no_end, c, "http://b.test/");
    weft_ctx *ctx = weft_with_timeout(NULL, 20 * WEFT_SEC);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(weft_accept(ctx, ln, &conn[i]), 0);
    weft_ctx_unref(ctx);
    (void)weft_listener_close(ln);
    for (int i = 0; i < 2; i++)
        (void)weft_conn_close(conn[i]);
    weft_waitgroup_wait(&wg);
    weft_http_client_free(c);
}

/* What was asked for by CONNECT belongs to its host: another one's request would reach the wrong server. */
TEST(http_proxy, a_tunnel_is_never_shared)
{
    struct site s;
    struct passer p = {.http = true};
    char text[256], body[64];
    weft_http_response *r;
    site_start(&s, &(struct weft_http_server_opts){.handler = hello});
    passer_start(&p, s.url + 7);
    snprintf(text, sizeof text, "http://%s", p.addr);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.proxy = text, .timeout = 60 * WEFT_SEC});
    struct weft_http_call call = {.url = "http://a.test/up", .upgrade = "other"};
    REQUIRE(weft_http_do(NULL, c, &call, &r) == 0);   /* refused with 200, through the tunnel: it may be kept */
    ssize_t n = weft_http_body_read(NULL, r, body, sizeof body - 1);
    body[n > 0 ? n : 0] = '\0';
    EXPECT_STR(body, "/up");
    weft_http_response_free(r);
    struct weft_http_call plain = {.url = "http://b.test/", .timeout = 100 * WEFT_MS};   /* the passer serves one at a time, and tunnels only */
    EXPECT(weft_http_do(NULL, c, &plain, &r) < 0);
    weft_http_client_free(c);
    passer_stop(&p);
    site_stop(&s);
}

TEST(http_proxy, a_proxy_whose_certificate_is_not_trusted_is_refused)
{
    struct cert cert, other;
    cert_make(&cert);
    cert_make(&other);
    struct weft_tls_config server_tls = {.cert_file = cert.crt, .key_file = cert.key}, client_tls = {.ca_file = other.crt};
    struct passer p = {.http = true, .tls = &server_tls};
    char why[128];
    passer_start(&p, "127.0.0.1:1");
    weft_http_client *c = through("https://", &p, &client_tls);
    EXPECT_EQ(fetch_why(c, "https://no.test/", why, sizeof why), WEFT_ECERT);
    EXPECT(strncmp(why, "proxy: TLS: certificate: ", 25) == 0);
    EXPECT_EQ(fetch_why(c, "http://no.test/", why, sizeof why), WEFT_ECERT);
    weft_http_client_free(c);
    passer_stop(&p);
}

TEST(http_proxy, socks5_with_names_and_without_with_password_and_without)
{
    static const struct {
        const char *scheme, *user, *host;
        unsigned char want[32];
        size_t len;
    } cases[] = {{"socks5://", NULL, "127.0.0.1", {5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 99}, 13},
                 {"socks5h://", NULL, "no.test", {5, 1, 0, 5, 1, 0, 3, 7, 'n', 'o', '.', 't', 'e', 's', 't', 0, 99}, 17},
                 {"socks5h://u:pw@", "u", "127.0.0.1", {5, 2, 0, 2, 1, 1, 'u', 2, 'p', 'w', 5, 1, 0, 1, 127, 0, 0, 1, 0, 99}, 20},
                 {"socks5h://u:pw@", NULL, "[::1]", {5, 2, 0, 2, 5, 1, 0, 4, [23] = 1, 0, 99}, 26}};
    struct site s;
    site_start(&s, &(struct weft_http_server_opts){.handler = hello});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct passer p = {.user = cases[i].user};
        char body[64], url[128];
        passer_start(&p, s.url + 7);
        weft_http_client *c = through(cases[i].scheme, &p, NULL);
        snprintf(url, sizeof url, "http://%s:99/y", cases[i].host);
        EXPECT_EQ(fetch(c, url, body, sizeof body), 200);
        EXPECT_STR(body, "/y");
        weft_http_client_free(c);
        passer_stop(&p);
        EXPECT_EQ(p.seen_len, cases[i].len);
        EXPECT_EQ(memcmp(p.seen, cases[i].want, cases[i].len), 0);
    }
    site_stop(&s);
}

TEST(http_proxy, socks5_refusals_are_told)
{
    static const struct {
        int refuse;
        const char *user, *scheme;
        weft_err err;
        const char *why;
    } cases[] = {{5, NULL, "socks5h://", -ECONNREFUSED, "proxy: connection refused, says the proxy"},
                 {4, NULL, "socks5h://", -EHOSTUNREACH, "proxy: host unreachable from the proxy"},
                 {2, NULL, "socks5h://", WEFT_EPROTO, "proxy: the proxy's rules forbid it"},
                 {77, NULL, "socks5h://", WEFT_EPROTO, "proxy: the proxy does not speak SOCKS5"},
                 {0, "u", "socks5h://", WEFT_EPROTO, "proxy: the proxy wants a user and a password"},
                 {0, "u", "socks5h://v:w@", WEFT_EPROTO, "proxy: the proxy refused the user or the password"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct passer p = {.user = cases[i].user, .refuse = cases[i].refuse};
        char why[128];
        passer_start(&p, "127.0.0.1:1");
        weft_http_client *c = through(cases[i].scheme, &p, NULL);
        EXPECT_EQ(fetch_why(c, "http://no.test/", why, sizeof why), cases[i].err);
        EXPECT_STR(why, cases[i].why);
        weft_http_client_free(c);
        passer_stop(&p);
    }
}

/* ---- which one ---- */

TEST(http_proxy, settings_that_cannot_be_are_refused)
{
    static const char *const bad[] = {"https+x://a:1", "socks4://a:1", "http://", "http://a b:1", "ftp://x", "https://"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_http_client *c;
        weft_err err = weft_http_client_new(&(struct weft_http_client_opts){.proxy = bad[i]}, &c);
        EXPECT_EQ(err, i == 2 || i == 3 || i == 5 ? WEFT_EADDR : WEFT_EUNSUPPORTED);
    }
}

/* Where a URL goes: "host:port" of the proxy, or "". */
static const char *route(const struct weft__proxies *p, const char *text)
{
    struct weft__url u;
    REQUIRE(weft__url_parse(&u, text, strlen(text)) == 0);
    const struct weft__proxy *it = weft__proxy_for(p, &u);
    weft__url_done(&u);
    return it ? it->at : "";
}

TEST(http_proxy, exceptions_are_names_addresses_and_networks)
{
    struct weft__proxies *p;
    struct weft_http_client_opts o = {.proxy = "[::1]", .no_proxy = "local.test, .dot.test ,10.0.0.0/8,[fe80::1],fd00::/8,port.test:81"};
    REQUIRE(weft__proxies_new(&o, &p) == 0);
    static const struct {
        const char *url;
        bool proxied;
    } cases[] = {{"http://a.test/", true}, {"http://local.test/", false}, {"https://x.LOCAL.test/", false}, {"http://notlocal.test/", true},
                 {"http://dot.test/", false}, {"http://a.dot.test/", false}, {"http://10.1.2.3/", false}, {"http://11.1.2.3/", true},
                 {"http://[fe80::1]/", false}, {"http://[fe80::2]/", true}, {"http://[fd12::2]/", false}, {"http://port.test/", true},
                 {"http://port.test:81/", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        EXPECT_STR(route(p, cases[i].url), cases[i].proxied ? "[::1]:80" : "");
    weft__proxies_free(p);
    o.no_proxy = "*";
    REQUIRE(weft__proxies_new(&o, &p) == 0);
    EXPECT_STR(route(p, "http://a.test/"), "");
    weft__proxies_free(p);
}

/* With no bits to compare it would be every address. */
TEST(http_proxy, a_network_without_a_number_of_bits_excepts_nobody)
{
    struct weft__proxies *p;
    static const char *const wrong[] = {"10.0.0.0/", "10.0.0.0/x", "10.0.0.0/8x", "10.0.0.0/33", "10.0.0.0/-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct weft_http_client_opts o = {.proxy = "[::1]", .no_proxy = wrong[i]};
        REQUIRE(weft__proxies_new(&o, &p) == 0);
        EXPECT_STR(route(p, "http://192.0.2.1/"), "[::1]:80");
        EXPECT_STR(route(p, "http://10.0.0.1/"), "[::1]:80");
        weft__proxies_free(p);
    }
}

/* A name that is nothing but dots has nothing left of it once they are taken away. */
TEST(http_proxy, a_host_of_dots_is_refused_behind_the_tunnel)
{
    struct peer p;
    PEER_START(&p, {"HTTP/1.1 200 OK\r\n\r\n"}, {"HTTP/1.1 200 OK\r\n\r\n"});
    weft_http_client *c = proxied("http://", "", &p);
    char why[128];
    EXPECT_EQ(fetch_why(c, "https://./", why, sizeof why), WEFT_EINVAL);
    EXPECT_EQ(fetch_why(c, "https://.../", why, sizeof why), WEFT_EINVAL);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_proxy, the_environment_counts_only_when_asked_for)
{
    struct weft__proxies *p;
    static const char *const names[] = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "HTTP_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    REQUIRE(weft__proxies_new(&(struct weft_http_client_opts){.proxy_from_env = true}, &p) == 0);
    EXPECT(p == NULL);
    setenv("HTTP_PROXY", "http://evil:1", 1);
    setenv("http_proxy", "one:1", 1);
    setenv("ALL_PROXY", "socks5://two", 1);
    setenv("NO_PROXY", "c.test", 1);
    REQUIRE(weft__proxies_new(&(struct weft_http_client_opts){0}, &p) == 0);
    EXPECT(p == NULL);
    REQUIRE(weft__proxies_new(&(struct weft_http_client_opts){.proxy_from_env = true}, &p) == 0);
    EXPECT_STR(route(p, "http://a.test/"), "one:1");
    EXPECT_STR(route(p, "https://a.test/"), "two:1080");
    EXPECT_STR(route(p, "https://c.test/"), "");
    weft__proxies_free(p);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}
