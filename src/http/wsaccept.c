/*
 * wsaccept.c - the server's half of the WebSocket handshake.
 *
 * Role    Judge a request, answer 101, and make its connection a conversation. Near hijack.c, server.c (goodbyes), ws.c. Layer 5.
 * Limits  Origin: host and port are compared as text, as a browser writes both; the scheme is not.
 * Failure The request has been answered with what is wrong.
 * Source  RFC 6455 4.2, 10.2.
 */
#include "server_int.h"
#include "ws_int.h"

#include <string.h>
#include <strings.h>

/* Does a field of that name, of which there may be several, have the word? */
static bool head_has(const struct weft__head *h, const char *name, const char *word)
{
    struct weft_http_field f;
    for (size_t i = 0; weft__head_at(h, i, &f); i++)
        if (strcasecmp(f.name, name) == 0 && weft__http_has_word(f.value, word))
            return true;
    return false;
}

/* The value of a field that must be there once; else NULL. */
static const char *head_once(const struct weft__head *h, const char *name)
{
    struct weft_http_field f;
    const char *value = NULL;
    for (size_t i = 0; weft__head_at(h, i, &f); i++) {
        if (strcasecmp(f.name, name) != 0)
            continue;
        if (value)
            return NULL;
        value = f.value;
    }
    return value;
}

/* 16 bytes in base64? */
static bool key_ok(const char *key)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return key && strlen(key) == 24 && strspn(key, digits) == 22 && strcmp(key + 22, "==") == 0;
}

/* "*", the same text, or "*.rest" and anything that ends in ".rest"; without regard to case. */
static bool origin_fits(const char *word, size_t n, const char *host, size_t host_len)
{
    if (n == 1 && *word == '*')
        return true;
    if (n > 2 && word[0] == '*' && word[1] == '.')
        return host_len > n - 1 && strncasecmp(word + 1, host + host_len - (n - 1), n - 1) == 0;
    return n == host_len && strncasecmp(word, host, n) == 0;
}

static bool origin_ok(const struct weft__head *h, const char *list)
{
    const char *origin = weft__head_find(h, "origin"), *host = weft__head_find(h, "host"), *word;
    if (!origin)
        return true;
    const char *mark = strstr(origin, "://"), *at = mark ? mark + 3 : "";
    size_t len = strlen(at), n;
    if (len && host && origin_fits(host, strlen(host), at, len) && *host != '*')
        return head_once(h, "origin") != NULL;
    while (list && (word = weft__ws_word(&list, &n)))
        if (origin_fits(word, n, at, len))
            return head_once(h, "origin") != NULL;
    return false;
}

/* Our first subprotocol that the client has asked for too: *ret_word of it; false: none. */
static bool protocol_choose(const struct weft__head *h, const char *list, char *ret_word, size_t cap)
{
    const char *word, *theirs;
    size_t n, m;
    struct weft_http_field f;
    while (list && (word = weft__ws_word(&list, &n))) {
        for (size_t i = 0; weft__head_at(h, i, &f); i++) {
            if (strcasecmp(f.name, "sec-websocket-protocol") != 0)
                continue;
            for (const char *at = f.value; (theirs = weft__ws_word(&at, &m));) {
                if (m != n || memcmp(word, theirs, n) != 0 || n >= cap)
                    continue;
                memcpy(ret_word, word, n);
                ret_word[n] = '\0';
                return true;
            }
        }
    }
    return false;
}

/* An answer that is no conversation; err. */
static weft_err refuse(weft_http_writer *w, int status, const char *why, weft_err err)
{
    if (status == 426 && !w->h2)
        (void)weft_http_reply_field(w, "Upgrade", "websocket");
    if (status == 426)
        (void)weft_http_reply_field(w, "Sec-WebSocket-Version", "13");
    if (status == 405)
        (void)weft_http_reply_field(w, "Allow", "GET");
    (void)weft_http_reply_text(w, status, "text/plain; charset=utf-8", why);
    return err;
}

/* Is it a request for a conversation, from a page that may ask? 0, or an error, answered. */
static weft_err request_judge(weft_http_request *rq, weft_http_writer *w, const struct weft_ws_opts *opts)
{
    const struct weft__head *h = &rq->x->head;
    if (w->h2)
        return refuse(w, 426, "WebSocket is spoken over HTTP/1.1 here\n", WEFT_EUNSUPPORTED);
    if (strcmp(weft_http_request_method(rq), "GET") != 0)
        return refuse(w, 405, "a WebSocket begins with GET\n", WEFT_EPROTO);
    if (!head_has(h, "connection", "upgrade") || !head_has(h, "upgrade", "websocket") || w->old)
        return refuse(w, 426, "a WebSocket request has Connection: Upgrade and Upgrade: websocket\n", WEFT_EPROTO);
    const char *version = weft__head_find(h, "sec-websocket-version");
    if (!version || strcmp(version, "13") != 0)
        return refuse(w, 426, "the WebSocket version here is 13\n", WEFT_EUNSUPPORTED);
    if (!key_ok(head_once(h, "sec-websocket-key")) || !rq->x->wire.done)
        return refuse(w, 400, "a WebSocket request has one Sec-WebSocket-Key of 16 bytes, and no body\n", WEFT_EPROTO);
    if (!origin_ok(h, opts->origins))
        return refuse(w, 403, "pages of that origin may not ask\n", WEFT_EDENIED);
    return 0;
}

static weft_err answer(weft_http_request *rq, weft_http_writer *w, const char *protocol)
{
    char text[32];
    weft__ws_accept_text(head_once(&rq->x->head, "sec-websocket-key"), text);
    w->close = false;   /* whatever else its Connection said */
    weft_http_reply_status(w, 101);
    weft_err err = weft_http_reply_field(w, "Upgrade", "websocket");
    if (err == 0)
        err = weft_http_reply_field(w, "Sec-WebSocket-Accept", text);
    if (err == 0 && protocol)
        err = weft_http_reply_field(w, "Sec-WebSocket-Protocol", protocol);
    return err < 0 ? err : weft_http_reply_flush(w);
}

weft_err weft_ws_accept(weft_http_request *rq, weft_http_writer *w, const struct weft_ws_opts *opts, weft_ws **ret_ws)
{
    static const struct weft_ws_opts none;
    char protocol[128];
    const void *read;
    size_t n;
    opts = opts ? opts : &none;
    if (w->err || w->fields_closed || (opts->protocols && !weft__ws_protocols_ok(opts->protocols)))
        return w->err ? w->err : WEFT_EINVAL;
    weft_err err = request_judge(rq, w, opts);
    if (err < 0)
        return err;
    struct weft__sconn *sc = w->sc;
    const struct weft__wire *wire = &rq->x->wire;
    bool agreed = protocol_choose(&rq->x->head, opts->protocols, protocol, sizeof protocol);
    weft_ws *ws = weft__ws_new(sc->conn, false, opts, agreed ? protocol : NULL, wire->buf->data + wire->pos, wire->end - wire->pos);
    if (!ws)
        return refuse(w, 503, "out of memory\n", WEFT_ENOMEM);
    (void)weft_conn_ref(sc->conn);   /* ws has it */
    err = answer(rq, w, agreed ? protocol : NULL);
    weft_conn *conn;
    if (err == 0)
        err = weft_http_hijack(w, &conn, &read, &n);
    if (err < 0) {
        weft_ws_free(ws);
        return err;
    }
    weft_conn_unref(conn);
    weft__sconn_set_ws(sc, ws);
    *ret_ws = ws;
    return 0;
}
