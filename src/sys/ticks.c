/*
 * ticks.c - an instant that is not before now, for less than a look at the clock costs.
 *
 * Role    A deadline may lie some microseconds late, never early. So it need not be reckoned from the clock itself: from the
 *         clock's time at this thread's last look and the processor's time stamp counter since then, if that look is
 *         fresh. On x86-64 the kernel's clock is this counter and much arithmetic; a timer that is set takes half as long.
 * Near    sys.h (weft__sys_later, the quick part). Layer 1.
 * Invariants
 *   TK1  The clock shows less than LOOK_NS / 4 more than what is reckoned before that quarter is added: since the look
 *        fewer than LOOK_NS have passed by the scale, and the kernel speeds a clock up by a tenth at most (adjtimex).
 *   TK2  The scale is set once, from two looks a millisecond apart or more, each of them short; until then, and where the
 *        kernel does not trust the counter itself (its clock source is another), the clock is read each time.
 * Limits  Late by LOOK_NS / 4 and what an interrupt between a look's two halves takes, LOOK_NS at most.
 * Source  Linux Documentation/timers/timekeeping; arch/x86/kernel/tsc.c.
 */
#include "sys.h"

#include "../base/lock.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_NS = 8192, SHORT_TICKS = 8192 };

_Atomic uint64_t weft__sys_tick_scale;

static struct {
    struct weft__lock lock;
    _Atomic bool trusted;           /* TK2; set before the first timer, given up at most once */
    uint64_t ticks;                 /* [lock] the first look, 0: none */
    weft_time at;
} ticks_first;

void weft__sys_ticks_init(void)
{
    static const char tsc[] = "tsc\n";
    char source[sizeof tsc] = "";
    int fd = WEFT__TICKS ? open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    bool is = read(fd, source, sizeof source) == sizeof tsc - 1 && memcmp(source, tsc, sizeof tsc - 1) == 0;
    atomic_store_explicit(&ticks_first.trusted, is, memory_order_relaxed);
    (void)close(fd); /* it was only read */
}

/* A look that took from `before` to `after`. */
static void ticks_learn(uint64_t before, weft_time now, uint64_t after)
{
    if (after - before > SHORT_TICKS || !weft__lock_try(&ticks_first.lock))
        return;
    weft_dur span = now - ticks_first.at;
    if (ticks_first.ticks == 0 || span > WEFT_SEC) {
        ticks_first.ticks = after;
        ticks_first.at = now;
    } else if (span >= WEFT_MS) {
        double scale = (double)span / (double)(before - ticks_first.ticks) * 0x1p32;
        if (scale > 0x1p28 && scale < 0x1p34) /* a counter of 16 GHz down to 250 MHz */
            atomic_store_explicit(&weft__sys_tick_scale, (uint64_t)scale, memory_order_relaxed); /* TK2 */
        else
            atomic_store_explicit(&ticks_first.trusted, false, memory_order_relaxed);
    }
    weft__unlock(&ticks_first.lock);
}

weft_time weft__sys_later_look(struct weft__sys_look *look)
{
    uint64_t before = weft__ticks();
    weft_time now = weft__sys_now();

    if (weft__sys_sim || !atomic_load_explicit(&ticks_first.trusted, memory_order_relaxed))
        return now;
    uint64_t scale = atomic_load_explicit(&weft__sys_tick_scale, memory_order_relaxed);
    if (scale == 0) {
        ticks_learn(before, now, weft__ticks());
        return now;
    }
    look->ticks = before;
    look->room = ((uint64_t)LOOK_NS << 32) / scale;
    look->at = now + LOOK_NS / 4; /* TK1 */
    return look->at;
}
