/*
 * http_hello.c - a web server and its client in one program.
 *
 * Build    cc http_hello.c $(pkg-config --cflags --libs weft) -o http_hello
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

static void hello(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char text[256];
    (void)arg;
    snprintf(text, sizeof text, "hello, %s\n", weft_http_request_path(rq) + 1);
    weft_http_reply_text(w, 200, "text/plain; charset=utf-8", text);
}

static void serve(weft_http_server *server, weft_listener *ln)
{
    if (weft_http_serve(NULL, server, ln) < 0)
        puts("the server failed");
}

/* GET a page and print what came. */
static void get(weft_http_client *client, const char *url)
{
    weft_http_response *resp;
    char *body;
    size_t len;
    weft_err err = weft_http_get(NULL, client, url, &resp);
    if (err < 0) {
        printf("failed: %s\n", weft_strerror(err));
        return;
    }
    err = weft_http_body_read_all(NULL, resp, 1 << 20, &body, &len);
    if (err == 0) {
        printf("%d %s: %s", weft_http_status(resp), weft_http_header(resp, "content-type"), body);
        free(body);
    }
    weft_http_response_free(resp);
}

int main(void)
{
    static const char *const names[] = {"ada", "grace", "dennis"};
    weft_http_server *server;
    weft_http_client *client;
    weft_waitgroup serving = {0};
    weft_listener *ln;
    char addr[WEFT_ADDR_TEXT], url[WEFT_ADDR_TEXT + 32];
    struct weft_http_server_opts opts = {.handler = hello};

    if (weft_http_server_new(&opts, &server) < 0 || weft_http_client_new(NULL, &client) < 0 ||
        weft_listen(&ln, "tcp", "127.0.0.1:0") < 0 || weft_listener_addr(ln, addr, sizeof addr) < 0)
        return 1;
    weft_waitgroup_go(&serving, serve, server, ln);
    for (int i = 0; i < 3; i++) {
        snprintf(url, sizeof url, "http://%s/%s", addr, names[i]);
        get(client, url);
    }
    weft_http_client_free(client);
    weft_http_server_shutdown(NULL, server);
    weft_waitgroup_wait(&serving); /* weft_http_serve has returned */
    weft_http_server_free(server);
    return 0;
}
