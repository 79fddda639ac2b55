/* The HTTP client against servers that say exactly what a test wants. Source: RFC 9110, 9112; Go net/http. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_peer.h"

#define OK5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

TEST(http_client, one_connection_serves_many_calls)
{
    struct peer p;
    PEER_START(&p, {OK5}, {"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n"
        "0\r\nT: r\r\n\r\n"},
               {"HTTP/1.1 204 No Content\r\n\r\n"}, {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, {OK5});
    weft_http_client *c = client_with(NULL);
    char body[64];
    EXPECT_EQ(fetch(c, peer_url(&p, "/a?b#c"), body, sizeof body), 200);
    EXPECT_STR(body, "hello");
    EXPECT(strncmp(peer_last(&p), "GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:", 35) == 0);
    EXPECT(strstr(peer_last(&p), "User-Agent: weft/") && strstr(peer_last(&p), "Accept-Encoding: gzip"));
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 404);
    EXPECT_STR(body, "abcde");
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 204);
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_STR(body, "");
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_EQ(atomic_load(&p.conns), 1);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, an_answer_may_come_byte_by_byte)
{
    struct peer p;
    PEER_START(&p, {"HTTP/1.1 200 OK\r\nA: b \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        .drip = true},
               {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nB: c\r\nContent-Length: 2\r\n\r\nhi",
                   .drip = true});
    weft_http_client *c = client_with(NULL);
    weft_http_response *r;
    char *body;
    size_t len;
    REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
    EXPECT_STR(weft_http_header(r, "a"), "b");
    EXPECT(weft_http_header(r, "b") == NULL);
    EXPECT_EQ(weft_http_content_length(r), -1);
    EXPECT_EQ(weft_http_version(r), 11);
    EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), 0);
    EXPECT_STR(body, "abcde");
    free(body);
    weft_http_response_free(r);
    REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
    EXPECT_EQ(weft_http_status(r), 200);
    EXPECT(weft_http_header(r, "link") == NULL);
    EXPECT_STR(weft_http_header(r, "B"), "c");
    EXPECT_EQ(weft_http_content_length(r), 2);
    struct weft_http_field f;
    EXPECT(weft_http_header_at(r, 1, &f) && strcmp(f.name, "Content-Length") == 0 && strcmp(f.value, "2") == 0);
    EXPECT(!weft_http_header_at(r, 2, &f));
    weft_http_response_free(r);
    EXPECT_EQ(atomic_load(&p.conns), 1);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, what_two_readers_could_read_differently_is_refused)
{
    struct peer p;
    PEER_START(&p, {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
               {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"},
               {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"}, {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n"}, {"HTTP/1.1 200 OK\nA: b\n\n"},
               {"ICE/1.0 200 OK\r\n\r\n", .close = true}, {"SSH-2.0-x\r\n\r\n"}, {"<html>", .close = true},
               {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
               {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"},
                   {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"},
               {"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"}, {"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n", .close = true});
    weft_http_client *c = client_with(NULL);
    char body[64], why[128];
    for (int i = 0; i < p.answers_len; i++) {
        weft_http_response *r;
        struct weft_http_call call = {.url = peer_url(&p, "/"), .reterr_text = why, .reterr_size = sizeof why};
        int err = weft_http_do(NULL, c, &call, &r);
        EXPECT_EQ(err, WEFT_EPROTO);
        EXPECT(err == 0 || *why);
        if (err == 0) {
            printf("answer %d was accepted\n", i);
            weft_http_response_free(r);
        }
    }
    (void)body;
    EXPECT_EQ(atomic_load(&p.conns), p.answers_len);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, a_body_that_ends_early_is_an_error)
{
    struct peer p;
    PEER_START(&p, {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", .close = true},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", .close = true},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", .close = true},
               {"HTTP/1.1 200 OK\r\nConte", .close = true},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello"},
               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n"});
    static const int want[] = {WEFT_EEOF, WEFT_EEOF, WEFT_EEOF, WEFT_EEOF, WEFT_EPROTO, WEFT_EPROTO};
    weft_http_client *c = client_with(NULL);
    char body[64];
    for (int i = 0; i < p.answers_len; i++)
        EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), want[i]);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, a_body_without_length_ends_with_the_connection)
{
    struct peer p;
    PEER_START(&p, {"HTTP/1.1 200 OK\r\n\r\nto the end", .close = true},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"}, {OK5},
               {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"}, {OK5 "surplus"},
               {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"}, {OK5});
    weft_http_client *c = client_with(NULL);
    char body[64];
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_STR(body, "to the end");
    for (int i = 0; i < 6; i++)
        EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    /* 1; the 1.0 one 2; then 3 until the one that says more than was asked; the one with chunks, which 1.0 has not, 4; 5 */
    EXPECT_EQ(atomic_load(&p.conns), 5);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, head_has_no_body_whatever_its_length)
{
    struct peer p;
    PEER_START(&p, {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"}, {OK5});
    weft_http_client *c = client_with(NULL);
    weft_http_response *r;
    const void *piece;
    REQUIRE(weft_http_do(NULL, c, &(struct weft_http_call){.method = "HEAD", .url = peer_url(&p, "/")}, &r) == 0);
    EXPECT_EQ(weft_http_content_length(r), 5);
    EXPECT_EQ(weft_http_body_next(NULL, r, &piece), 0);
    weft_http_response_free(r);
    char body[64];
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 304);
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_EQ(atomic_load(&p.conns), 1);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, a_dead_pooled_connection_is_replaced_once_for_get_only)
{
    struct peer p;
    PEER_START(&p, {OK5}, {NULL, .close = true}, {OK5}, {NULL, .close = true}, {NULL, .close = true},
               {OK5}, {"HTTP/1.1 2", .close = true});
    weft_http_client *c = client_with(NULL);
    char body[64];
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);      /* answers 1 (closed) and 2 */
    EXPECT_EQ(atomic_load(&p.requests), 3);
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), WEFT_EEOF); /* 3 and, fresh, 4 */
    EXPECT_EQ(atomic_load(&p.requests), 5);
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), WEFT_EEOF); /* bytes had come: not again */
    EXPECT_EQ(atomic_load(&p.requests), 7);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, post_sends_its_body_and_is_not_sent_twice)
{
    struct peer p;
    PEER_START(&p, {OK5}, {NULL, .close = true}, {OK5});
    weft_http_client *c = client_with(NULL);
    char body[64];
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    struct weft_http_field f[] = {{"Content-Type", "text/x"}, {"Host", "example.test"}};
    struct weft_http_call call = {.method = "POST", .url = peer_url(&p, "/p"), .fields = f, .fields_len = 2,
        .body = "data", .body_len = 4};
    weft_http_response *r;
    EXPECT_EQ(weft_http_do(NULL, c, &call, &r), WEFT_EEOF);
    EXPECT_EQ(atomic_load(&p.requests), 2);
    REQUIRE(weft_http_do(NULL, c, &call, &r) == 0);
    EXPECT(strncmp(peer_last(&p), "POST /p HTTP/1.1\r\nHost: example.test\r\n", 38) == 0);
    EXPECT(strstr(peer_last(&p), "\r\nContent-Type: text/x\r\nContent-Length: 4\r\n\r\ndata"));
    weft_http_response_free(r);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, bad_calls_are_refused_before_anything_is_sent)
{
    weft_http_client *c = client_with(NULL);
    weft_http_response *r;
    struct weft_http_field lf = {"A", "b\r\nC: d"}, name = {"A b", "c"}, cl = {"Content-Length", "1"},
        te = {"transfer-encoding", "chunked"};
    const char *url = "http://127.0.0.1:9/";
    EXPECT_EQ(weft_http_do(NULL, c, &(struct weft_http_call){.url = url, .fields = &lf, .fields_len = 1}, &r), WEFT_EINVAL);
    EXPECT_EQ(weft_http_do(NULL, c, &(struct weft_http_call){.url = url, .fields = &name, .fields_len = 1}, &r), WEFT_EINVAL);
    EXPECT_EQ(weft_http_do(NULL, c, &(struct weft_http_call){.url = url, .fields = &cl, .fields_len = 1}, &r), WEFT_EINVAL);
    EXPECT_EQ(weft_http_do(NULL, c, &(struct weft_http_call){.url = url, .fields = &te, .fields_len = 1}, &r), WEFT_EINVAL);
    EXPECT_EQ(weft_http_do(NULL, c, &(struct weft_http_call){.url = url, .method = "GET /x"}, &r), WEFT_EINVAL);
    EXPECT_EQ(weft_http_get(NULL, c, "nonsense", &r), WEFT_EADDR);
    EXPECT_EQ(weft_http_get(NULL, c, NULL, &r), WEFT_EADDR);
    EXPECT_EQ(weft_http_get(NULL, c, "gopher://x/", &r), WEFT_EUNSUPPORTED);
    EXPECT_EQ(weft_http_client_new(&(struct weft_http_client_opts){.user_agent = "a\nb"}, &c), WEFT_EINVAL);
    weft_http_client_free(c);
}

