/*
 * real.c - the seam's real side: Linux.
 *
 * Role    Each function is one kernel service in the form sys.h states; a simulation, where there is one, answers instead.
 *         Layer 1.
 * Limits  Membarrier needs Linux 4.14, and a sandbox that lets it through; WEFT_MEMBARRIER=0 does without. Restartable
 *         sequences need Linux 5.10 and glibc 2.35.
 *         Guards by MADV_GUARD_INSTALL from 6.13 on, else mprotect; several in one call where process_madvise(2) knows PIDFD_SELF.
 */
#include "sys.h"

#include "../base/assert.h"
#include "../base/lock.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<sys/rseq.h>) /* glibc 2.35 */
#include <sys/rseq.h>
#define REAL_RSEQ 1
#else
#define REAL_RSEQ 0
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
enum { REAL_PIDFD_SELF = -10001 }; /* PIDFD_SELF_THREAD_GROUP of linux/pidfd.h */

/* The C library's own: nothing parks in here, and the accessor of weft/base.h is an edge between goroutines for
 * ThreadSanitizer, which the scheduler's sleeps would then hand on to everybody. */
#undef errno
#define errno (*__errno_location())

const struct weft__sys_sim *weft__sys_sim;

static int64_t real_ns(const struct timespec *t)
{
    return (int64_t)t->tv_sec * WEFT_SEC + t->tv_nsec;
}

weft_time weft__sys_now(void)
{
    if (weft__unlikely(weft__sys_sim != NULL))
        return weft__sys_sim->now();
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return real_ns(&t);
}

int64_t weft__sys_thread_cpu(int clock_id)
{
    if (weft__unlikely(weft__sys_sim != NULL))
        return weft__sys_sim->thread_cpu(clock_id);
    struct timespec t;
    if (clock_gettime((clockid_t)clock_id, &t) != 0)
        return -1;
    return real_ns(&t);
}

int weft__sys_thread_clock(void)
{
    if (weft__unlikely(weft__sys_sim != NULL))
        return weft__sys_sim->thread_clock();
    clockid_t id;
    if (pthread_getcpuclockid(pthread_self(), &id) != 0)
        return CLOCK_THREAD_CPUTIME_ID;
    return (int)id;
}

uint64_t weft__sys_entropy(void)
{
    if (weft__unlikely(weft__sys_sim != NULL))
        return weft__sys_sim->entropy();
    uint64_t v = 0;
    if (getrandom(&v, sizeof v, GRND_NONBLOCK) != sizeof v)
        v = (uint64_t)weft__sys_now() * 0x9e3779b97f4a7c15u;
    return v;
}

int weft__sys_futex_wait(_Atomic uint32_t *addr, uint32_t expect, weft_dur timeout)
{
    if (weft__unlikely(weft__sys_sim != NULL))
        return weft__sys_sim->futex_wait(addr, expect, timeout);
    struct timespec ts, *tp = NULL;
    if (timeout >= 0) {
        ts = (struct timespec){.tv_sec = timeout / WEFT_SEC, .tv_nsec = timeout % WEFT_SEC};
        tp = &ts;
    }
    return syscall(SYS_futex, addr, FUTEX_WAIT_PRIVATE, expect, tp, NULL, 0) < 0 ? -errno : 0;
}

void weft__sys_futex_wake(_Atomic uint32_t *addr, int n)
{
    if (weft__unlikely(weft__sys_sim != NULL)) {
        weft__sys_sim->futex_wake(addr, n);
        return;
    }
    (void)syscall(SYS_futex, addr, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0); /* nobody there is no error */
}

static bool real_no_membarrier; /* [const once started] */

void weft__sys_barrier_all(void)
{
    if (weft__unlikely(weft__sys_sim != NULL)) {
        weft__sys_sim->barrier_all();
        return;
    }
    if (weft__unlikely(real_no_membarrier))
        atomic_thread_fence(memory_order_seq_cst);
    else
        (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0); /* registered: cannot fail */
}

static bool real_barrier_forbidden(void)
{
    const char *e = getenv("WEFT_MEMBARRIER");
    return e && strcmp(e, "0") == 0;
}

int weft__sys_barrier_init(void)
{
    real_no_membarrier = real_barrier_forbidden() || syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) < 0;
    return real_no_membarrier ? WEFT_EUNSUPPORTED : 0;
}

_Atomic intptr_t weft__restart_at;

/* Not under ThreadSanitizer, which would not see the store, nor in a simulation, for whose memory it would come too soon.
 * Several threads may do this at once, to the same end. */
