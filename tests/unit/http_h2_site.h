/*
 * http_h2_site.h - the handlers that the tests of the HTTP/2 server ask.
 */
#ifndef TESTS_HTTP_H2_SITE_H
#define TESTS_HTTP_H2_SITE_H
#include "http_h2.h"

static atomic_int cancelled, entered;

static inline void handle_more(const char *path, weft_http_request *rq, weft_http_writer *w)
{
    char buf[32];
    if (strcmp(path, "/ctx") == 0) {
        weft_ctx *ctx = weft_http_request_ctx(rq);
        atomic_fetch_add(&entered, 1);
        (void)weft_recv_ok(weft_ctx_done(ctx), NULL);
        atomic_fetch_add(&cancelled, 1);
    } else if (strcmp(path, "/trailers") == 0) {
        (void)weft_http_reply_write(w, "body", 4);
        EXPECT_EQ(weft_http_reply_trailer(w, "X-Sum", "42"), 0);
        EXPECT_EQ(weft_http_reply_trailer(w, "X-More", "a: b"), 0);
    } else if (strcmp(path, "/hop") == 0) {
        EXPECT_EQ(weft_http_reply_field(w, "Keep-Alive", "timeout=5"), 0);
        EXPECT_EQ(weft_http_reply_field(w, "Transfer-Encoding", "chunked"), WEFT_EINVAL);
        EXPECT_EQ(weft_http_reply_field(w, "Connection", "close"), 0);
        (void)weft_http_reply_text(w, 200, "text/plain", "bye\n");
    } else if (strcmp(path, "/many") == 0) {
        for (int i = 0; i < 60; i++) {
            snprintf(buf, sizeof buf, "x-%d", i);
            EXPECT_EQ(weft_http_reply_field(w, buf, "a value that is not so very short, so that there is something to it"), 0);
        }
    } else if (strcmp(path, "/204") == 0) {
        weft_http_reply_status(w, 204);
    } else if (strcmp(path, "/unread") == 0) {
        (void)weft_http_reply_text(w, 200, "text/plain", "no need\n");
    } else if (strcmp(path, "/steps") == 0) {
        for (int i = 0; i < 3; i++) {
            (void)weft_http_reply_write(w, "step\n", 5);
            EXPECT_EQ(weft_http_reply_flush(w), 0);
        }
    } else {
        (void)weft_http_reply_text(w, 404, "text/plain", "no\n");
    }
}

static inline void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    const char *path = weft_http_request_path(rq);
    char buf[9000];
    if (strcmp(path, "/hello") == 0) {
        (void)weft_http_reply_field(w, "X-Upper", "Yes");
        (void)weft_http_reply_text(w, 200, "text/plain", "hello\n");
    } else if (strcmp(path, "/echo") == 0) {
        ssize_t n;
        while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0)
            if (weft_http_reply_write(w, buf, (size_t)n) < 0)
                return;
        if (n < 0)
            weft_http_reply_status(w, n == WEFT_ETOOBIG ? 413 : 400);
    } else if (strcmp(path, "/what") == 0) {
        const char *q = weft_http_request_query(rq), *x = weft_http_request_header(rq, "X-A"), *c = weft_http_request_header(rq, "cookie");
        snprintf(buf, sizeof buf, "%s|%s|%s|%s|%s|%s|%s|%d|%lld", weft_http_request_method(rq), weft_http_request_target(rq), path,
                 q ? q : "-", x ? x : "-", c ? c : "-", weft_http_request_header(rq, "Host"), weft_http_request_version(rq),
                 (long long)weft_http_request_content_length(rq));
        (void)weft_http_reply_text(w, 200, "text/plain", buf);
    } else if (strncmp(path, "/big", 4) == 0) {   /* 1,000,000 bytes, stated or not */
        if (path[4] == 'l')
            weft_http_reply_length(w, 1000000);
        memset(buf, 'x', sizeof buf);
        for (int i = 0; i < 125; i++)
            if (weft_http_reply_write(w, buf, 8000) < 0)
                return;
    } else if (strcmp(path, "/once") == 0) {
        char *all = malloc(300000);
        memset(all, 'y', 300000);
        (void)weft_http_reply_write(w, all, 300000);
        memset(all, 'z', 300000);   /* what was handed over has been taken */
        free(all);
    } else if (strcmp(path, "/short") == 0) {
        weft_http_reply_length(w, 10);
        (void)weft_http_reply_write(w, "abc", 3);
    } else if (strcmp(path, "/panic") == 0) {
        (void)weft_http_reply_text(w, 200, "text/plain", "half");
        weft_panic("handler %d", 7);
    } else if (strcmp(path, "/panic_late") == 0) {
        (void)weft_http_reply_write(w, "half", 4);
        (void)weft_http_reply_flush(w);
        weft_panic("late");
    } else if (strcmp(path, "/goexit") == 0) {
        weft_goexit();
    } else {
        handle_more(path, rq, w);
    }
}

static inline void quiet(weft_http_request *rq, const char *message, void *arg)
{
    (void)rq, (void)message, (void)arg;
}

static const struct weft_http_server_opts plain = {.handler = handle, .on_panic = quiet};
#endif
