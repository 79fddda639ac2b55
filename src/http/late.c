/*
 * late.c - answers that are held for company leave in time, also when the next handler takes long.
 *
 * Role    Answers of pipelined requests gather in the out buffer and leave in one write (reply.c, A3). A timer per burst
 *         sends what is held by then from a goroutine of its own.
 * Near    reply.c, which arms it with the first answer held and settles before it touches out[0 .. held). Layer 5.
 *
 * Invariants
 *   L1  out[0 .. held) does not change while armed; the connection's goroutine only appends and then moves held on.
 *       held: release in weft__late_hold -> acquire in late_fire, carries the bytes. out itself is not moved while armed.
 *   L2  one of stop and fire has the timer. Who lost to fire waits for state DONE, which carries sent and err (m).
 *
 * Limits  LATE 2 ms; once a burst. Failure: as the connection's write; it becomes the writer's sticky error.
 */
#include <weft/sync.h>
#include <weft/time.h>

#include "server_int.h"

#define LATE (2 * WEFT_MS)

static void late_fire(void *arg)
{
    struct weft__exch *x = arg;
    struct weft__late *l = &x->late;
    weft_mutex_lock(&l->m);
    uint32_t n = atomic_load_explicit(&l->held, memory_order_acquire);   /* L1 */
    weft__sconn_write_limit(x->sc, x->sc->server->o.io_timeout);
    ssize_t put = weft_conn_write(NULL, x->sc->conn, l->data, n);
    l->sent = n;
    l->err = put < 0 ? (weft_err)put : 0;
    l->fired = true;
    weft_mutex_unlock(&l->m);   /* the last touch of x: L2 */
}

void weft__late_hold(struct weft__exch *x, uint32_t held)
{
    struct weft__late *l = &x->late;
    atomic_store_explicit(&l->held, held, memory_order_release);   /* L1 */
    if (l->armed)
        return;
    l->armed = true;
    l->data = x->w.out->data;   /* the writer itself is made anew with each request, in place */
    l->fired = false;
    l->sent = 0;
    l->err = 0;
    weft_after_func(&l->timer, LATE, late_fire, x);
}

weft_err weft__late_settle(struct weft__exch *x, uint32_t *ret_sent)
{
    struct weft__late *l = &x->late;
    *ret_sent = 0;
    if (!l->armed)
        return 0;
    l->armed = false;
    if (weft_timer_stop(&l->timer))
        return 0;
    for (bool fired = false; !fired;) {   /* it has been started: it is before, in or behind its mutex */
        weft_mutex_lock(&l->m);
        fired = l->fired;
        weft_mutex_unlock(&l->m);
        if (!fired)
            weft_yield();
    }
    *ret_sent = l->sent;
    return l->err;
}