/* ---- redirects ---- */

#define MOVED(status, to) "HTTP/1.1 " status " x\r\nLocation: " to "\r\nContent-Length: 2\r\n\r\ngo"

TEST(http_client, redirects_are_followed_on_the_same_connection)
{
    struct peer p;
    PEER_START(&p, {MOVED("301", "b/c?d#e")}, {MOVED("302", "/x")}, {MOVED("307", "?q")}, {MOVED("308", "../\xc3\xa9")}, {OK5});
    weft_http_client *c = client_with(NULL);
    weft_http_response *r;
    REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/a/f"), &r) == 0);
    EXPECT_EQ(weft_http_status(r), 200);
    EXPECT_EQ(weft_http_redirects(r), 4);
    EXPECT_STR(weft_http_url(r), peer_url(&p, "/%C3%A9"));
    weft_http_response_free(r);
    EXPECT_EQ(atomic_load(&p.conns), 1);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, a_redirect_loop_ends_at_the_limit)
{
    struct peer p;
    PEER_START(&p, {MOVED("302", "/")}, {MOVED("302", "/")}, {MOVED("302", "/")}, {MOVED("302", "/")}, {MOVED("302", "/")});
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.redirects_max = 2});
    weft_http_response *r;
    EXPECT_EQ(weft_http_get(NULL, c, peer_url(&p, "/"), &r), WEFT_EREDIRECT);
    EXPECT_EQ(atomic_load(&p.requests), 3);
    weft_http_client_free(c);
    c = client_with(&(struct weft_http_client_opts){.redirects_max = -1});
    REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
    EXPECT_EQ(weft_http_status(r), 302);
    EXPECT_STR(weft_http_header(r, "Location"), "/");
    weft_http_response_free(r);
    weft_http_client_free(c);
    peer_stop(&p);
}

