/*
 * h2mem.c - the memory of nghttp2: blocks that are used again, in lists by size.
 *
 * Role    A request costs nghttp2 four blocks, and as many requests are under way as streams: more than malloc keeps at hand
 *         for a thread. A connection takes a shelf of lists for the length of a pass, and idle ones have none.
 * Near    h2session.c (hands it to nghttp2), h2conn.c (passes). Layer 5.
 *
 *   block:  | step | size | nghttp2's ....... |     of step * 64 bytes; step 0: of size, which are malloc's alone
 *           0      8      16
 *
 * Invariants
 *   M1  a shelf belongs to a connection (c->shelf, used under c->m) or to shelf_pool. A block belongs to no shelf: it goes back
 *       to that of the connection which frees it, or to malloc where there is none.
 * Limits  Blocks up to 512 bytes, 256 of a size on a shelf (half of what 64 connections of 32 streams would have at once);
 *         64 shelves. Under AddressSanitizer nothing is kept, so that it sees what is used after its end.
 * Failure NULL when memory is short: nghttp2 says NGHTTP2_ERR_NOMEM.
 */
#include <stdlib.h>
#include <string.h>

#include "../arch/fiber.h"
#include "h2_int.h"

#define STEP 64
#define STEPS 8
#define KEEP_MAX 256

struct h2_block {
    size_t step;                   /* [const] */
    size_t size;                   /* [const] asked for at first */
    struct h2_block *next;         /* [M1] while on a shelf; else nghttp2's first bytes */
};
#define BLOCK_HEAD offsetof(struct h2_block, next)

struct weft__h2_shelf {
    void *pool_next;
    struct {
        struct h2_block *first;
        uint32_t len;
    } of[STEPS + 1];               /* [M1] by step */
};

static struct weft__hpool shelf_pool = {.keep_max = 64};

static void shelf_free(struct weft__h2_shelf *s)
{
    for (size_t i = 0; i <= STEPS; i++)
        for (struct h2_block *b; (b = s->of[i].first); free(b))
            s->of[i].first = b->next;
    free(s);
}

void weft__h2_shelf_take(struct weft__h2 *c)
{
    if (!c->shelf && !(c->shelf = weft__hpool_get(&shelf_pool)))
        c->shelf = calloc(1, sizeof *c->shelf);   /* memory is short: malloc's blocks do */
}

void weft__h2_shelf_give(struct weft__h2 *c)
{
    if (c->shelf && !weft__hpool_put(&shelf_pool, c->shelf))
        shelf_free(c->shelf);
    c->shelf = NULL;
}

static void *mem_malloc(size_t n, void *arg)
{
    struct weft__h2 *c = arg;
    size_t step = (n + STEP - 1) / STEP, size = n;
    struct h2_block *b = NULL;
    if (step <= STEPS) {
        size = step * STEP;
        b = c->shelf ? c->shelf->of[step].first : NULL;
    }
    if (b) {
        c->shelf->of[step].first = b->next;
        c->shelf->of[step].len--;
        return &b->next;
    }
    if (size > SIZE_MAX - sizeof *b || !(b = malloc(sizeof *b + size)))
        return NULL;
    b->step = step <= STEPS ? step : 0;
    b->size = n;
    return &b->next;
}

static void mem_free(void *p, void *arg)
{
    struct weft__h2 *c = arg;
    if (!p)
        return;
    struct h2_block *b = (struct h2_block *)((char *)p - BLOCK_HEAD);
    if (WEFT__ASAN || !b->step || !c->shelf || c->shelf->of[b->step].len >= KEEP_MAX) {
        free(b);
        return;
    }
    b->next = c->shelf->of[b->step].first;
    c->shelf->of[b->step].first = b;
    c->shelf->of[b->step].len++;
}

static void *mem_calloc(size_t n, size_t size, void *arg)
{
    if (size && n > SIZE_MAX / size)
        return NULL;
    void *p = mem_malloc(n * size, arg);
    return p ? memset(p, 0, n * size) : NULL;
}

static void *mem_realloc(void *p, size_t n, void *arg)
{
    void *to = mem_malloc(n, arg);
    if (p && to) {
        const struct h2_block *b = (struct h2_block *)((char *)p - BLOCK_HEAD);
        size_t had = b->step ? b->step * STEP : b->size;
        memcpy(to, p, had < n ? had : n);
        mem_free(p, arg);
    }
    return to;
}

nghttp2_mem weft__h2_mem(struct weft__h2 *c)
{
    return (nghttp2_mem){.mem_user_data = c, .malloc = mem_malloc, .free = mem_free, .calloc = mem_calloc, .realloc = mem_realloc};
}
