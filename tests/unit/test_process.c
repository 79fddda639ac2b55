/*
 * test_process.c - weft as a part of a process: idle, CPUs it may use, children.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "arch/fiber.h"
#include "weft_test.h"

/* ---- idle ---- */

/* Context switches of all threads of the process but the calling one. */
static long switches_of_others(void)
{
    DIR *d = opendir("/proc/self/task");
    long sum = 0;

    REQUIRE(d != NULL);
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], line[128];
        long n;
        if (e->d_name[0] == '.' || atoi(e->d_name) == gettid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof line, f))
            if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1 || sscanf(line, "nonvoluntary_ctxt_switches: %ld", &n) == 1)
                sum += n;
        if (f)
            fclose(f);
    }
    closedir(d);
    return sum;
}

static void nap_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) < 0)
        ;
}

enum { AWAKE_MAX = WEFT__TSAN ? 15 : 0 }; /* ThreadSanitizer has a thread that looks around ten times a second */

/* Looks from outside of weft; says the fewest switches in a second, of some seconds, and ends the test. */
static void *watch_idle(void *arg)
{
    weft_chan(int) end = arg;
    long least = -1;

    for (int i = 0; i < 12 && (least < 0 || least > AWAKE_MAX); i++) { /* the runtime's own tidying may take the first ones */
        long before = switches_of_others();
        nap_ms(1000);
        long n = switches_of_others() - before;
        if (least < 0 || n < least)
            least = n;
    }
    while (!weft_try_send(end, (int)least))
        nap_ms(1);
    return NULL;
}

static void wait_for_close(weft_chan(int) ch)
{
    (void)weft_recv(ch);
}

TEST_ENV(process, idle_makes_no_wake_up_in_a_second, "WEFT_PROCS=2")
{
    weft_chan(int) end = weft_make(int, 1), never = weft_make(int);
    int fds[2];
    pthread_t t;

    for (int i = 0; i < 1000; i++)
        weft_go(wait_for_close, never);
    weft_timer far = {0};
    weft_timer_start(&far, 3600 * WEFT_SEC);
    REQUIRE(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
    EXPECT_EQ(weft_fd_wait(NULL, fds[1], WEFT_WRITE), WEFT_WRITE); /* the poller runs too */
    REQUIRE(pthread_create(&t, NULL, watch_idle, (void *)end) == 0);
    int least = weft_recv(end);
    EXPECT(least >= 0 && least <= AWAKE_MAX);
    pthread_join(t, NULL);
    weft_timer_stop(&far);
    weft_close(never);
    while (weft_num_goroutines() > 1)
        weft_sleep(WEFT_MS);
    close(fds[0]);
    close(fds[1]);
    weft_free(never);
    weft_free(end);
}

/* ---- CPUs ---- */

TEST(process, procs_are_the_cpus_of_the_affinity_mask)
{
    cpu_set_t all, one;

    unsetenv("WEFT_PROCS");
    REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    EXPECT_EQ(weft_procs(0), 1);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    REQUIRE(f != NULL);
    fputs(text, f);
    fclose(f);
}

/* A quota of half a CPU, rounded up: one processor, though the affinity mask has more. The kernel's files are played by ones
 * of our own, in a mount name space of this process. */
TEST(process, procs_honour_a_cgroup_quota)
{
    char line[256], dir[300] = "/sys/fs/cgroup", path[320];
    cpu_set_t all;

    unsetenv("WEFT_PROCS");
    REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
    if (CPU_COUNT(&all) < 2)
        weft_test_skip("one CPU only");
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", dir, "tmpfs", 0, NULL) < 0)
        weft_test_skip("cannot mount here");
    FILE *f = fopen("/proc/self/cgroup", "r");
    REQUIRE(f != NULL);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "0::/", 4) == 0) {
            line[strcspn(line, "\n")] = 0;
            for (char *part = strtok(line + 4, "/"); part; part = strtok(NULL, "/")) {
                strcat(strcat(dir, "/"), part);
                REQUIRE(mkdir(dir, 0755) == 0);
            }
        }
    fclose(f);
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    write_file(path, "50000 100000\n");
    EXPECT_EQ(weft_procs(0), 1);
}

