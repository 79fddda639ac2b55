/*
 * inform.c - answers 1xx before the answer.
 *
 * Role    weft_http_reply_inform. Near reply.c, whose held answers leave before it (A3); h2reply.c, the same as a frame. Layer 5.
 *
 * Limits  Fields 7 KiB, as an answer's; io_timeout for the write.
 * Failure told, and sticky where the connection is at its end (A1).
 * Source  RFC 9110 15.2: not to HTTP/1.0. RFC 8297.
 */
#include "h2.h"

#include <string.h>
#include <strings.h>

#define FIELDS_MAX (7 * 1024)

/* Not a field that says how a message is framed, or what becomes of the connection. */
static bool inform_allowed(const char *name)
{
    static const char *const never[] = {"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer",
                                        "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (strcasecmp(name, never[i]) == 0)
            return false;
    return true;
}

static weft_err inform_check(const struct weft_http_field *fields, size_t fields_len)
{
    size_t size = 0, nn, nv;
    for (size_t i = 0; i < fields_len; i++) {
        const struct weft_http_field *f = &fields[i];
        if (!f->name || !f->value || !weft__http_field_cut(f->name, f->value, &nn, &nv) || !inform_allowed(f->name))
            return WEFT_EINVAL;
        if (nn > FIELDS_MAX || nv > FIELDS_MAX || (size += nn + nv + 4) > FIELDS_MAX)
            return WEFT_ETOOBIG;
    }
    return 0;
}

/* A head of fields that have been looked at; it fits. Its length. */
static size_t inform_text(char *p, int status, const struct weft_http_field *fields, size_t fields_len)
{
    char *start = p;
    p = stpcpy(p, "HTTP/1.1 ");
    *p++ = (char)('0' + status / 100);
    *p++ = (char)('0' + status / 10 % 10);
    *p++ = (char)('0' + status % 10);
    *p++ = ' ';
    p = stpcpy(stpcpy(p, weft__http_status_text(status)), "\r\n");
    for (size_t i = 0; i < fields_len; i++)
        p = stpcpy(stpcpy(stpcpy(stpcpy(p, fields[i].name), ": "), fields[i].value), "\r\n");
    return (size_t)(stpcpy(p, "\r\n") - start);
}

weft_err weft_http_reply_inform(weft_http_writer *w, int status, const struct weft_http_field *fields, size_t fields_len)
{
    if (status < 102 || status > 199 || w->fields_closed)
        return WEFT_EINVAL;
    weft_err err = inform_check(fields, fields_len);
    if (err < 0 || w->err || w->old)
        return err < 0 ? err : w->err;
    if (w->h2)
        return weft__h2_inform(w, status, fields, fields_len);
    struct weft__hbuf *b = weft__hbuf_get(0);
    if (!b)
        return WEFT_ENOMEM;
    if ((err = weft__reply_release(w)) == 0) {
        weft__sconn_write_limit(w->sc, w->sc->server->o.io_timeout);
        ssize_t n = weft_conn_write(NULL, w->sc->conn, b->data, inform_text(b->data, status, fields, fields_len));
        err = w->err = n < 0 ? (weft_err)n : 0;   /* A1 */
    }
    weft__hbuf_put(b);
    return err;
}
