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