/* ---- children ---- */

extern char **environ;

static void run_true(_Atomic int *ok, weft_waitgroup *wg)
{
    char *argv[] = {(char *)"true", NULL};
    pid_t pid;
    int status = -1;

    if (posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0 && waitpid(pid, &status, 0) == pid && status == 0)
        atomic_fetch_add(ok, 1);
    weft_waitgroup_done(wg);
}

TEST_ENV(process, posix_spawn_works_from_many_goroutines, "WEFT_PROCS=4")
{
    static _Atomic int ok;
    static weft_waitgroup wg;

    weft_waitgroup_add(&wg, 40);
    for (int i = 0; i < 40; i++)
        weft_go(run_true, &ok, &wg);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(ok, 40);
}

static void compute(_Atomic int *stop)
{
    while (!atomic_load(stop))
        weft_yield();
}

/* fork copies one thread only; the child may do what POSIX allows there, and exec. */
static void fork_and_exec(_Atomic int *ok, weft_waitgroup *wg)
{
    char *argv[] = {(char *)"true", NULL};
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        execvp("true", argv);
        _exit(127);
    }
    if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
        atomic_fetch_add(ok, 1);
    weft_waitgroup_done(wg);
}

TEST_ENV(process, fork_and_exec_work_while_others_compute, "WEFT_PROCS=2")
{
    static _Atomic int ok, stop;
    static weft_waitgroup wg;

    for (int i = 0; i < 4; i++)
        weft_go(compute, &stop);
    weft_waitgroup_add(&wg, 20);
    for (int i = 0; i < 20; i++)
        weft_go(fork_and_exec, &ok, &wg);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(ok, 20);
    atomic_store(&stop, 1);
    while (weft_num_goroutines() > 1)
        weft_sleep(WEFT_MS);
}

/* ---- starvation ---- */

static _Atomic long pair_steps;
static _Atomic int pair_stop;

/* How often the system has taken a CPU from us. */
static long switches_of_all(void)
{
    struct rusage u;

    REQUIRE(getrusage(RUSAGE_SELF, &u) == 0);
    return u.ru_nvcsw + u.ru_nivcsw;
}

static void talk(weft_chan(int) in, weft_chan(int) out)
{
    while (!atomic_load(&pair_stop)) {
        weft_send(out, weft_recv(in) + 1);
        atomic_fetch_add(&pair_steps, 1);
    }
}

/* Two that hand each other the processor through the next slot, for ever, and one behind them in the queue: it comes on
 * within a bounded number of their steps. */
TEST_ENV(process, a_runnable_goroutine_waits_for_a_bounded_number_of_steps, "WEFT_PROCS=1")
{
    weft_chan(int) a = weft_make(int, 1), b = weft_make(int, 1);
    int late = 0;

    weft_go(talk, a, b);
    weft_go(talk, b, a);
    weft_send(a, 0);
    long switches = switches_of_all();
    for (int i = 0; i < 2000 || atomic_load(&pair_steps) <= 2000; i++) {
        long before = atomic_load(&pair_steps);
        weft_yield();
        long n = atomic_load(&pair_steps) - before;
        late += n > 64; /* policy.h next_max is 16, and each of the two has its turn */
    }
    EXPECT(late <= 40 + switches_of_all() - switches); /* where the CPU is taken from main, its processor goes on without it */
    atomic_store(&pair_stop, 1);
    while (weft_num_goroutines() > 1) {
        int v;
        (void)weft_try_send(a, 0), (void)weft_try_send(b, 0);
        weft_yield();
        (void)weft_try_recv(a, &v), (void)weft_try_recv(b, &v);
    }
    weft_free(a);
    weft_free(b);
}
