/*
 * wsdial.c - the client's half of the WebSocket handshake.
 *
 * Role    A call with upgrade, and a look at the answer. Near client.c (who makes the call), hijack.c, ws.c. Layer 5.
 * Failure Words go to opts->reterr_text; the connection is closed.
 * Source  RFC 6455 4.1.
 */
#include "client_int.h"
#include "ws_int.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../sys/sys.h"

#define OWN_FIELDS 3

/* ws and wss are http and https. Malloc'ed; NULL: memory is short. */
static char *dial_url(const char *url)
{
    bool plain = strncasecmp(url, "ws://", 5) == 0, tls = strncasecmp(url, "wss://", 6) == 0;
    const char *rest = plain ? url + 2 : tls ? url + 3 : url, *scheme = plain ? "http" : tls ? "https" : "";
    size_t n = strlen(scheme), m = strlen(rest);
    char *text = malloc(n + m + 1);
    if (!text)
        return NULL;
    memcpy(text, scheme, n);
    memcpy(text + n, rest, m + 1);
    return text;
}

/* 16 random bytes in base64. */
static void dial_key(char ret[static 32])
{
    uint64_t v[2] = {weft__sys_entropy(), weft__sys_entropy()};
    (void)EVP_EncodeBlock((unsigned char *)ret, (const unsigned char *)v, sizeof v);
}

static weft_err dial_fail(const struct weft_ws_opts *opts, weft_err err, const char *why)
{
    if (opts->reterr_text && opts->reterr_size)
        (void)snprintf(opts->reterr_text, opts->reterr_size, "WebSocket: %s", why);
    return err;
}

static bool answer_has(const weft_http_response *r, const char *name, const char *word)
{
    struct weft_http_field f;
    for (size_t i = 0; weft_http_header_at(r, i, &f); i++)
        if (strcasecmp(f.name, name) == 0 && weft__http_has_word(f.value, word))
            return true;
    return false;
}

/* The subprotocol of the answer: none, or one of ours. */
static bool protocol_ok(const char *list, const char *protocol)
{
    size_t n;
    const char *word;
    if (!protocol)
        return true;
    while (list && (word = weft__ws_word(&list, &n)))
        if (strlen(protocol) == n && memcmp(word, protocol, n) == 0)
            return true;
    return false;
}

/* Is it the 101 that was asked for? */
static weft_err answer_judge(const weft_http_response *r, const struct weft_ws_opts *opts, const char *key)
{
    char want[32], why[64];
    int status = weft_http_status(r);
    if (status != 101) {
        if (opts->ret_status)
            *opts->ret_status = status;
        (void)snprintf(why, sizeof why, "the server answered %d", status);
        return dial_fail(opts, WEFT_EPROTO, why);
    }
    weft__ws_accept_text(key, want);
    const char *accept = weft_http_header(r, "sec-websocket-accept");
    if (!answer_has(r, "upgrade", "websocket") || !answer_has(r, "connection", "upgrade") || !accept || strcmp(accept, want) != 0)
        return dial_fail(opts, WEFT_EPROTO, "the server switched to something else");
    if (!protocol_ok(opts->protocols, weft_http_header(r, "sec-websocket-protocol")))
        return dial_fail(opts, WEFT_EPROTO, "the server chose a subprotocol that was not asked for");
    if (weft_http_header(r, "sec-websocket-extensions"))
        return dial_fail(opts, WEFT_EPROTO, "the server chose an extension that was not asked for");
    return 0;
}

/* The answer is good: its connection becomes ws. */
static weft_err answer_take(weft_http_response *r, const struct weft_ws_opts *opts, weft_ws **ret_ws)
{
    weft_conn *conn;
    const void *read;
    size_t n;
    weft_err err = weft_http_response_hijack(r, &conn, &read, &n);
    if (err < 0)
        return err;
    weft_ws *ws = weft__ws_new(conn, true, opts, weft_http_header(r, "sec-websocket-protocol"), read, n);
    if (!ws) {
        (void)weft_conn_close(conn);
        return dial_fail(opts, WEFT_ENOMEM, "out of memory");
    }
    *ret_ws = ws;
    return 0;
}

static weft_err dial(weft_ctx *ctx, weft_http_client *client, const char *url, const struct weft_ws_opts *opts,
                     struct weft_http_field *fields, weft_ws **ret_ws)
{
    char key[32];
    size_t n = 0;
    dial_key(key);
    fields[n++] = (struct weft_http_field){"Sec-WebSocket-Version", "13"};
    fields[n++] = (struct weft_http_field){"Sec-WebSocket-Key", key};
    if (opts->protocols)
        fields[n++] = (struct weft_http_field){"Sec-WebSocket-Protocol", opts->protocols};
    if (opts->fields_len)
        memcpy(fields + n, opts->fields, opts->fields_len * sizeof *fields);
    struct weft_http_call call = {.url = url, .fields = fields, .fields_len = n + opts->fields_len, .upgrade = "websocket",
                                  .timeout = opts->timeout, .reterr_text = opts->reterr_text, .reterr_size = opts->reterr_size};
    weft_http_response *r;
    weft_err err = weft_http_do(ctx, client, &call, &r);
    if (err < 0)
        return err;
    err = answer_judge(r, opts, key);
    if (err == 0)
        err = answer_take(r, opts, ret_ws);
    weft_http_response_free(r);
    return err;
}

weft_err weft_ws_dial(weft_ctx *ctx, weft_http_client *client, const char *url, const struct weft_ws_opts *opts, weft_ws **ret_ws)
{
    static const struct weft_ws_opts none;
    opts = opts ? opts : &none;
    if (!url)
        return WEFT_EADDR;
    if (opts->protocols && (!*opts->protocols || !weft__ws_protocols_ok(opts->protocols)))
        return dial_fail(opts, WEFT_EINVAL, "the list of subprotocols");
    char *text = dial_url(url);
    struct weft_http_field *fields = malloc((OWN_FIELDS + opts->fields_len) * sizeof *fields);
    weft_err err = text && fields ? dial(ctx, client, text, opts, fields, ret_ws) : WEFT_ENOMEM;
    free(fields);
    free(text);
    return err;
}
