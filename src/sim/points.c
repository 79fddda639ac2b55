/*
 * points.c - the compiler's thread instrumentation, answered by the simulation instead of ThreadSanitizer.
 *
 * Role    Objects compiled with -fsanitize=thread call a function before each memory access and one in place of each
 *         atomic operation. ThreadSanitizer's library is not linked; these are its names. So every atomic operation of the
 *         real, unchanged source is a place where another virtual thread may go on, and where a store may be held back.
 *         Near vthread.c (decisions), storebuf.c. Layer 6.
 * Names   The ABI of compiler-rt's tsan_interface.h and tsan_interface_atomic.h, as gcc 12 and clang 19 use it.
 * Before  weft__sim_start, everything is an ordinary access.
 */
#include "sim_int.h"

#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wbuiltin-declaration-mismatch"
#endif

/* ---- plain accesses ---- */

static inline void point_write(void)
{
    sim_spend(weft__sim.plain_cost);
    weft__sim_flush(); /* SB1 */
}

static inline void point_read(void *a, unsigned n)
{
    uint64_t v;

    sim_spend(weft__sim.plain_cost);
    if (weft__unlikely(weft__sim.cur && weft__sim.cur->store_n) && weft__sim_forward(a, n, &v))
        weft__sim_flush(); /* SB2: the access itself goes to memory */
}

#define POINT_PLAIN(n)                                      \
    void __tsan_read##n(void *a) { point_read(a, n); }      \
    void __tsan_write##n(void *a) { (void)a, point_write(); } \
    void __tsan_unaligned_read##n(void *a) { point_read(a, n); } \
    void __tsan_unaligned_write##n(void *a) { (void)a, point_write(); } \
    void __tsan_read_write##n(void *a) { (void)a, point_write(); } \
    void __tsan_unaligned_read_write##n(void *a) { (void)a, point_write(); } \
    void __tsan_volatile_read##n(void *a) { point_read(a, n); } \
    void __tsan_volatile_write##n(void *a) { (void)a, point_write(); }
POINT_PLAIN(1)
POINT_PLAIN(2)
POINT_PLAIN(4)
POINT_PLAIN(8)
POINT_PLAIN(16)

void __tsan_read_range(void *a, size_t n) { point_read(a, (unsigned)n); }
void __tsan_write_range(void *a, size_t n) { (void)a, (void)n, point_write(); }
void __tsan_init(void) {}
void __tsan_func_entry(void *pc) { (void)pc; }
void __tsan_func_exit(void) {}

/* ---- atomic operations: one real thread, so the order that matters is ours ---- */

static inline void point_rmw(void)
{
    sim_spend(SIM_POINT);
    weft__sim_flush();
}

