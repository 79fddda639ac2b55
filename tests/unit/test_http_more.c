/* Server-sent events, access log, what panics print. */
#include "http_site.h"

static void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    char remote[WEFT_ADDR_TEXT];
    EXPECT(weft_http_request_remote(rq, remote, sizeof remote) > 0);
    if (strcmp(weft_http_request_path(rq), "/panic") == 0)
        weft_panic("no %s", "good");
    if (strcmp(weft_http_request_path(rq), "/events") != 0) {
        (void)weft_http_reply_text(w, 201, "text/plain", "made\n");
        return;
    }
    struct weft_http_event e = {.id = "7", .event = "tick", .data = "one\ntwo\r\n\rfour", .retry = 1500 * WEFT_MS}, bad = {.id = "a\nb"};
    EXPECT_EQ(weft_http_sse_begin(w), 0);
    EXPECT_EQ(weft_http_sse_send(w, &e), 0);
    EXPECT_EQ(weft_http_sse_send(w, &bad), WEFT_EINVAL);
    EXPECT_EQ(weft_http_sse_send(w, &(struct weft_http_event){0}), 0);
}

TEST(http_more, events_leave_one_by_one)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = handle};
    site_start(&s, &o);
    const char *out = ask_raw(&s, LAST("/events"), 0);
    EXPECT(strstr(out, "Content-Type: text/event-stream\r\n") != NULL);
    EXPECT(strstr(out, "\r\n\r\n4e\r\nid: 7\nevent: tick\nretry: 1500\ndata: one\ndata: two\ndata: \ndata: four\n\n\r\n") != NULL ||
           strstr(out, "id: 7\nevent: tick\nretry: 1500\ndata: one\ndata: two\ndata: \ndata: four\n\n\r\n") != NULL);
    EXPECT(strstr(out, "\r\n3\r\n:\n\n\r\n0\r\n\r\n") != NULL);
    site_stop(&s);
}

static char logged[4000];
static size_t logged_len;

static void log_line(const char *text, size_t len, void *arg)
{
    EXPECT_STR(arg, "here");
    EXPECT(text[len - 1] == '\n' && text[len] == '\0');
    REQUIRE(logged_len + len < sizeof logged);
    memcpy(logged + logged_len, text, len + 1);
    logged_len += len;
}

/* ---- what a middleware sees of an answer, and of a request's fields ---- */

struct seen {
    int status_before, status;
    uint64_t bytes_before, bytes, bytes_by_parts;
    bool past_the_last;
    char fields[200];
};

static void noted(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    struct seen *s = arg;
    struct weft_http_field f;
    s->status_before = weft_http_reply_sent_status(w);
    s->bytes_before = weft_http_reply_sent_bytes(w);
    for (size_t i = 0; weft_http_request_header_at(rq, i, &f); i++)
        snprintf(s->fields + strlen(s->fields), sizeof s->fields - strlen(s->fields), "%s=%s;", f.name, f.value);
    s->past_the_last = !weft_http_request_header_at(rq, SIZE_MAX, &f);
    weft_http_reply_status(w, 202);
    EXPECT_EQ(weft_http_reply_write(w, "abc", 3), 0);
    s->bytes_by_parts = weft_http_reply_sent_bytes(w);
    EXPECT_EQ(weft_http_reply_write(w, "defg", 4), 0);
    s->status = weft_http_reply_sent_status(w);
    s->bytes = weft_http_reply_sent_bytes(w);
}

TEST(http_more, a_handler_reads_fields_by_number_and_what_it_has_answered)
{
    struct site s;
    struct seen seen = {0};
    struct weft_http_server_opts o = {.handler = noted, .arg = &seen};
    site_start(&s, &o);
    const char *out = ask_raw(&s, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\na: 2\r\nConnection: close\r\n\r\n", 0);
    EXPECT(strncmp(out, "HTTP/1.1 202 ", 13) == 0);
    site_stop(&s);
    EXPECT_EQ(seen.status_before, 200);
    EXPECT_EQ(seen.bytes_before, 0);
    EXPECT_EQ(seen.bytes_by_parts, 3);
    EXPECT_EQ(seen.status, 202);
    EXPECT_EQ(seen.bytes, 7);
    EXPECT(seen.past_the_last);
    EXPECT_STR(seen.fields, "Host=h;A=1;a=2;Connection=close;");
}

TEST(http_more, the_access_log_has_a_line_for_each_request)
{
    struct site s;
    struct weft_http_access_log to = {log_line, "here"};
    weft_http_mux *m;
    REQUIRE(weft_http_mux_new(&m) == 0);
    EXPECT_EQ(weft_http_mux_use(m, weft_http_access_log, &to), 0);
    EXPECT_EQ(weft_http_mux_handle(m, "/", handle, NULL), 0);
    struct weft_http_server_opts o = {.handler = weft_http_mux_handler, .arg = m};
    site_start(&s, &o);
    (void)ask_raw(&s, LAST("/x?y=1"), 0);
    const char *out = ask_raw(&s, LAST("/panic"), 0);   /* its stack goes to stderr */
    EXPECT(strncmp(out, "HTTP/1.1 500 ", 13) == 0);
    (void)ask_raw(&s, LAST("/z"), 0);
    (void)ask_raw(&s, LAST("/\"?HTTP/1.1\""), 0);
    site_stop(&s);
    EXPECT_EQ(count(logged, "\n"), 4);
    EXPECT(strstr(logged, "\"GET /\??HTTP/1.1\? HTTP/1.1\" 201 5 ") != NULL);
    EXPECT(strncmp(logged, "127.0.0.1:", 10) == 0);
    EXPECT(strstr(logged, "\"GET /x?y=1 HTTP/1.1\" 201 5 ") != NULL);
    EXPECT(strstr(logged, "\"GET /panic HTTP/1.1\" 500 0 ") != NULL);
    EXPECT(strstr(logged, "\"GET /z HTTP/1.1\" 201 5 ") != NULL);
    weft_http_mux_free(m);
}
