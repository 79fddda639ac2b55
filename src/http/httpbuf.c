/*
 * httpbuf.c - the pool of 32 KiB buffers, and pools of objects.
 *
 * Role    A request costs no malloc once as many buffers exist as were ever in use at one time.
 * Near    Users are client.c, server.c, decode.c. Layer 5.
 * Locks   one per pool, for the few instructions of a list operation; malloc and free happen outside.
 * Limits  The pools keep at most 4096 buffers (128 MiB) and what each object pool states; more goes back to malloc.
 * Failure NULL when memory is short.
 */
#include "http_int.h"

#include <stdlib.h>
#include <string.h>

#define HBUF_CAP (WEFT__HBUF_BYTES - sizeof(struct weft__hbuf))

static struct weft__hpool hbuf_pool = {.keep_max = 4096};

void *weft__hpool_get(struct weft__hpool *p)
{
    weft__lock(&p->lock);
    void *x = p->head;
    if (x) {
        p->head = *(void **)x;
        p->len--;
    }
    weft__unlock(&p->lock);
    return x;
}

bool weft__hpool_put(struct weft__hpool *p, void *x)
{
    weft__lock(&p->lock);
    bool keep = p->len < p->keep_max;
    if (keep) {
        *(void **)x = p->head;
        p->head = x;
        p->len++;
    }
    weft__unlock(&p->lock);
    return keep;
}

struct weft__hbuf *weft__hbuf_get(size_t cap)
{
    struct weft__hbuf *b;
    if (cap <= HBUF_CAP) {
        b = weft__hpool_get(&hbuf_pool);
        if (b)
            return b;
        cap = HBUF_CAP;
    }
    b = malloc(sizeof *b + cap);
    if (b)
        b->cap = cap;
    return b;
}

void weft__hbuf_put(struct weft__hbuf *b)
{
    if (b && (b->cap != HBUF_CAP || !weft__hpool_put(&hbuf_pool, b)))
        free(b);
}

bool weft__hbuf_grow(struct weft__hbuf **b, size_t len)
{
    struct weft__hbuf *n = weft__hbuf_get((*b)->cap * 2);
    if (!n)
        return false;
    memcpy(n->data, (*b)->data, len);
    weft__hbuf_put(*b);
    *b = n;
    return true;
}