static int refuse_third(int count, int status, const char *from, const char *to, void *arg)
{
    (void)from, (void)to;
    *(int *)arg += status;
    return count == 3 ? WEFT_EDENIED : count == 2 && status == 303 ? WEFT_HTTP_KEEP : WEFT_HTTP_FOLLOW;
}

TEST(http_client, a_hook_may_refuse_a_redirect_or_keep_it)
{
    struct peer p;
    int sum = 0;
    PEER_START(&p, {MOVED("301", "/")}, {MOVED("302", "/")}, {MOVED("302", "/")}, {MOVED("301", "/")}, {MOVED("303", "/")},
               {MOVED("301", "ftp://x/")}, {MOVED("301", "http://[bad/")});
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.on_redirect = refuse_third, .arg = &sum});
    weft_http_response *r;
    EXPECT_EQ(weft_http_get(NULL, c, peer_url(&p, "/"), &r), WEFT_EDENIED);
    EXPECT_EQ(sum, 905);
    REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
    EXPECT_EQ(weft_http_status(r), 303);
    weft_http_response_free(r);
    EXPECT_EQ(weft_http_get(NULL, c, peer_url(&p, "/"), &r), WEFT_EUNSUPPORTED);
    EXPECT_EQ(weft_http_get(NULL, c, peer_url(&p, "/"), &r), WEFT_EADDR);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, a_redirect_to_another_host_takes_no_secrets_along)
{
    struct peer p, q;
    static struct answer to_q[] = {{.bytes = NULL}};
    static char moved[256];
    static const struct answer q_answers[] = {{OK5}};
    peer_start(&q, q_answers, 1);
    snprintf(moved, sizeof moved, "HTTP/1.1 302 x\r\nLocation: %s/q\r\nContent-Length: 0\r\n\r\n", q.url);
    to_q[0].bytes = moved;
    peer_start(&p, to_q, 1);
    struct weft_http_field f[] = {{"Cookie", "secret"}, {"authorization", "secret"}, {"X-Open", "yes"},
        {"Content-Type", "t/x"}, {"Host", "h"}};
    struct weft_http_call call = {.method = "POST", .url = peer_url(&p, "/"), .fields = f, .fields_len = 5,
        .body = "b", .body_len = 1};
    weft_http_client *c = client_with(NULL);
    weft_http_response *r;
    REQUIRE(weft_http_do(NULL, c, &call, &r) == 0);
    EXPECT(strstr(peer_last(&p), "secret") && strstr(peer_last(&p), "Host: h\r\n"));
    EXPECT(strncmp(peer_last(&q), "GET /q ", 7) == 0);
    EXPECT(!strstr(peer_last(&q), "secret") && !strstr(peer_last(&q), "Content-") && !strstr(peer_last(&q), "Host: h\r\n") &&
        strstr(peer_last(&q), "X-Open: yes"));
    weft_http_response_free(r);
    weft_http_client_free(c);
    peer_stop(&p);
    peer_stop(&q);
}