#define POINT_FETCH(bits, name, op)                                                        \
    uint##bits##_t __tsan_atomic##bits##_fetch_##name(volatile uint##bits##_t *a, uint##bits##_t v, int order) \
    {                                                                                      \
        (void)order;                                                                       \
        point_rmw();                                                                       \
        uint##bits##_t old = *a;                                                           \
        *a = (uint##bits##_t)(op);                                                         \
        return old;                                                                        \
    }
#define POINT_ATOMIC(bits)                                                                 \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *a, int order) \
    {                                                                                      \
        uint64_t v;                                                                        \
        (void)order;                                                                       \
        sim_spend(SIM_POINT);                                                              \
        if (weft__sim.cur && weft__sim.cur->store_n && weft__sim_forward((char *)a, bits / 8, &v)) \
            return (uint##bits##_t)v;                                                      \
        return *a;                                                                         \
    }                                                                                      \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *a, uint##bits##_t v, int order) \
    {                                                                                      \
        sim_spend(SIM_POINT);                                                              \
        if (weft__sim.on && weft__sim.buffers && order != __ATOMIC_SEQ_CST) {              \
            weft__sim_store((char *)a, v, bits / 8);                                       \
            return;                                                                        \
        }                                                                                  \
        weft__sim_flush();                                                                 \
        *a = v;                                                                            \
    }                                                                                      \
    uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t *a, uint##bits##_t v, int order) \
    {                                                                                      \
        (void)order;                                                                       \
        point_rmw();                                                                       \
        uint##bits##_t old = *a;                                                           \
        *a = v;                                                                            \
        return old;                                                                        \
    }                                                                                      \
    POINT_FETCH(bits, add, old + v)                                                        \
    POINT_FETCH(bits, sub, old - v)                                                        \
    POINT_FETCH(bits, and, old & v)                                                        \
    POINT_FETCH(bits, or, old | v)                                                         \
    POINT_FETCH(bits, xor, old ^ v)                                                        \
    POINT_FETCH(bits, nand, ~(old & v))                                                    \
    uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(volatile uint##bits##_t *a, uint##bits##_t was, \
                                                              uint##bits##_t to, int order, int fail_order) \
    {                                                                                      \
        (void)order, (void)fail_order;                                                     \
        point_rmw();                                                                       \
        uint##bits##_t old = *a;                                                           \
        if (old == was)                                                                    \
            *a = to;                                                                       \
        return old;                                                                        \
    }                                                                                      \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile uint##bits##_t *a, uint##bits##_t *was, uint##bits##_t to, \
                                                      int order, int fail_order)           \
    {                                                                                      \
        uint##bits##_t old = __tsan_atomic##bits##_compare_exchange_val(a, *was, to, order, fail_order); \
        if (old == *was)                                                                   \
            return 1;                                                                      \
        *was = old;                                                                        \
        return 0;                                                                          \
    }                                                                                      \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile uint##bits##_t *a, uint##bits##_t *was, uint##bits##_t to, \
                                                    int order, int fail_order)             \
    {                                                                                      \
        return __tsan_atomic##bits##_compare_exchange_strong(a, was, to, order, fail_order); \
    }
POINT_ATOMIC(8)
POINT_ATOMIC(16)
POINT_ATOMIC(32)
POINT_ATOMIC(64)

void __tsan_atomic_thread_fence(int order)
{
    sim_spend(SIM_POINT);
    if (order == __ATOMIC_SEQ_CST)
        weft__sim_flush();
}

void __tsan_atomic_signal_fence(int order)
{
    (void)order;
}

/* ---- what is not instrumented and writes: empty the buffer before (SB1) ---- */

void __wrap_weft__arch_switch(struct weft__sw *from, struct weft__sw *to)
{
    sim_spend(SIM_POINT);
    weft__sim_flush();
    __real_weft__arch_switch(from, to);
}

void __wrap_weft__arch_switch_to(struct weft__sw *from, struct weft__sw *to, struct weft__m *m)
{
    sim_spend(SIM_POINT);
    weft__sim_flush();
    __real_weft__arch_switch_to(from, to, m);
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__real_memcpy(void *to, const void *from, size_t n);
void *__real_memmove(void *to, const void *from, size_t n);
void *__real_memset(void *to, int c, size_t n);

void *__wrap_malloc(size_t n) { weft__sim_flush(); return __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t m) { weft__sim_flush(); return __real_calloc(n, m); }
void *__wrap_realloc(void *p, size_t n) { weft__sim_flush(); return __real_realloc(p, n); }
void __wrap_free(void *p) { weft__sim_flush(); __real_free(p); }
void *__wrap_memcpy(void *to, const void *from, size_t n) { weft__sim_flush(); return __real_memcpy(to, from, n); }
void *__wrap_memmove(void *to, const void *from, size_t n) { weft__sim_flush(); return __real_memmove(to, from, n); }
void *__wrap_memset(void *to, int c, size_t n) { weft__sim_flush(); return __real_memset(to, c, n); }
void *__tsan_memcpy(void *to, const void *from, size_t n) { weft__sim_flush(); return __real_memcpy(to, from, n); }
void *__tsan_memmove(void *to, const void *from, size_t n) { weft__sim_flush(); return __real_memmove(to, from, n); }
void *__tsan_memset(void *to, int c, size_t n) { weft__sim_flush(); return __real_memset(to, c, n); }