void weft__sys_restart_init(void)
{
    intptr_t at = 1, unknown = 0;

#if WEFT__RESTARTS && REAL_RSEQ && !WEFT__TSAN
    if (!weft__sys_sim && __rseq_size != 0 && !real_barrier_forbidden() &&
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0)
        at = __rseq_offset;
#endif
    atomic_compare_exchange_strong_explicit(&weft__restart_at, &unknown, at, memory_order_relaxed, memory_order_relaxed);
}

void weft__sys_restart_all(void)
{
    if (atomic_load_explicit(&weft__restart_at, memory_order_relaxed) == 0)
        weft__sys_restart_init();
#if REAL_RSEQ
    if (atomic_load_explicit(&weft__restart_at, memory_order_relaxed) != 1)
        (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0); /* registered: cannot fail */
#endif
}

void *weft__sys_reserve(size_t bytes, size_t align)
{
    char *p = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    char *at = (char *)(((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
    if (at > p)
        munmap(p, (size_t)(at - p));
    size_t tail = (size_t)(p + bytes + align - (at + bytes));
    if (tail)
        munmap(at + bytes, tail);
    (void)madvise(at, bytes, MADV_NOHUGEPAGE); /* an older kernel without THP says no: nothing is lost */
    return at;
}

static _Atomic int real_by_advice; /* 1 once MADV_GUARD_INSTALL has made a guard, -1 once it has not */

int weft__sys_guard(void *addr, size_t bytes)
{
    int how = atomic_load_explicit(&real_by_advice, memory_order_relaxed);
    /* The first is tried: it must not let itself be filled. qemu-user says yes to any advice and does nothing. */
    if (how >= 0 && madvise(addr, bytes, MADV_GUARD_INSTALL) == 0 &&
        (how > 0 || (madvise(addr, bytes, MADV_POPULATE_READ) != 0 && errno == EFAULT))) {
        if (how == 0)
            atomic_store_explicit(&real_by_advice, 1, memory_order_relaxed);
        return 0;
    }
    atomic_store_explicit(&real_by_advice, -1, memory_order_relaxed);
    return mprotect(addr, bytes, PROT_NONE) != 0 ? -errno : 0;
}

int weft__sys_guards(char *addr, size_t stride, uint32_t n, size_t bytes)
{
    static _Atomic int no_batches; /* 1 once the kernel has refused one: before 6.15, or a sandbox */
    struct iovec v[32];
    int r = 0;

    if (n <= 32 && atomic_load_explicit(&real_by_advice, memory_order_relaxed) > 0 && /* tried with a single one */
        !atomic_load_explicit(&no_batches, memory_order_relaxed)) {
        for (uint32_t i = 0; i < n; i++)
            v[i] = (struct iovec){addr + i * stride, bytes};
        if (syscall(SYS_process_madvise, REAL_PIDFD_SELF, v, n, MADV_GUARD_INSTALL, 0) == (long)(n * bytes))
            return 0;
        atomic_store_explicit(&no_batches, 1, memory_order_relaxed);
    }
    for (uint32_t i = 0; r == 0 && i < n; i++) /* again where it is done already: that does no harm */
        r = weft__sys_guard(addr + i * stride, bytes);
    return r;
}

void *weft__sys_alloc(size_t bytes)
{
    return calloc(1, bytes);
}

void *weft__sys_alloc_raw(size_t bytes)
{
    return malloc(bytes);
}

void weft__sys_free(void *p)
{
    free(p);
}

/* cgroup v2: the quota of our group and of its parents, in CPUs rounded up; 0 when there is none. */
static __attribute__((noinline)) int real_cgroup_cpus(void)
{
    char line[384], path[448];
    int best = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return 0;
    char *dir = NULL;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "0::", 3) == 0) {
            line[strcspn(line, "\n")] = 0;
            dir = line + 3;
            break;
        }
    fclose(f);
    while (dir && *dir) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", strcmp(dir, "/") ? dir : "");
        FILE *q = fopen(path, "re");
        long long quota = 0, period = 0;
        if (q) {
            if (fscanf(q, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0) {
                int cpus = (int)((quota + period - 1) / period);
                if (best == 0 || cpus < best)
                    best = cpus;
            }
            fclose(q);
        }
        char *slash = strrchr(dir, '/');
        if (!slash || strcmp(dir, "/") == 0)
            break;
        slash[slash == dir ? 1 : 0] = 0;
    }
    return best;
}

int weft__sys_cpus(void)
{
    if (weft__unlikely(weft__sys_sim != NULL))
        return weft__sys_sim->cpus();
    cpu_set_t set;
    int n = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
    int quota = real_cgroup_cpus();
    if (quota > 0 && quota < n)
        n = quota;
    return n > 0 ? n : 1;
}

int weft__sys_thread_count(void)
{
    if (weft__unlikely(weft__sys_sim != NULL))
        return weft__sys_sim->thread_count();
    DIR *d = opendir("/proc/self/task");
    if (!d)
        return -errno;
    int n = 0;
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            n++;
    /* While a thread ends, the list may leave out another that lives on (35 of 60,000 lists, where each thread started the next one
     * and ended). The number of links is taken at once: two, and one for each. */
    struct stat st;
    if (fstat(dirfd(d), &st) == 0 && (int)st.st_nlink - 2 > n)
        n = (int)st.st_nlink - 2;
    closedir(d);
    return n;
}

/* Does /proc number the threads as we do? Not where it is another PID name space's. */
static bool real_proc_is_ours(void)
{
    static _Atomic int known; /* 1 yes, -1 no */
    int is = atomic_load_explicit(&known, memory_order_relaxed);

    if (is == 0) {
        char ours[40], link[40];
        int want = snprintf(ours, sizeof ours, "%d/task/%d", (int)getpid(), (int)syscall(SYS_gettid));
        ssize_t n = readlink("/proc/thread-self", link, sizeof link);
        is = n == want && memcmp(ours, link, (size_t)n) == 0 ? 1 : -1;
        atomic_store_explicit(&known, is, memory_order_relaxed);
    }
    return is > 0;
}

/* The beginning of one of a thread's files; its length, 0 if it is not to be had. */
static size_t real_task_file(int tid, const char *file, char *line, size_t cap)
{
    char path[48];

    if (!real_proc_is_ours())
        return 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, file);
    /* By number: who stands in for open, read and close (libweft-posix, ThreadSanitizer) takes them for the program's. */
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = syscall(SYS_read, fd, line, cap);
    (void)syscall(SYS_close, fd);
    return n > 0 ? (size_t)n : 0;
}

