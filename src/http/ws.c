/*
 * ws.c - a WebSocket conversation's life: made, closed in good order, freed.
 *
 * Role    What neither reads nor writes. Near wsaccept.c and wsdial.c (who make one), wsread.c, wswrite.c; invariants in ws_int.h.
 *         Layer 5.
 * Locks   m, for flags and the list of pings. A conversation has no goroutine of its own; a server that stops starts one for
 *         each, which ends with the close, 5 s at most.
 * Limits  CLOSE_WAIT for the peer's answer to a close.
 */
#include "ws_int.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <weft/go.h>

#define CLOSE_WAIT (5 * WEFT_SEC)

/* ---- made ---- */

static bool ws_feed(weft_ws *ws, const void *read, size_t n)
{
    if (!n)
        return true;
    ws->buf = weft__hbuf_get(n + 1);
    if (!ws->buf)
        return false;
    memcpy(ws->buf->data, read, n);
    ws->end = (uint32_t)n;
    return true;
}

weft_ws *weft__ws_new(weft_conn *conn, bool client, const struct weft_ws_opts *opts, const char *protocol, const void *read, size_t n)
{
    weft_ws *ws = calloc(1, sizeof *ws);
    if (!ws)
        return NULL;
    if ((protocol && !(ws->protocol = strdup(protocol))) || !ws_feed(ws, read, n)) {
        free(ws->protocol);
        free(ws);
        return NULL;
    }
    int64_t max = opts->message_bytes_max;
    ws->message_max = max < 0 ? INT64_MAX : max ? (uint64_t)max : WEFT__WS_MESSAGE_MAX;
    ws->conn = conn;
    ws->client = client;
    ws->tls = conn->tls != NULL;
    atomic_store_explicit(&ws->refs, 1, memory_order_relaxed);
    weft_sem_init(&ws->message, 1);
    weft_sem_init(&ws->frame, 1);
    weft_sem_init(&ws->reading, 1);
    return ws;
}

weft_ws *weft_ws_ref(weft_ws *ws)
{
    atomic_fetch_add_explicit(&ws->refs, 1, memory_order_relaxed);
    return ws;
}

void weft_ws_unref(weft_ws *ws)
{
    if (!ws || atomic_fetch_sub_explicit(&ws->refs, 1, memory_order_acq_rel) != 1)   /* WS7 */
        return;
    weft__ws_die(ws);
    weft_conn_unref(ws->conn);
    weft__hbuf_put(ws->buf);
    free(ws->all);
    free(ws->protocol);
    free(ws);
}

void weft_ws_free(weft_ws *ws)
{
    if (!ws)
        return;
    weft__ws_die(ws);
    weft_ws_unref(ws);
}

/* ---- the end ---- */

void weft__ws_die(weft_ws *ws)
{
    weft_mutex_lock(&ws->m);
    bool first = !ws->dead;
    ws->dead = true;
    for (struct weft__ws_ping *p; (p = ws->pings);) {   /* WS4 */
        ws->pings = p->next;
        weft_sem_release(&p->got, 1);
    }
    weft_mutex_unlock(&ws->m);
    if (first)
        (void)weft_conn_close(weft_conn_ref(ws->conn));
}

weft_err weft_ws_close(weft_ctx *ctx, weft_ws *ws, int code, const char *reason)
{
    size_t n = reason ? strlen(reason) : 0;
    struct weft__utf8 u = {0};
    if ((code && !weft__ws_code_ok(code)) || n > WEFT__WS_CONTROL_MAX - 2 || (n && !code))
        return WEFT_EINVAL;
    if (n && (!weft__utf8_check(&u, (const uint8_t *)reason, n) || u.need))
        return WEFT_EINVAL;
    weft_mutex_lock(&ws->m);
    bool got = ws->close_got, over = ws->dead || ws->close_sent || ws->close_due;
    weft_mutex_unlock(&ws->m);
    if (over || got) {
        if (got)
            weft__ws_die(ws);
        return got ? 0 : WEFT_ECLOSED;
    }
    weft_ctx *limited = weft_with_timeout(ctx, CLOSE_WAIT);
    weft__ws_close_due(ws, code, reason, n);
    weft__ws_due(ws);
    weft_err err = weft__ws_read_over(limited, ws);
    weft_ctx_unref(limited);
    weft__ws_die(ws);
    return err;
}

static void ws_go_away(weft_ws *ws)
{
    (void)weft_ws_close(NULL, ws, WEFT_WS_GOING_AWAY, NULL);
    weft_ws_unref(ws);
}

void weft__ws_going(weft_ws *ws)
{
    weft_go_named("websocket goodbye", ws_go_away, weft_ws_ref(ws));
}

/* ---- asked ---- */

int weft_ws_closed(const weft_ws *ws, const char **ret_reason)
{
    int code = atomic_load_explicit(&ws->close_code, memory_order_acquire);   /* WS6 */
    if (ret_reason)
        *ret_reason = code ? ws->reason : "";
    return code;
}

const char *weft_ws_protocol(const weft_ws *ws)
{
    return ws->protocol ? ws->protocol : "";
}

weft_conn *weft_ws_conn(weft_ws *ws)
{
    return ws->conn;
}

/* ---- what both handshakes need ---- */

const char *weft__ws_word(const char **list, size_t *ret_len)
{
    const char *s = *list + strspn(*list, " \t,"), *end = s + strcspn(s, ",");
    *list = end;
    while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *ret_len = (size_t)(end - s);
    return end > s ? s : NULL;
}

/* Is the word s in the list before `end`? */
static bool list_has(const char *list, const char *end, const char *s, size_t n)
{
    size_t len;
    for (const char *w; list < end && (w = weft__ws_word(&list, &len)) && w < end;)
        if (len == n && memcmp(w, s, n) == 0)
            return true;
    return false;
}

bool weft__ws_protocols_ok(const char *list)
{
    const char *at = list, *w;
    size_t n;
    char word[128];
    while ((w = weft__ws_word(&at, &n))) {
        if (n >= sizeof word || list_has(list, w, w, n))
            return false;
        memcpy(word, w, n);
        word[n] = '\0';
        if (!weft__http_is_token(word))
            return false;
    }
    return true;
}

void weft__ws_accept_text(const char *key, char ret[static 32])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char text[64], sum[SHA_DIGEST_LENGTH];
    size_t n = strlen(key);   /* 24 */
    memcpy(text, key, n);
    memcpy(text + n, guid, sizeof guid - 1);
    (void)SHA1(text, n + sizeof guid - 1, sum);
    (void)EVP_EncodeBlock((unsigned char *)ret, sum, sizeof sum);
}