/* ---- limits ---- */

TEST(http_client, a_head_without_end_is_cut_off)
{
    static char bomb[300 * 1024];
    size_t n = (size_t)snprintf(bomb, 64, "HTTP/1.1 200 OK\r\n");
    while (n < sizeof bomb - 64)
        n += (size_t)snprintf(bomb + n, 64, "Header-Number-%zu: some value\r\n", n);
    static char early[200 * 1024];
    size_t e = 0;
    while (e < sizeof early - 64)
        e += (size_t)snprintf(early + e, 64, "HTTP/1.1 103 Early\r\n\r\n");
    struct answer a[] = {{.bytes = bomb, .len = n, .close = true}, {.bytes = early, .len = e, .close = true}};
    struct peer p;
    peer_start(&p, a, 2);
    weft_http_client *c = client_with(NULL);
    weft_http_response *r;
    EXPECT_EQ(weft_http_get(NULL, c, peer_url(&p, "/"), &r), WEFT_ETOOBIG);
    EXPECT_EQ(weft_http_get(NULL, c, peer_url(&p, "/"), &r), WEFT_ETOOBIG);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, a_large_head_within_the_limit_is_read)
{
    static char big[60 * 1024];
    size_t n = (size_t)snprintf(big, 64, "HTTP/1.1 200 OK\r\n");
    int fields = 0;
    while (n < 50 * 1024)
        n += (size_t)snprintf(big + n, sizeof big - n, "H%d: %0512d\r\n", fields, fields), fields++;
    n += (size_t)snprintf(big + n, sizeof big - n, "Content-Length: 5\r\n\r\nhello");
    struct answer a[] = {{.bytes = big, .len = n}, {.bytes = big, .len = n}};
    struct peer p;
    peer_start(&p, a, 2);
    weft_http_client *c = client_with(NULL);
    for (int round = 0; round < 2; round++) {
        weft_http_response *r;
        REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
        char name[16], *body;
        size_t len;
        for (int i = 0; i < fields; i++) {
            snprintf(name, sizeof name, "h%d", i);
            const char *v = weft_http_header(r, name);
            EXPECT(v && strlen(v) == 512 && atoi(v) == i);
        }
        EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), 0);
        EXPECT_STR(body, "hello");
        free(body);
        weft_http_response_free(r);
    }
    EXPECT_EQ(atomic_load(&p.conns), 1);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, bodies_past_the_limit_are_refused)
{
    struct peer p;
    PEER_START(&p, {OK5}, {OK5}, {OK5}, {OK5}, {OK5});
    weft_http_response *r;
    char *body, buf[64];
    size_t len;
    weft_http_client *c = client_with(NULL);
    for (size_t max = 4; max <= 6; max++) {
        REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
        int err = weft_http_body_read_all(NULL, r, max, &body, &len);
        EXPECT_EQ(err, max < 5 ? WEFT_ETOOBIG : 0);
        EXPECT(err == 0 || *weft_http_error_text(r));
        if (err == 0)
            free(body);
        weft_http_response_free(r);
    }
    weft_http_client_free(c);
    c = client_with(&(struct weft_http_client_opts){.body_bytes_max = 4});
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), buf, sizeof buf), WEFT_ETOOBIG);
    weft_http_client_free(c);
    peer_stop(&p);
}