enum weft__sys_state weft__sys_thread_state(int tid)
{
    char line[64];

    if (weft__unlikely(weft__sys_sim != NULL))
        return weft__sys_sim->thread_state(tid);
    /* "TID (NAME) STATE ...": a name has 15 bytes at most, of any kind; after it come letters, digits, signs and spaces. */
    size_t n = real_task_file(tid, "stat", line, sizeof line);
    const char *end = memrchr(line, ')', n);
    if (!end || end + 2 >= line + n || end[2] == 'Z' || end[2] == 'X')
        return WEFT__SYS_UNKNOWN;
    return end[2] == 'R' ? WEFT__SYS_WANTS_CPU : WEFT__SYS_WAITS;
}

enum weft__sys_lock weft__sys_thread_locked(int tid)
{
    char line[24];
    int number = -1, clock = -1;

    if (weft__unlikely(weft__sys_sim != NULL))
        return weft__sys_sim->thread_locked(tid);
    size_t n = real_task_file(tid, "syscall", line, sizeof line - 1); /* "NUMBER ARGUMENT ...", or "running" */
    line[n] = 0;
    if (sscanf(line, "%d %i", &number, &clock) < 1)
        return WEFT__SYS_NO_LOCK;
    if (number == SYS_clock_nanosleep && clock == WEFT__NAP_CLOCK)
        return WEFT__SYS_NAP;
    return number == SYS_futex ? WEFT__SYS_FUTEX : WEFT__SYS_NO_LOCK;
}

void weft__sys_timer_slack(void)
{
    (void)prctl(PR_SET_TIMERSLACK, 1);
}

int weft__sys_tid(void)
{
    if (weft__unlikely(weft__sys_sim != NULL))
        return weft__sys_sim->tid();
    return (int)syscall(SYS_gettid);
}

int weft__sys_pid(void)
{
    return (int)getpid();
}

int weft__sys_thread_start(void *(*fn)(void *), void *arg, size_t stack_bytes)
{
    if (weft__unlikely(weft__sys_sim != NULL))
        return weft__sys_sim->thread_start(fn, arg, stack_bytes);
    pthread_attr_t a;
    pthread_t t;
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    if (stack_bytes)
        pthread_attr_setstacksize(&a, stack_bytes);
    int err = pthread_create(&t, &a, fn, arg);
    pthread_attr_destroy(&a);
    return -err;
}

void weft__sys_thread_stack(char **ret_lo, char **ret_hi)
{
    if (weft__unlikely(weft__sys_sim != NULL) && weft__sys_sim->thread_stack(ret_lo, ret_hi))
        return;
    pthread_attr_t a;
    void *lo = NULL;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &a) == 0) {
        pthread_attr_getstack(&a, &lo, &bytes);
        pthread_attr_destroy(&a);
    }
    *ret_lo = lo;
    *ret_hi = (char *)lo + bytes;
}
