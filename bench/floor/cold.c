/*
 * cold.c - floor of "100,000 woken in random order" and "100,000 sleepers": the memory that these must touch, the switches and
 * the clock calls, on one thread and without a scheduler.
 *
 * Role    floor-cold wake | sleep: 100,000 contexts, each on a stack of its own as weft lays them out: slots of 17 pages, a
 *         descriptor of two lines at the top, in one of 8 places.
 *         wake: a bell (a lock and who waits) is rung in random order: lock, take the waiter out of the sleeper's frame, write
 *         the value there, note it in the descriptor, queue it. Then all run, with the queue's prefetch: switch, lock the bell,
 *         wait again. send and run: the two halves.
 *         sleep: each context starts, looks at the clock (as the bench does), puts itself into a 4-ary heap for 1 ms, is taken
 *         out of it when that has passed, looks at the clock again and ends. The stacks were used before.
 *         Prints one line of JSON: the median of 7 runs; sleep as CPU time.
 * Limits  x86-64.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

enum { N = 100000, PAGE = 4096, SLOT = 17 * PAGE, LINE = 64, COLOURS = 8, RUNS = 7, AHEAD = 6, SOON = 3 };

struct cold {
    void *sp;
    uint32_t state;
    struct cold *next;
    struct bell *bell;
    int64_t late;
} __attribute__((aligned(2 * LINE)));

/* In the frame of who waits. */
struct waiter {
    struct cold *who;
    int64_t value;
};

struct bell {
    _Atomic uint32_t lock;
    uint32_t pad;
    struct waiter *waits;
    char rest[64]; /* about a channel's size */
};

struct entry {
    int64_t when;
    struct cold *who;
};

static struct cold *all[N];
static struct bell *bells[N];
static uint32_t order[N];
static struct cold *ring[N];
static uint32_t head, tail;
static struct entry heap[N];
static uint32_t heap_n;
static struct cold *running;
static void *loop_sp;
static char *slots;

void cold_switch(void **from, void *to);
__asm__(".text\n.globl cold_switch\n.type cold_switch,@function\ncold_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n.size cold_switch,.-cold_switch\n");

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void lock(struct bell *b)
{
    while (__atomic_exchange_n((uint32_t *)&b->lock, 1, __ATOMIC_ACQUIRE) != 0)
        ;
}

static void unlock(struct bell *b)
{
    __atomic_store_n((uint32_t *)&b->lock, 0, __ATOMIC_RELEASE);
}

/* The next of the queue, or the loop. */
static void leave(void **from)
{
    if (head == tail) {
        running = NULL;
        cold_switch(from, loop_sp);
        return;
    }
    struct cold *c = ring[head];
    if (tail - head > AHEAD) {
        const char *sp = ring[head + SOON]->sp;
        __builtin_prefetch(ring[head + AHEAD]);
        __builtin_prefetch(sp);
        __builtin_prefetch(sp + LINE);
        __builtin_prefetch(sp + 2 * LINE);
    }
    head++;
    running = c;
    c->state = 1;
    cold_switch(from, c->sp);
}

/* A context's code, for ever: it is started anew by context_reset. */
static void waits(void)
{
    struct cold *me = running;

    for (;;) {
        struct waiter w = {.who = me};
        lock(me->bell);
        me->bell->waits = &w;
        unlock(me->bell);
        me->state = 2;
        leave(&me->sp);
        __asm__ volatile("" : : "r"(&w) : "memory");
        me->late += w.value;
    }
}

static void heap_put(struct entry e)
{
    uint32_t i = heap_n++;

    for (; i > 0 && heap[(i - 1) / 4].when > e.when; i = (i - 1) / 4)
        heap[i] = heap[(i - 1) / 4];
    heap[i] = e;
}

static struct cold *heap_take(void)
{
    struct cold *c = heap[0].who;
    struct entry e = heap[--heap_n];
    uint32_t i = 0;

    for (;;) {
        uint32_t k = 4 * i + 1, best = k;
        if (k >= heap_n)
            break;
        for (uint32_t j = k + 1; j < heap_n && j < k + 4; j++)
            if (heap[j].when < heap[best].when)
                best = j;
        if (heap[best].when >= e.when)
            break;
        heap[i] = heap[best];
        i = best;
    }
    heap[i] = e;
    return c;
}