/* ---- time ---- */

TEST(http_client, a_stalled_answer_ends_at_the_timeout)
{
    static const struct answer never[] = {{OK5, .stall = 3600 * WEFT_SEC}};
    static const struct answer half[] = {{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"}};
    struct peer p;
    peer_start(&p, never, 1);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.timeout = 50 * WEFT_MS});
    weft_http_response *r;
    char *body;
    size_t len;
    weft_time t = weft_now();
    EXPECT_EQ(weft_http_get(NULL, c, peer_url(&p, "/"), &r), WEFT_EDEADLINE);
    EXPECT(weft_now() - t >= 45 * WEFT_MS);
    peer_stop(&p);
    int err = WEFT_EDEADLINE;
    for (weft_dur patience = 50 * WEFT_MS; err == WEFT_EDEADLINE; patience *= 2) { /* until the machine is quick enough */
        peer_start(&p, half, 1);
        struct weft_http_call call = {.url = peer_url(&p, "/"), .timeout = patience};
        err = weft_http_do(NULL, c, &call, &r);
        if (err == 0) {
            EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), WEFT_EDEADLINE);
            EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), WEFT_EDEADLINE);
            weft_http_response_free(r);
        }
        peer_stop(&p);
    }
    EXPECT_EQ(err, 0);
    weft_http_client_free(c);
}

static void cancel_later(weft_ctx *ctx, struct peer *p)
{
    while (atomic_load(&p->requests) == 0)
        weft_sleep(WEFT_MS);
    weft_cancel(ctx);
}

TEST(http_client, a_cancelled_context_ends_the_wait)
{
    struct peer p;
    PEER_START(&p, {OK5, .stall = 60 * WEFT_SEC});
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.timeout = -1});
    weft_http_response *r;
    weft_ctx *ctx = weft_with_cancel(NULL);
    weft_go(cancel_later, ctx, &p);
    EXPECT_EQ(weft_http_get(ctx, c, peer_url(&p, "/"), &r), WEFT_ECANCELED);
    weft_ctx_unref(ctx);
    weft_http_client_free(c);
    peer_stop(&p);
}

/* A deadline of one call must not end the next one on the same connection. */
TEST(http_client, a_reused_connection_has_the_deadline_of_its_own_call)
{
    weft_http_client *c = client_with(NULL);
    bool quick = false;
    for (weft_dur limit = 80 * WEFT_MS; !quick; limit *= 2) { /* until the machine does the first call within the limit */
        const struct answer answers[] = {{OK5}, {OK5, .stall = limit + limit}};
        struct peer p;
        char body[64];
        weft_http_response *r;
        peer_start(&p, answers, 2);
        struct weft_http_call first = {.url = peer_url(&p, "/"), .timeout = limit}, second = {.url = first.url, .timeout = -1};
        int err = fetch_call(c, &first, body, sizeof body);
        EXPECT(err == 200 || err == WEFT_EDEADLINE);
        quick = err == 200;
        if (quick) {
            REQUIRE(weft_http_do(NULL, c, &second, &r) == 0);
            struct weft_http_times t;
            weft_http_times(r, &t);
            EXPECT(t.reused && t.connect == 0 && t.first_byte >= limit && t.total >= t.first_byte);
            weft_http_response_free(r);
        }
        peer_stop(&p);
    }
    weft_http_client_free(c);
}

/* ---- connections ---- */

static bool allow_none(const struct sockaddr *addr, void *arg)
{
    (void)addr;
    ++*(int *)arg;
    return false;
}

TEST(http_client, addresses_can_be_refused)
{
    struct peer p;
    int asked = 0;
    PEER_START(&p, {OK5});
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.allow = allow_none, .arg = &asked});
    weft_http_response *r;
    EXPECT_EQ(weft_http_get(NULL, c, peer_url(&p, "/"), &r), WEFT_EDENIED);
    EXPECT_EQ(asked, 1);
    EXPECT_EQ(atomic_load(&p.conns), 0);
    weft_http_client_free(c);
    peer_stop(&p);
}

