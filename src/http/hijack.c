/*
 * hijack.c - a connection leaves HTTP: taken over by a handler, or by who made a call with upgrade.
 *
 * Role    Both ends of RFC 9110 7.8. Near serveconn.c (the server lets go when w->err is set), server.c (hijacked: who closes),
 *         response.c, wsaccept.c, wsdial.c. Layer 5.
 * Owner   The server's goroutine keeps its reference until the handler returns: the watch of gone.c and a shutdown whose time is up
 *         use it. A client's response has no connection any more.
 */
#include "client_int.h"
#include "server_int.h"

weft_err weft_http_hijack(weft_http_writer *w, weft_conn **ret_conn, const void **ret_read, size_t *ret_len)
{
    if (w->h2)
        return WEFT_EUNSUPPORTED;
    struct weft__sconn *sc = w->sc;
    struct weft__wire *wire = &sc->x->wire;
    bool untouched = !w->fields_closed || (w->head_sent && w->status == 101);
    if (w->err || !wire->done || !untouched)
        return WEFT_EINVAL;
    weft_err err = weft__reply_release(w);
    if (err < 0)
        return err;
    w->err = WEFT_ECLOSED;   /* A1: the rest of the server has nothing more to send */
    sc->hijacked = true;
    sc->read_limit = sc->write_limit = 0;
    (void)weft_conn_set_deadline(sc->conn, 0);
    *ret_conn = weft_conn_ref(sc->conn);
    *ret_read = wire->buf->data + wire->pos;
    *ret_len = wire->end - wire->pos;
    return 0;
}

weft_err weft_http_response_hijack(weft_http_response *r, weft_conn **ret_conn, const void **ret_read, size_t *ret_len)
{
    if (!r->hc || !r->hc->conn || !r->rx || r->rx->head.p.status_code != 101)
        return WEFT_EINVAL;
    struct weft__wire *wire = &r->rx->wire;
    *ret_conn = r->hc->conn;
    r->hc->conn = NULL;   /* keep is false: it does not go back to the pool */
    (void)weft_conn_set_deadline(*ret_conn, 0);
    *ret_read = wire->buf->data + wire->pos;
    *ret_len = wire->end - wire->pos;
    return 0;
}
