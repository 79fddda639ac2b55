/*
 * hello.c - the weft contestant of bench/http.py: 13 bytes from the public HTTP server. With a certificate, of bench/tls.py.
 */
#include <stdio.h>
#include <weft/weft.h>

static void hello(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)rq;
    (void)arg;
    weft_http_reply_field(w, "Content-Type", "text/plain");
    weft_http_reply_write(w, "Hello, World!", 13);
}

int main(int argc, char **argv)
{
    weft_http_server *server;
    weft_listener *ln;
    char addr[WEFT_ADDR_TEXT];
    struct weft_http_server_opts opts = {.handler = hello};
    struct weft_tls_config tls = {0};
    if (argc > 3) {
        tls.cert_file = argv[2];
        tls.key_file = argv[3];
        opts.tls = &tls;
    }
    if (weft_http_server_new(&opts, &server) < 0 || weft_listen(&ln, "tcp", argc > 1 ? argv[1] : "127.0.0.1:0") < 0 ||
        weft_listener_addr(ln, addr, sizeof addr) < 0)
        return 1;
    printf("ready %s\n", addr);
    fflush(stdout);
    return weft_http_serve(NULL, server, ln) < 0;
}
