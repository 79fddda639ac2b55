/*
 * http_dashboard.c - one page made of three APIs that are asked at the same time, under one context.
 *
 * An errgroup runs the three calls. The first that fails ends the context of all, and the page says so; a time limit does
 * the same. The whole takes as long as the slowest of the three, not as long as all together.
 *
 * Build    cc http_dashboard.c $(pkg-config --cflags --libs weft) -o http_dashboard
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

enum { PANELS = 3, NAP_MS = 500 };
static const char *const panel[PANELS] = {"weather", "news", "stocks"};

struct site {
    char addr[WEFT_ADDR_TEXT];
    weft_http_client *client;
};

/* GET path from our own address, as text that the caller frees. */
static weft_err fetch(weft_ctx *ctx, struct site *site, const char *path, char **ret_text)
{
    char url[WEFT_ADDR_TEXT + 80];
    weft_http_response *resp;
    size_t len;

    snprintf(url, sizeof url, "http://%s%s", site->addr, path);
    weft_err err = weft_http_get(ctx, site->client, url, &resp);
    if (err < 0)
        return err;
    weft_defer(weft_http_response_free, resp);
    if (weft_http_status(resp) != 200)
        return WEFT_EPROTO;
    return weft_http_body_read_all(ctx, resp, 1 << 16, ret_text, &len);
}

static weft_err fetch_panel(weft_ctx *ctx, struct site *site, const char *name, bool broken, char **ret_text)
{
    char path[64];
    snprintf(path, sizeof path, "/api/%s%s", name, broken ? "/broken" : "");
    return fetch(ctx, site, path, ret_text);
}

/* The page: "/", or "/broken", where one of the three APIs fails at once. */
static void show_dashboard(weft_http_request *rq, weft_http_writer *w, struct site *site)
{
    bool broken = strcmp(weft_http_request_path(rq), "/broken") == 0;
    weft_ctx *limited = weft_with_timeout(weft_http_request_ctx(rq), 10 * WEFT_SEC), *ctx;
    weft_defer(weft_ctx_unref, limited);
    char *text[PANELS] = {NULL}, page[512] = "";
    weft_errgroup group;

    weft_errgroup_init(&group, limited, &ctx);
    for (int i = 0; i < PANELS; i++)
        weft_errgroup_go(&group, fetch_panel, ctx, site, panel[i], broken && i == 1, &text[i]);
    weft_err err = weft_errgroup_wait(&group);
    for (int i = 0; i < PANELS; i++) {
        size_t len = strlen(page);
        snprintf(page + len, sizeof page - len, "%s: %s\n", panel[i], text[i] ? text[i] : "-");
        free(text[i]);
    }
    weft_http_reply_text(w, err < 0 ? 502 : 200, "text/plain", page);
}

/* The three APIs take a while; a broken one answers 500 at once. */
static void answer_api(weft_http_request *rq, weft_http_writer *w)
{
    const char *name = strrchr(weft_http_request_path(rq), '/') + 1;
    char text[64];

    if (strcmp(name, "broken") == 0) {
        weft_http_reply_text(w, 500, "text/plain", "out of order");
        return;
    }
    switch (weft_select(weft_on_timeout(NAP_MS * WEFT_MS), weft_on_recv(weft_ctx_done(weft_http_request_ctx(rq)), NULL))) {
    case 0:
        snprintf(text, sizeof text, "all about %s", name);
        weft_http_reply_text(w, 200, "text/plain", text);
    }
}

static void handle(weft_http_request *rq, weft_http_writer *w, void *site)
{
    if (strncmp(weft_http_request_path(rq), "/api/", 5) == 0)
        answer_api(rq, w);
    else
        show_dashboard(rq, w, site);
}

static void serve(weft_http_server *server, weft_listener *ln)
{
    if (weft_http_serve(NULL, server, ln) < 0)
        puts("the server failed");
}

static void visit(struct site *site, const char *path)
{
    char url[WEFT_ADDR_TEXT + 32], *page;
    weft_http_response *resp;
    size_t len;

    snprintf(url, sizeof url, "http://%s%s", site->addr, path);
    if (weft_http_get(NULL, site->client, url, &resp) < 0)
        return;
    weft_defer(weft_http_response_free, resp);
    if (weft_http_body_read_all(NULL, resp, 1 << 16, &page, &len) == 0) {
        printf("GET %s: %d\n%s", path, weft_http_status(resp), page);
        free(page);
    }
}

int main(void)
{
    struct site site = {0};
    struct weft_http_server_opts opts = {.handler = handle, .arg = &site};
    weft_waitgroup serving = {0};
    weft_http_server *server;
    weft_listener *ln;

    if (weft_http_server_new(&opts, &server) < 0 || weft_http_client_new(NULL, &site.client) < 0 ||
        weft_listen(&ln, "tcp", "127.0.0.1:0") < 0 || weft_listener_addr(ln, site.addr, sizeof site.addr) < 0)
        return 1;
    weft_waitgroup_go(&serving, serve, server, ln);
    visit(&site, "/");
    visit(&site, "/broken");
    weft_http_client_free(site.client);
    weft_http_server_shutdown(NULL, server);
    weft_waitgroup_wait(&serving); /* weft_http_serve has returned */
    weft_http_server_free(server);
    return 0;
}
