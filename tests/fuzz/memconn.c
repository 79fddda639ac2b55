/*
 * memconn.c - connections in memory for fuzz targets, and the exchange over a socket.
 */
#include "fuzz.h"

ssize_t __real_weft_conn_read(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n);
ssize_t __real_weft_conn_read_full(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n);
ssize_t __real_weft_conn_write(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n);
ssize_t __wrap_weft_conn_read(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n);
ssize_t __wrap_weft_conn_read_full(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n);
ssize_t __wrap_weft_conn_write(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n);

static struct memconn *current;

_Noreturn void fuzz_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    abort();
}

weft_conn *memconn_use(struct memconn *m)
{
    current = m;
    return (weft_conn *)m;
}

size_t fuzz_piece(uint32_t *split, size_t room)
{
    static const uint16_t most[] = {1, 2, 3, 7, 16, 64, 1000, 5000};
    if (!*split || !room)
        return room;
    *split = *split * 1664525u + 1013904223u;
    *split |= *split == 0;
    size_t n = 1 + (*split >> 16) % most[*split >> 8 & 7];
    return n < room ? n : room;
}

ssize_t __wrap_weft_conn_read(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n)
{
    struct memconn *m = current;
    if (!m || conn != (weft_conn *)m)
        return __real_weft_conn_read(ctx, conn, ret_buf, n);
    CHECK(n > 0);
    size_t left = m->len - m->pos, k = fuzz_piece(&m->split, left < n ? left : n);
    if (k)
        memcpy(ret_buf, m->in + m->pos, k);
    m->pos += k;
    return (ssize_t)k;
}

ssize_t __wrap_weft_conn_read_full(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n)
{
    size_t have = 0;
    if (!current || conn != (weft_conn *)current)
        return __real_weft_conn_read_full(ctx, conn, ret_buf, n);
    while (have < n) {
        ssize_t k = __wrap_weft_conn_read(ctx, conn, (char *)ret_buf + have, n - have);
        if (k == 0)
            return have ? WEFT_EEOF : 0;
        have += (size_t)k;
    }
    return (ssize_t)have;
}

ssize_t __wrap_weft_conn_write(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n)
{
    if (!current || conn != (weft_conn *)current)
        return __real_weft_conn_write(ctx, conn, buf, n);
    current->written += n;
    return (ssize_t)n;
}

struct sender {
    weft_conn *conn;
    const uint8_t *bytes;
    size_t len;
    uint32_t split;
};

static void send_pieces(struct sender *s)
{
    for (size_t pos = 0, k; pos < s->len; pos += k) {
        k = fuzz_piece(&s->split, s->len - pos);
        if (weft_conn_write(NULL, s->conn, s->bytes + pos, k) < 0)
            break;
        if (s->split)
            weft_yield();
    }
    (void)weft_conn_close_write(s->conn);
}

char *fuzz_exchange(const char *network, const char *addr, const uint8_t *bytes, size_t len, uint32_t split, size_t *ret_len)
{
    weft_conn *c;
    weft_waitgroup wg = {0};
    size_t cap = 65536, have = 0;
    char *all = malloc(cap);
    ssize_t n;
    CHECK(all && weft_dial(NULL, network, addr, &c) == 0);
    struct sender s = {c, bytes, len, split};
    weft_waitgroup_go(&wg, send_pieces, &s);   /* beside the reading: the peer may not read on before it could write */
    while ((n = weft_conn_read(NULL, c, all + have, cap - have - 1)) > 0) {
        have += (size_t)n;
        if (cap - have < 4096) {
            CHECK(cap < (size_t)64 << 20 && (all = realloc(all, cap *= 2)));
        }
    }
    weft_waitgroup_wait(&wg);
    (void)weft_conn_close(c);
    all[have] = '\0';
    *ret_len = have;
    return all;
}
