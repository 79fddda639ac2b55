/*
 * http2_server.c - one handler, two protocols: the same server answers HTTP/1.1 and HTTP/2.
 *
 * Part 1   nothing is to be done for it: a client that begins with the preface of HTTP/2 gets HTTP/2. Under TLS the
 *          handshake decides. Try it: curl --http2-prior-knowledge http://ADDRESS/
 * Part 2   requests of one HTTP/2 connection are answered at the same time: a quick answer overtakes a slow one.
 *
 * The client here writes frames by hand, as few as will do: nine bytes (length, type, flags, stream), then the payload.
 *
 * Build    cc http2_server.c $(pkg-config --cflags --libs weft) -o http2_server
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

static weft_chan(char) go_on; /* the slow handler waits for it */

static void handler(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char text[100];
    (void)arg;
    if (strcmp(weft_http_request_path(rq), "/slow") == 0)
        (void)weft_recv(go_on);
    snprintf(text, sizeof text, "%s by HTTP/%d", weft_http_request_path(rq), weft_http_request_version(rq) / 10);
    weft_http_reply_text(w, 200, "text/plain", text);
}

static void serve(weft_http_server *server, weft_listener *ln)
{
    if (weft_http_serve(NULL, server, ln) < 0)
        puts("the server failed");
}

/* A HEADERS frame that asks for path, of up to 60 bytes, on a stream: GET, http, host "h" by HPACK's static table. */
static void ask(weft_conn *c, int stream, const char *path)
{
    size_t n = strlen(path), len = n + 7;
    char f[80] = {0, 0, (char)len, 1, 5, 0, 0, 0, (char)stream, (char)0x82, (char)0x86, 0x44, (char)n};
    memcpy(f + 13, path, n);
    memcpy(f + 13 + n, "\x41\x01h", 3);
    (void)weft_conn_write(NULL, c, f, 9 + len);
}

/* Frames until one with a body: print it. */
static void show_answer(weft_conn *c)
{
    unsigned char head[9], body[1 << 14];
    while (weft_conn_read_full(NULL, c, head, 9) == 9) {
        size_t len = (size_t)head[1] << 8 | head[2];
        if (len > sizeof body || (len && weft_conn_read_full(NULL, c, body, len) != (ssize_t)len))
            return;
        if (head[3] == 0) {
            printf("stream %d: %.*s\n", head[8], (int)len, (char *)body);
            return;
        }
    }
}

int main(void)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0"; /* and empty SETTINGS */
    weft_http_server *server;
    weft_waitgroup serving = {0};
    weft_listener *ln;
    weft_conn *c;
    char addr[WEFT_ADDR_TEXT], url[WEFT_ADDR_TEXT + 32], *body;
    size_t len;
    weft_http_response *resp;
    struct weft_http_server_opts opts = {.handler = handler};

    go_on = weft_make(char, 1);
    if (weft_http_server_new(&opts, &server) < 0 || weft_listen(&ln, "tcp", "127.0.0.1:0") < 0 ||
        weft_listener_addr(ln, addr, sizeof addr) < 0)
        return 1;
    weft_waitgroup_go(&serving, serve, server, ln);

    puts("part 1");
    snprintf(url, sizeof url, "http://%s/one", addr);
    if (weft_http_get(NULL, NULL, url, &resp) == 0 && weft_http_body_read_all(NULL, resp, 100, &body, &len) == 0) {
        puts(body);
        free(body);
        weft_http_response_free(resp);
    }
    if (weft_dial(NULL, "tcp", addr, &c) < 0)
        return 1;
    (void)weft_conn_write(NULL, c, preface, sizeof preface);
    ask(c, 1, "/two");
    show_answer(c);

    puts("part 2");
    ask(c, 3, "/slow");
    ask(c, 5, "/quick");
    show_answer(c);
    weft_send(go_on, 1);
    show_answer(c);

    (void)weft_conn_close(c);
    weft_http_client_close_idle(NULL);
    weft_http_server_shutdown(NULL, server);
    weft_waitgroup_wait(&serving);
    weft_http_server_free(server);
    weft_free(go_on);
    return 0;
}
