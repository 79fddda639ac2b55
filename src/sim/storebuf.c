/*
 * storebuf.c - what other threads do not see yet: a store buffer per virtual thread, as x86 processors have them.
 *
 * Role    A relaxed or release store waits here while its thread goes on; so a later load of the same thread may be
 *         answered before the store is visible, which is the one reordering that x86 has (TSO). Near points.c (who
 *         stores and loads), vthread.c (who drains). Layer 6.
 * Invariants
 *   SB1  Stores leave a buffer oldest first. Anything else that the thread writes (plain stores, read-modify-writes, the
 *        C library, system calls, the context switch) empties it before, so order among stores is kept.
 *   SB2  A thread reads its own stores: a load of the same bytes is answered from the newest; an overlapping one empties
 *        the buffer first.
 *   SB3  Nothing waits that goes to the thread's own stack: pushes and calls are not instrumented, so a frame that came
 *        later would be overwritten.
 * Limits  Two accesses that the hardware orders may be seen ordered here more strictly, never less. No weaker model than TSO.
 */
#include "sim_int.h"

enum { STORE_STACK = 64 * 1024 }; /* as far above its stack pointer a thread's stack goes at least */

static void store_out(const struct sim_store *s)
{
    switch (s->bytes) {
    case 1: *(volatile uint8_t *)s->addr = (uint8_t)s->value; break;
    case 2: *(volatile uint16_t *)s->addr = (uint16_t)s->value; break;
    case 4: *(volatile uint32_t *)s->addr = (uint32_t)s->value; break;
    default: *(volatile uint64_t *)s->addr = s->value;
    }
}

void weft__sim_drain(struct sim_thread *t, int leave)
{
    while (t->store_n > leave) { /* SB1 */
        struct sim_store *s = &t->store[t->store_at];
        t->store_at = (t->store_at + 1) % SIM_STORES_MAX;
        t->store_n--;
        store_out(s);
    }
}

void weft__sim_flush(void)
{
    if (weft__sim.cur && weft__sim.cur->store_n)
        weft__sim_drain(weft__sim.cur, 0);
}

void weft__sim_store(char *addr, uint64_t value, unsigned bytes)
{
    struct sim_thread *t = weft__sim.cur;
    uintptr_t above = (uintptr_t)addr - (uintptr_t)__builtin_frame_address(0);

    if (above < STORE_STACK) { /* SB3 */
        weft__sim_drain(t, 0);
        store_out(&(struct sim_store){addr, value, bytes});
        return;
    }
    if (t->store_n == SIM_STORES_MAX)
        weft__sim_drain(t, SIM_STORES_MAX - 1);
    struct sim_store *s = &t->store[(t->store_at + t->store_n++) % SIM_STORES_MAX];
    s->addr = addr;
    s->value = value;
    s->bytes = bytes;
}

bool weft__sim_forward(char *addr, unsigned bytes, uint64_t *ret_value)
{
    struct sim_thread *t = weft__sim.cur;

    for (int i = t->store_n; i-- > 0;) {
        struct sim_store *s = &t->store[(t->store_at + i) % SIM_STORES_MAX];
        if (s->addr == addr && s->bytes == bytes) {
            *ret_value = s->value; /* SB2 */
            return true;
        }
        if (addr < s->addr + s->bytes && s->addr < addr + bytes) {
            weft__sim_drain(t, 0);
            return false;
        }
    }
    return false;
}
