/*
 * quiet.c - the macros, also as arguments of a user's own macros, draw no warning of a careful user's flags.
 */
/* FLAGS "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wcast-qual -Werror" */
#include <weft/weft.h>

#define RUN(x) \
    do {       \
        x;     \
    } while (0)
#define HOLDS(x) ((x) ? 1 : 0)
#define GO(...) weft_go(__VA_ARGS__)

static void none(void) {}
static int two(int a, const char *b)
{
    return a + b[0];
}
static weft_err task(void)
{
    return 0;
}

int all(weft_chan(int) c);

int all(weft_chan(int) c)
{
    weft_waitgroup wg = {0};
    weft_errgroup g = {0};
    weft_once o = {0};
    weft_map m = {0};
    void *p;
    int v = 0, slot = 0, n = 0;

    RUN(weft_go(none));
    RUN(weft_go(two, 1, "b"));
    RUN(weft_go_named("x", none));
    RUN(GO(none));
    RUN(weft_waitgroup_go(&wg, none));
    RUN(weft_errgroup_go(&g, task));
    n += HOLDS(weft_errgroup_try_go(&g, task));
    RUN(weft_defer(none));
    RUN(weft_defer(two, 1, "b"));
    n += HOLDS(weft_try(none));
    n += HOLDS(weft_try(two, 1, "b"));
    RUN(weft_once_do(&o, none));
    n += HOLDS(weft_once_value(&o, &slot, task));
    RUN(weft_send(c, 1));
    RUN(weft_recv(c));
    n += HOLDS(weft_recv(c));
    n += HOLDS(weft_recv_ok(c, &v));
    n += HOLDS(weft_try_send(c, 1));
    n += HOLDS(weft_try_recv(c, NULL) == 0);
    n += HOLDS(weft_len(c) == weft_cap(c));
    n += HOLDS(weft_make(int) == weft_make(int, 3));
    RUN(weft_range(x, c) { (void)x; });
    RUN(weft_range(unused, c) {});
    n += HOLDS(weft_select(weft_on_recv(c, &v), weft_on_recv_ok(c, NULL, NULL), weft_on_send(c, 1), weft_on_timeout(1), weft_on_default));
    weft_chan(int) d = weft_make(int, n & 7), e = weft_make(weft_err, 1 << 2);
    RUN(weft_send(n ? c : d, n & 7));
    RUN(weft_range(x, n ? c : d) { (void)x; });
    n += HOLDS(weft_recv(n ? c : d) & 7) + HOLDS(weft_recv_ok(n ? c : e, n ? &v : NULL)) + HOLDS(weft_try_recv(n ? d : e, n ? &v : NULL));
    n += weft_select(weft_on_recv(n ? c : d, n ? &v : NULL), weft_on_send(n ? c : d, n & 7), weft_on_timeout(n << 2));
    n += HOLDS(weft_map_load(&m, n & 7, n ? &p : NULL));
    weft_receiver(int) in = c;
    weft_sender(int) out = c;
    RUN(weft_send(out, 1));
    RUN(weft_recv(in));
    RUN(weft_range(x, in) { (void)x; });
    n += HOLDS(weft_recv_ok(in, &v)) + HOLDS(weft_try_send(out, 1)) + HOLDS(weft_try_recv(in, &v)) + HOLDS(weft_len(in) == weft_cap(out));
    n += HOLDS(weft_select(weft_on_recv(in, &v), weft_on_recv_ok(in, NULL, NULL), weft_on_send(out, 1), weft_on_send_ptr(out, &v)));
    RUN(weft_select_begin weft_when_recv(x, in) { (void)x; } weft_when_send(out, 1) {} weft_select_end);
    RUN(weft_close(out));
    size_t room = 3;
    weft_free(n ? weft_make(int, room) : d);
    RUN(weft_close(c));
    RUN(weft_free(c));
    return n;
}
