/*
 * pair.c - floor of the rows "select ping-pong" and "defer": the same steps without a scheduler.
 *
 * Role    One line of JSON a floor: ns, the best of RUNS runs. docs/perf/limits.md sets them beside the rows.
 *         select   two contexts that take turns as the row's do. Each hands a value to the other, which waits in two lines
 *                  (a lock, a claim, a copy), and then waits in two lines itself: both locks, two waiters put in line, a
 *                  switch, and on the way back the lock of the line that gave nothing. A round trip has two turns.
 *         defer    a record linked into a chain, unlinked at the end of the block, and its function called through a pointer
 *         call     the same two functions without the record: what Go's compiler makes of its defer
 * Near    bench/micro/selects.c, unwinds.c; locks.c.
 * Limits  x86-64.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { RUNS = 15, N = 1000000, STACK = 65536 };

struct waiter {
    struct waiter *next, *prev;
    _Atomic uint32_t *claim;
    int64_t *value;
    uint32_t index;
};

struct line {
    _Atomic uint32_t lock;
    struct waiter *first, *last;
};

static struct line to_echo, to_main, done;
static void *sp[2];
static _Alignas(16) char stack[STACK];
static volatile long sink;

void pair_switch(void **from, void *to);
__asm__(".text\n.globl pair_switch\n.type pair_switch,@function\npair_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n.size pair_switch,.-pair_switch\n");

static void lock(struct line *l)
{
    while (atomic_exchange_explicit(&l->lock, 1, memory_order_acquire) != 0)
        ;
}

static void unlock(struct line *l)
{
    atomic_store_explicit(&l->lock, 0, memory_order_release);
}

static void put(struct line *l, struct waiter *w)
{
    w->next = NULL;
    w->prev = l->first ? l->last : NULL;
    if (w->prev)
        w->prev->next = w;
    else
        l->first = w;
    l->last = w;
}

static void take(struct line *l, struct waiter *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        l->first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        l->last = w->prev;
}

static __attribute__((noinline)) void hand(struct line *l, int64_t v)
{
    uint32_t none = 0;

    lock(l);
    struct waiter *w = l->first;
    take(l, w);
    if (atomic_compare_exchange_strong_explicit(w->claim, &none, w->index + 1, memory_order_relaxed, memory_order_relaxed))
        *w->value = v;
    unlock(l);
}

static __attribute__((noinline)) int64_t wait_in(struct line *l, int me)
{
    _Atomic uint32_t claim = 0;
    int64_t v = 0;
    struct waiter w[2] = {{.claim = &claim, .value = &v}, {.claim = &claim, .index = 1}};

    lock(l);
    lock(&done);
    put(l, &w[0]);
    put(&done, &w[1]);
    unlock(&done);
    unlock(l);
    pair_switch(&sp[me], sp[!me]);
    if (atomic_load_explicit(&claim, memory_order_relaxed) == 1) {
        lock(&done);
        take(&done, &w[1]);
        unlock(&done);
    }
    __asm__ volatile("" : "+m"(v));
    return v;
}

static void echo(void)
{
    for (;;)
        hand(&to_main, wait_in(&to_echo, 1));
}

static void selects(long n)
{
    for (long i = 0; i < n; i++) {
        hand(&to_echo, i);
        sink = (long)wait_in(&to_main, 0);
    }
}

struct record {
    void (*fn)(void);
    struct record **head, *prev;
};
static struct record *top;

static __attribute__((noinline)) void called(void)
{
    sink++;
}

static __attribute__((noinline)) void begin(struct record *r)
{
    r->prev = top;
    r->head = &top;
    top = r;
}

static __attribute__((noinline)) void end(struct record *r)
{
    *r->head = r->prev;
    r->fn();
}

static __attribute__((noinline)) void block(void)
{
    struct record r = {.fn = called};
    begin(&r);
    end(&r);
}

static void defers(long n)
{
    for (long i = 0; i < n; i++)
        block();
}

static __attribute__((noinline)) void plain(void)
{
    called();
    __asm__ volatile("");
}

static void calls(long n)
{
    for (long i = 0; i < n; i++)
        plain();
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void floor_of(const char *name, void (*f)(long n))
{
    double best = 1e18;

    for (int r = 0; r < RUNS; r++) {
        double t0 = now();
        f(N);
        double ns = (now() - t0) / N;
        best = ns < best ? ns : best;
    }
    printf("{\"floor\": \"%s\", \"ns\": %.2f}\n", name, best);
}

/* echo's context; it runs up to its first wait. */
static void echo_begin(void)
{
    void **at = (void **)(stack + STACK - 24); /* as after a call: 8 off a multiple of 16 */

    *at = NULL;
    *--at = (void *)echo;
    sp[1] = at - 6;
    pair_switch(&sp[0], sp[1]);
}

int main(void)
{
    echo_begin();
    floor_of("select", selects);
    floor_of("defer", defers);
    floor_of("call", calls);
    return 0;
}