static void fetch_one(weft_http_client *c, const char *url, atomic_int *good)
{
    char body[64];
    if (fetch(c, url, body, sizeof body) == 200 && strcmp(body, "hello") == 0)
        atomic_fetch_add(good, 1);
}

TEST(http_client, connections_to_one_host_stay_within_their_limit)
{
    enum { N = 40 };
    static struct answer a[N];
    for (int i = 0; i < N; i++)
        a[i] = (struct answer){.bytes = OK5, .stall = WEFT_MS};
    struct peer p;
    peer_start(&p, a, N);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.conns_per_host_max = 3});
    weft_waitgroup wg = {0};
    atomic_int good = 0;
    const char *url = peer_url(&p, "/");
    for (int i = 0; i < N; i++)
        weft_waitgroup_go(&wg, fetch_one, c, url, &good);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&good), N);
    EXPECT(atomic_load(&p.conns) >= 1 && atomic_load(&p.conns) <= 3);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, waiting_for_a_connection_ends_at_the_timeout)
{
    struct peer p;
    PEER_START(&p, {OK5, .stall = 60 * WEFT_SEC});
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.conns_per_host_max = 1, .timeout = -1});
    weft_http_response *r;
    weft_ctx *ctx = weft_with_cancel(NULL);
    atomic_int good = 0;
    weft_waitgroup wg = {0};
    const char *url = peer_url(&p, "/");
    weft_waitgroup_go(&wg, fetch_one, c, url, &good);
    while (atomic_load(&p.requests) == 0)
        weft_sleep(WEFT_MS);
    EXPECT_EQ(weft_http_do(ctx, c, &(struct weft_http_call){.url = url, .timeout = 20 * WEFT_MS}, &r), WEFT_EDEADLINE);
    weft_cancel(ctx);
    EXPECT_EQ(weft_http_get(ctx, c, url, &r), WEFT_ECANCELED);
    weft_ctx_unref(ctx);
    peer_stop(&p);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&good), 1);   /* the stall ended with the peer's context, and the answer came */
    weft_http_client_free(c);
}

TEST(http_client, idle_connections_are_closed_in_time_and_beyond_the_limit)
{
    struct peer p;
    PEER_START(&p, {OK5}, {OK5}, {OK5});
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.idle_timeout = 20 * WEFT_MS});
    char body[64];
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    weft_sleep(60 * WEFT_MS);   /* longer than the idle time: it must be gone, whether by the reaper or by the age check */
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_EQ(atomic_load(&p.conns), 2);
    weft_http_client_free(c);
    c = client_with(&(struct weft_http_client_opts){.idle_per_host_max = -1});
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_EQ(atomic_load(&p.conns), 3);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client, the_default_client_is_shared)
{
    struct peer p;
    PEER_START(&p, {OK5}, {OK5});
    char body[64];
    EXPECT_EQ(fetch(NULL, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_EQ(fetch(NULL, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_EQ(atomic_load(&p.conns), 1);
    weft_http_client_close_idle(NULL);
    peer_stop(&p);
}

TEST(http_client, a_response_outlives_its_client)
{
    struct peer p;
    PEER_START(&p, {OK5});
    weft_http_client *c = client_with(NULL);
    weft_http_response *r;
    char *body;
    size_t len;
    REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
    weft_http_client_free(c);
    EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), 0);
    EXPECT_STR(body, "hello");
    free(body);
    weft_http_response_free(r);
    peer_stop(&p);
}

TEST(http_client, a_refused_connection_says_so)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    char url[64], why[128];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* holds the port and does not listen */
    REQUIRE(bind(fd, (struct sockaddr *)&a, len) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(a.sin_port));
    weft_http_response *r;
    struct weft_http_call call = {.url = url, .reterr_text = why, .reterr_size = sizeof why};
    EXPECT_EQ(weft_http_do(NULL, NULL, &call, &r), -ECONNREFUSED);
    EXPECT(strstr(why, "refused"));
    close(fd);
}
