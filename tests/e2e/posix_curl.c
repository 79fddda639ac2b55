/*
 * posix_curl.c N - N goroutines download by curl_easy_perform from a server of weft in the same process.
 *
 * The server answers nobody before all N requests have come: they overlap or the program does not end.
 */
#include <curl/curl.h>
#include <weft/weft.h>

#include "posix_e2e.h"

enum { BODY = 100000 };
static char body[BODY];
static int clients;
static _Atomic int come, good;
static weft_chan(char) all_there;

static void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)rq, (void)arg;
    if (atomic_fetch_add_explicit(&come, 1, memory_order_relaxed) + 1 == clients)
        weft_close(all_there);
    (void)weft_recv(all_there);
    weft_http_reply_length(w, sizeof body);
    (void)weft_http_reply_write(w, body, sizeof body);
}

static size_t take(char *data, size_t size, size_t n, void *arg)
{
    size_t *sum = arg;

    for (size_t i = 0; i < size * n; i++)
        *sum += (unsigned char)data[i];
    return size * n;
}

static void get(const char *url, size_t want)
{
    CURL *c = curl_easy_init();
    size_t sum = 0;
    char why[CURL_ERROR_SIZE] = "";

    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &sum);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
    if (curl_easy_perform(c) != CURLE_OK)
        die("curl: %s", why);
    if (sum != want)
        die("the body adds up to %zu, not %zu", sum, want);
    curl_easy_cleanup(c);
    atomic_fetch_add_explicit(&good, 1, memory_order_relaxed);
}

static void serve(weft_http_server *server, weft_listener *ln)
{
    if (weft_http_serve(NULL, server, ln) < 0)
        die("the server failed");
}

int main(int argc, char **argv)
{
    struct weft_http_server_opts opts = {.handler = handle};
    weft_waitgroup wg = {0}, serving = {0};
    char addr[WEFT_ADDR_TEXT], url[WEFT_ADDR_TEXT + 16];
    weft_http_server *server;
    weft_listener *ln;
    size_t sum = 0;

    clients = argc == 2 ? (int)strtol(argv[1], NULL, 10) : 0;
    if (clients < 1)
        die("usage: posix_curl N");
    for (size_t i = 0; i < sizeof body; i++)
        sum += (unsigned char)(body[i] = (char)(i * 31 >> 4));
    curl_global_init(CURL_GLOBAL_ALL);
    all_there = weft_make(char);
    if (weft_http_server_new(&opts, &server) < 0 || weft_listen(&ln, "tcp", "127.0.0.1:0") < 0 ||
        weft_listener_addr(ln, addr, sizeof addr) < 0)
        die("no server");
    snprintf(url, sizeof url, "http://%s/", addr);
    weft_waitgroup_go(&serving, serve, server, ln);
    for (int i = 0; i < clients; i++)
        weft_waitgroup_go(&wg, get, url, sum);
    weft_waitgroup_wait(&wg);
    printf("%d downloads by libcurl at the same time on %d processors: %d threads\n",
           atomic_load_explicit(&good, memory_order_relaxed), weft_procs(0), thread_count());
    weft_http_server_shutdown(NULL, server);
    weft_waitgroup_wait(&serving);
    weft_http_server_free(server);
    weft_free(all_there);
    curl_global_cleanup();
    return 0;
}
