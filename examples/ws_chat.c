/*
 * ws_chat.c - a chat room over WebSocket: what one says, all hear. The server, and three clients of it.
 *
 * A handler belongs to one guest: it reads what he says and sends it to everybody in the room. Guests that write at the same
 * time queue by themselves. When the server stops, each guest is told goodbye with the code 1001.
 *
 * Part 1   anna and ben are there; both hear both. Part 2: a page of another site may not ask. Part 3: the server stops.
 *
 * Build    cc ws_chat.c $(pkg-config --cflags --libs weft) -o ws_chat
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

enum { GUESTS_MAX = 10 };

static struct room {
    weft_mutex lock;
    weft_ws *guest[GUESTS_MAX];
    int count;
} room;

static bool room_enter(weft_ws *ws)
{
    weft_mutex_lock(&room.lock);
    bool fits = room.count < GUESTS_MAX;
    if (fits)
        room.guest[room.count++] = ws;
    weft_mutex_unlock(&room.lock);
    return fits;
}

static void room_leave(weft_ws *ws)
{
    weft_mutex_lock(&room.lock);
    for (int i = 0; i < room.count; i++)
        if (room.guest[i] == ws)
            room.guest[i] = room.guest[--room.count];
    weft_mutex_unlock(&room.lock);
}

/* To everybody; who does not take it within a second misses it, and is out. */
static void room_say(const char *text, size_t len)
{
    weft_ctx *ctx = weft_with_timeout(NULL, WEFT_SEC);
    weft_defer(weft_ctx_unref, ctx);
    weft_mutex_lock(&room.lock);
    for (int i = 0; i < room.count; i++)
        weft_ws_write(ctx, room.guest[i], WEFT_WS_TEXT, text, len);
    weft_mutex_unlock(&room.lock);
}

/* GET /chat?name */
static void chat(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    const char *name = weft_http_request_query(rq);
    struct weft_ws_message m;
    char text[1100];
    weft_ws *ws;
    (void)arg;

    if (weft_ws_accept(rq, w, &(struct weft_ws_opts){.message_bytes_max = 1000}, &ws) < 0)
        return; /* it has been answered with the reason */
    weft_defer(weft_ws_free, ws);
    if (!room_enter(ws)) {
        weft_ws_close(NULL, ws, WEFT_WS_TRY_LATER, "the room is full");
        return;
    }
    weft_defer(room_leave, ws);
    weft_ws_write(NULL, ws, WEFT_WS_TEXT, "welcome", 7);
    while (weft_ws_read(NULL, ws, &m) > 0) {
        int len = snprintf(text, sizeof text, "%.20s: %s", name ? name : "?", m.data);
        room_say(text, (size_t)len);
    }
}

static void serve(weft_http_server *server, weft_listener *ln)
{
    if (weft_http_serve(NULL, server, ln) < 0)
        puts("the server failed");
}

static weft_ws *join(const char *addr, const char *name)
{
    char url[WEFT_ADDR_TEXT + 40], why[100];
    struct weft_ws_opts opts = {.reterr_text = why, .reterr_size = sizeof why};
    weft_ws *ws;

    snprintf(url, sizeof url, "ws://%s/chat?%s", addr, name);
    if (weft_ws_dial(NULL, NULL, url, &opts, &ws) < 0) {
        puts(why);
        exit(1);
    }
    return ws;
}

/* The next message, or the end. */
static void hear(const char *name, weft_ws *ws)
{
    struct weft_ws_message m;
    if (weft_ws_read(NULL, ws, &m) > 0)
        printf("%s hears \"%s\"\n", name, m.data);
    else
        printf("%s hears goodbye, %d\n", name, weft_ws_closed(ws, NULL));
}

static void stranger(const char *addr)
{
    char url[WEFT_ADDR_TEXT + 40], why[100];
    struct weft_http_field from = {"Origin", "http://elsewhere.example"};
    struct weft_ws_opts opts = {.fields = &from, .fields_len = 1, .reterr_text = why, .reterr_size = sizeof why};
    weft_ws *ws;

    snprintf(url, sizeof url, "ws://%s/chat?eve", addr);
    if (weft_ws_dial(NULL, NULL, url, &opts, &ws) < 0)
        puts(why);
    else
        weft_ws_free(ws);
}

int main(void)
{
    struct weft_http_server_opts opts = {.handler = chat};
    weft_waitgroup serving = {0}, stopping = {0};
    weft_http_server *server;
    weft_listener *ln;
    char addr[WEFT_ADDR_TEXT];

    if (weft_http_server_new(&opts, &server) < 0 || weft_listen(&ln, "tcp", "127.0.0.1:0") < 0 ||
        weft_listener_addr(ln, addr, sizeof addr) < 0)
        return 1;
    weft_waitgroup_go(&serving, serve, server, ln);

    puts("part 1");
    weft_ws *anna = join(addr, "anna"), *ben = join(addr, "ben");
    hear("anna", anna);
    hear("ben", ben);
    weft_ws_write(NULL, anna, WEFT_WS_TEXT, "hello", 5);
    hear("anna", anna);
    hear("ben", ben);
    weft_ws_write(NULL, ben, WEFT_WS_TEXT, "hello yourself", 14);
    hear("anna", anna);
    hear("ben", ben);

    puts("part 2");
    stranger(addr);

    puts("part 3");
    weft_waitgroup_go(&stopping, weft_http_server_shutdown, NULL, server);
    hear("anna", anna);
    hear("ben", ben);
    weft_ws_free(anna);
    weft_ws_free(ben);
    weft_http_client_close_idle(NULL);
    weft_waitgroup_wait(&stopping);
    weft_waitgroup_wait(&serving);
    weft_http_server_free(server);
    return 0;
}