static void sleeps(void)
{
    struct cold *me = running;
    int64_t t0 = now_ns();

    heap_put((struct entry){now_ns() + 1000000, me});
    me->state = 2;
    leave(&me->sp);
    me->late = now_ns() - t0 - 1000000;
    leave(&me->sp);
    abort();
}

static void queue(struct cold *c)
{
    c->state = 0;
    ring[tail++] = c;
}

static void context_reset(struct cold *c, void (*fn)(void))
{
    void **sp = (void **)(((uintptr_t)c & ~(uintptr_t)15) - 16);

    *sp = NULL;
    *--sp = (void *)fn;
    c->sp = sp - 6;
}

static void run_queue(void)
{
    if (head != tail)
        leave(&loop_sp);
    head = tail = 0;
}

static void make_all(void)
{
    uint64_t x = 88172645463325252u;

    slots = mmap(NULL, (size_t)N * SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slots == MAP_FAILED) {
        perror("floor-cold: mmap");
        exit(1);
    }
    (void)madvise(slots, (size_t)N * SLOT, MADV_NOHUGEPAGE);
    for (uint32_t i = 0; i < N; i++) {
        char *lo = slots + (size_t)i * SLOT;
        all[i] = (struct cold *)(lo + SLOT - 4 * LINE - (uintptr_t)lo / PAGE % COLOURS * LINE / (2 * LINE) * (2 * LINE));
        bells[i] = calloc(1, sizeof *bells[i]);
        if (!bells[i])
            exit(1);
        all[i]->bell = bells[i];
        order[i] = i;
    }
    for (uint32_t i = N - 1; i > 0; i--) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint32_t j = (uint32_t)(x % (i + 1)), o = order[i];
        order[i] = order[j];
        order[j] = o;
    }
}

static void wake_once(int64_t *ret_send, int64_t *ret_run)
{
    int64_t t0 = now_ns();

    for (uint32_t i = 0; i < N; i++) {
        struct bell *b = bells[order[i]];
        lock(b);
        struct waiter *w = b->waits;
        b->waits = NULL;
        w->value = i;
        unlock(b);
        queue(w->who);
    }
    int64_t t1 = now_ns();
    run_queue();
    *ret_send = t1 - t0;
    *ret_run = now_ns() - t1;
}

static int64_t sleep_once(void)
{
    int64_t c0 = cpu_ns();

    for (uint32_t i = 0; i < N; i++) {
        context_reset(all[i], sleeps);
        queue(all[i]);
    }
    run_queue();
    while (heap_n) {
        int64_t now = now_ns();
        while (heap_n && heap[0].when <= now)
            queue(heap_take());
        run_queue();
    }
    return cpu_ns() - c0;
}

static int cmp(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double median(int64_t *x)
{
    qsort(x, RUNS, sizeof *x, cmp);
    return (double)x[RUNS / 2];
}

int main(int argc, char **argv)
{
    int64_t send[RUNS], run[RUNS], sum[RUNS];

    make_all();
    if (argc > 1 && !strcmp(argv[1], "sleep")) {
        (void)sleep_once();
        for (int r = 0; r < RUNS; r++)
            sum[r] = sleep_once();
        double ns = median(sum);
        printf("{\"bench\": \"floor_cold_sleep\", \"unit\": \"sleep\", \"n\": %d, \"ns_per_op\": %.1f, \"cpu_ms\": %.2f}\n", N, ns / N,
               ns / 1e6);
        return 0;
    }
    for (uint32_t i = 0; i < N; i++) {
        context_reset(all[i], waits);
        queue(all[i]);
    }
    run_queue();
    wake_once(&send[0], &run[0]);
    for (int r = 0; r < RUNS; r++) {
        wake_once(&send[r], &run[r]);
        sum[r] = send[r] + run[r];
    }
    printf("{\"bench\": \"floor_cold_wake\", \"unit\": \"wake\", \"n\": %d, \"ns_per_op\": %.1f, \"send_ns\": %.1f, \"run_ns\": %.1f}\n", N,
           median(sum) / N, median(send) / N, median(run) / N);
    return 0;
}
