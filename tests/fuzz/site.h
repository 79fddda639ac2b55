/*
 * site.h - a server that fuzz targets talk to: one for the life of the process, on a unix socket, with a handler each of
 * what a program may do with a request.
 */
#ifndef TESTS_FUZZ_SITE_H
#define TESTS_FUZZ_SITE_H
#include <unistd.h>

#include "fuzz.h"

struct site {
    weft_http_server *server;
    weft_http_mux *mux;
    weft_http_files *files;
    char addr[64];
};

/* All of the body, then its size and sum: an answer that does not depend on the pieces it came in. */
static void site_sum(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[3000], text[128];
    uint64_t n = 0, sum = 0;
    ssize_t k;
    (void)arg;
    while ((k = weft_http_request_read(rq, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < k; i++)
            sum = sum * 31 + (unsigned char)buf[i];
        n += (uint64_t)k;
    }
    if (k < 0)
        n = sum = 0; /* how much of a broken body came before the break depends on the pieces */
    snprintf(text, sizeof text, "%llu %llx %d\n", (unsigned long long)n, (unsigned long long)sum, k < 0);
    (void)weft_http_reply_text(w, k < 0 ? 400 : 200, "text/plain", text);
}

/* What the request says, field by field. */
static void site_tell(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    struct weft_http_field f;
    const char *q = weft_http_request_query(rq);
    (void)arg;
    (void)weft_http_reply_field(w, "X-Method", weft_http_request_method(rq));
    for (size_t i = 0; weft_http_request_header_at(rq, i, &f); i++) {
        CHECK(strlen(f.name) > 0);
        (void)weft_http_reply_write(w, f.name, strlen(f.name));
        (void)weft_http_reply_write(w, f.value, strlen(f.value));
    }
    const char *value = weft_http_request_value(rq, "id"), *path = weft_http_request_path(rq);
    (void)weft_http_reply_write(w, value, strlen(value));
    (void)weft_http_reply_write(w, path, strlen(path));
    (void)weft_http_reply_write(w, q ? q : "", q ? strlen(q) : 0);
    (void)weft_http_reply_trailer(w, "X-Trailer", "t");
}

/* Answers without a look at the body. */
static void site_blind(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)rq, (void)arg;
    weft_http_reply_length(w, 4);
    (void)weft_http_reply_write(w, "done", 4);
}

static inline void site_run(struct site *s, weft_listener *ln)
{
    CHECK(weft_http_serve(NULL, s->server, ln) == 0);
}

static char site_root[64];

static inline void site_clean(void)
{
    char file[80];
    snprintf(file, sizeof file, "%s/f.txt", site_root);
    unlink(file);
    rmdir(site_root);
}

static inline struct site *site_get(void)
{
    static struct site s;
    weft_listener *ln;
    if (s.server)
        return &s;
    char root[] = "/tmp/weft-fuzz-XXXXXX", file[64];
    CHECK(mkdtemp(root));
    snprintf(file, sizeof file, "%s/f.txt", root);
    FILE *f = fopen(file, "w");
    CHECK(f && fputs("0123456789abcdefghijklmnopqrstuvwxyz", f) >= 0 && fclose(f) == 0);
    CHECK(weft_http_file_server(root, &s.files) == 0);
    snprintf(site_root, sizeof site_root, "%s", root);
    atexit(site_clean);
    CHECK(weft_http_mux_new(&s.mux) == 0);
    CHECK(weft_http_mux_handle(s.mux, "/sum", site_sum, NULL) == 0);
    CHECK(weft_http_mux_handle(s.mux, "/tell/{id}", site_tell, NULL) == 0);
    CHECK(weft_http_mux_handle(s.mux, "GET /get/", site_tell, NULL) == 0);
    CHECK(weft_http_mux_handle(s.mux, "h.test/blind", site_blind, NULL) == 0);
    CHECK(weft_http_mux_handle(s.mux, "POST /blind", site_blind, NULL) == 0);
    CHECK(weft_http_mux_handle(s.mux, "/", weft_http_file_handler, s.files) == 0);
    struct weft_http_server_opts o = {.handler = weft_http_mux_handler, .arg = s.mux, .head_bytes_max = 4096, .body_bytes_max = 100000,
                                      .head_timeout = 60 * WEFT_SEC, .io_timeout = 60 * WEFT_SEC, .streams_max = 20};
    CHECK(weft_http_server_new(&o, &s.server) == 0);
    snprintf(s.addr, sizeof s.addr, "@weft-fuzz-%d", (int)getpid());
    CHECK(weft_listen(&ln, "unix", s.addr) == 0);
    weft_go(site_run, &s, ln);
    return &s;
}

#endif
