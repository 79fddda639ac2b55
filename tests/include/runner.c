/*
 * runner.c - runs the tests that a binary holds, each in a process of its own, several at once.
 *
 * Role    Collect what TEST and its kin registered, exec itself once per test, judge the outcome.
 * Near    tests/include/weft_test.h (the face), tests/run (runs every binary and adds up).
 *
 * usage   BINARY [-j N] [-v] [--list] [FILTER]     FILTER: SUITE.NAME, SUITE, or a part of either
 *         BINARY --run SUITE.NAME                  in this process, as a debugger wants it
 *
 * Invariants
 *   R1  The parent never calls weft: no runtime starts in it, so fork is safe and every child is fresh.
 *   R2  A child inherits descriptors 0, 1, 2 only; what else is open after the test is a leak.
 * Failure A test fails when it reports a failure, ends with another status than it should, outlives its time, or
 *         leaves goroutines or descriptors. Status 77 is a skip. Times are stretched by WEFT_TEST_STRETCH=N, and by the
 *         time that the test's threads have waited for a CPU: a busy machine is no failure, a deadlock and an endless loop are.
 * Limits  64 at once. Output of a test is kept in memory and shown, cut to 64 KiB, only if it fails.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "weft_test.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Weak: a binary whose tests need no runtime may link without one. tests/meson.build asks for them with -u. */
extern size_t weft_num_goroutines(void) __attribute__((weak));
extern void weft_sleep(int64_t ns) __attribute__((weak));

extern const struct weft_test *const __start_weft_tests[] __attribute__((weak));
extern const struct weft_test *const __stop_weft_tests[] __attribute__((weak));

enum { RUNNER_MAX = 64, FD_MAX = 1024, SHOW_MAX = 65536, SETTLE_MS = 10000, QUIT_GRACE_S = 10, WAIT_SHARE = 20 };

/* ---- in the child ---- */

static atomic_int fail_count;

void weft_test_fail(const char *file, int line, const char *fmt, ...)
{
    char buf[2048];
    int n = snprintf(buf, sizeof(buf), "%s:%d: ", file, line);
    va_list ap;

    va_start(ap, fmt);
    int m = vsnprintf(buf + n, sizeof(buf) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    n += m < (int)sizeof(buf) - n - 1 ? m : (int)sizeof(buf) - n - 2;
    buf[n++] = '\n';
    if (write(STDERR_FILENO, buf, (size_t)n) < 0)
        abort();
    atomic_fetch_add_explicit(&fail_count, 1, memory_order_relaxed);
}

_Noreturn void weft_test_skip(const char *why)
{
    fflush(NULL);
    if (write(STDERR_FILENO, why, strlen(why)) < 0)
        abort();
    _exit(77);
}

/* Sets seen[fd] for every open descriptor; with report, complains of those that were_seen lacks. Returns how many. */
static int fd_scan(bool *seen, const bool *were_seen, bool report)
{
    DIR *d = opendir("/proc/self/fd");
    int fresh = 0;

    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));) {
        int fd = atoi(e->d_name);
        char path[64], to[256];

        if (e->d_name[0] == '.' || fd == dirfd(d) || fd >= FD_MAX)
            continue;
        if (seen)
            seen[fd] = true;
        if (!were_seen || were_seen[fd])
            continue;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, to, sizeof(to) - 1);
        to[n > 0 ? n : 0] = 0;
        /* the runtime's own, made when first needed and kept for ever */
        if (strncmp(to, "anon_inode:[event", 17) == 0 || strcmp(to, "anon_inode:[timerfd]") == 0 ||
            strcmp(to, "anon_inode:[io_uring]") == 0)
            continue;
        fresh++;
        if (report)
            weft_test_fail("runner", 0, "descriptor %d is left open: %s", fd, to);
    }
    closedir(d);
    return fresh;
}

static void nap_1ms(void)
{
    if (weft_sleep)
        weft_sleep(1000000);
    else
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

/* Goroutines and descriptors that the test left; both get a moment to go, as ending is not instant. */
static void leak_check(const bool *fds_before)
{
    for (int i = 0; i < SETTLE_MS; i++) {
        if ((!weft_num_goroutines || weft_num_goroutines() == 1) && fd_scan(NULL, fds_before, false) == 0)
            return;
        nap_1ms();
    }
    size_t n = weft_num_goroutines ? weft_num_goroutines() : 1;
    if (n != 1)
        weft_test_fail("runner", 0, "%zu goroutines are left beside the test's own", n - 1);
    fd_scan(NULL, fds_before, true);
}

/* Starts this program anew. WEFT_TEST_EXEC is what to put in front of it, words between blanks: an emulator, where the
 * kernel would not know the program. Returns only on failure. */
static void exec_self(char **argv)
{
    static char words[256], self[1024];
    const char *front = getenv("WEFT_TEST_EXEC");
    char *all[32];
    int n = 0;

    if (!front || !*front) {
        execv("/proc/self/exe", argv);
        return;
    }
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[len > 0 ? len : 0] = 0;
    snprintf(words, sizeof(words), "%s", front);
    for (char *at = words; *at && n < 16; n++) {
        all[n] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = 0;
    }
    all[n++] = self;
    for (int i = 1; argv[i] && n < 31; i++)
        all[n++] = argv[i];
    all[n] = NULL;
    execvp(all[0], all);
}

/* With --run by hand the test's setting may be missing: start over with it, as the runtime reads it early. */
static void env_ensure(const struct weft_test *t, char **argv)
{
    char name[64];
    int len = t->env ? (int)strcspn(t->env, "=") : 0;

    snprintf(name, sizeof(name), "%.*s", len, t->env ? t->env : "");
    if (!t->env || (getenv(name) && strcmp(getenv(name), t->env + len + 1) == 0))
        return;
    if (putenv(strdup(t->env)) == 0)
        exec_self(argv);
}

static int child_run(const struct weft_test *t, char **argv)
{
    static bool fds[FD_MAX];

    env_ensure(t, argv);
    fd_scan(fds, NULL, false);
    t->fn();
    if (!t->stderr_re)
        leak_check(fds);
    fflush(NULL);
    return atomic_load_explicit(&fail_count, memory_order_relaxed) ? 1 : 0;
}

/* ---- in the parent ---- */

struct slot {
    const struct weft_test *t; /* NULL: free */
    pid_t pid;
    int out, err;              /* memfds */
    double limit, began, deadline;
    bool timed_out, quit_sent;
};

static struct slot slots[RUNNER_MAX];
static int n_passed, n_failed, n_skipped;
static bool verbose;
static int stretch = 1;

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static void child_exec(const struct weft_test *t, int out, int err)
{
    char id[512];
    sigset_t none;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a runner that is killed leaves nobody behind who computes on */
    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int sig = 1; sig <= SIGTERM; sig++)
        signal(sig, SIG_DFL); /* a shell's background job ignores SIGINT and SIGQUIT, and so would the test */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    setenv("WEFT_LEAKS", "0", 0); /* a debug build's line at exit is nothing that tests look for */
    if (t->env && putenv(strdup(t->env)))
        _exit(126);
    if (dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(126);
    close_range(3, ~0U, 0);
    snprintf(id, sizeof(id), "%s.%s", t->suite, t->name);
    exec_self((char *[]){program_invocation_short_name, "--run", id, NULL});
    _exit(126);
}

static void slot_start(struct slot *s, const struct weft_test *t)
{
    s->t = t;
    s->out = memfd_create("stdout", MFD_CLOEXEC);
    s->err = memfd_create("stderr", MFD_CLOEXEC);
    s->timed_out = s->quit_sent = false;
    s->limit = (t->timeout_s ? t->timeout_s : 60) * (double)stretch;
    s->began = now();
    s->deadline = s->began + s->limit;
    fflush(stdout);
    s->pid = fork();
    if (s->pid == 0)
        child_exec(t, s->out, s->err);
    if (s->pid < 0) {
        perror("fork");
        exit(2);
    }
    setpgid(s->pid, s->pid);
}

/* All of a memfd as a string; NUL bytes become '?'. The caller frees it. */
static char *slurp(int fd)
{
    off_t n = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)n + 1);

    if (!text)
        abort();
    ssize_t got = pread(fd, text, (size_t)n, 0);
    if (got < 0)
        got = 0;
    for (ssize_t i = 0; i < got; i++)
        if (!text[i])
            text[i] = '?';
    text[got] = 0;
    return text;
}

static void show(const char *text)
{
    size_t n = strlen(text), from = n > SHOW_MAX ? n - SHOW_MAX : 0;

    if (from)
        printf("    (first %zu bytes left out)\n", from);
    for (const char *p = text + from; *p;) {
        int len = (int)strcspn(p, "\n");
        printf("    %.*s\n", len, p);
        p += len + (p[len] == '\n');
    }
}

/* Why the test failed, or NULL. */
static const char *verdict(const struct slot *s, int status, const char *err, char *buf, size_t cap)
{
    const struct weft_test *t = s->t;
    int got = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    int want = t->stderr_re ? t->exit_status : 0;
    regex_t re;

    if (s->timed_out) {
        snprintf(buf, cap, "still running after %d s", (t->timeout_s ? t->timeout_s : 60) * stretch);
        return buf;
    }
    if (got != want) {
        if (!t->stderr_re && got == 1)
            return "";
        snprintf(buf, cap, got < 0 ? "killed by signal %d, expected status %d" : "ended with status %d, expected %d",
                 got < 0 ? -got : got, want);
        return buf;
    }
    if (!t->stderr_re)
        return NULL;
    if (regcomp(&re, t->stderr_re, REG_EXTENDED | REG_NOSUB)) {
        snprintf(buf, cap, "bad regular expression: %s", t->stderr_re);
        return buf;
    }
    bool match = regexec(&re, err, 0, NULL, 0) == 0;
    regfree(&re);
    if (match)
        return NULL;
    snprintf(buf, cap, "stderr does not match: %s", t->stderr_re);
    return buf;
}

static void slot_end(struct slot *s, int status)
{
    const struct weft_test *t = s->t;
    char *out = slurp(s->out), *err = slurp(s->err), buf[512];
    const char *why;

    if (WIFEXITED(status) && WEXITSTATUS(status) == 77 && t->exit_status != 77) {
        printf("SKIP %s.%s: %s\n", t->suite, t->name, err);
        n_skipped++;
    } else if ((why = verdict(s, status, err, buf, sizeof(buf)))) {
        printf("FAIL %s.%s %s%s(%s:%d)  replay: make test T=%s.%s\n", t->suite, t->name, why, *why ? " " : "",
               t->file, t->line, t->suite, t->name);
        show(out);
        show(err);
        n_failed++;
    } else {
        if (verbose)
            printf("ok   %s.%s\n", t->suite, t->name);
        n_passed++;
    }
    fflush(stdout);
    free(out);
    free(err);
    close(s->out);
    close(s->err);
    kill(-s->pid, SIGKILL);    /* what the test started and left; its own group, so nobody else */
    s->t = NULL;
}

/* Seconds that the threads of a process have waited for a CPU, in sum; 0 where the kernel does not count it. */
static double waited(pid_t pid)
{
    char path[64];
    double sum = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        unsigned long long ns;
        snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", (int)pid, e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (f && fscanf(f, "%*u %llu", &ns) == 1)
            sum += 1e-9 * (double)ns;
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return sum;
}

/* Late, or only kept waiting? In the second case it gets that time back, within bounds. */
static bool late(struct slot *s, double t)
{
    double more = waited(s->pid);

    if (more > s->limit * WAIT_SHARE)
        more = s->limit * WAIT_SHARE;
    if (t >= s->began + s->limit + more)
        return true;
    s->deadline = s->began + s->limit + more;
    return false;
}

/* Late tests: first SIGQUIT, for the goroutine dump, then SIGKILL. Returns seconds to the next deadline. */
static double deadlines(int jobs)
{
    double t = now(), next = 3600;

    for (struct slot *s = slots; s < slots + jobs; s++) {
        if (!s->t)
            continue;
        if (t >= s->deadline && (s->quit_sent || late(s, t))) {
            kill(-s->pid, s->quit_sent ? SIGKILL : SIGQUIT);
            s->timed_out = s->quit_sent = true;
            s->deadline = t + QUIT_GRACE_S;
        }
        if (s->deadline - t < next)
            next = s->deadline - t;
    }
    return next;
}

static void reap(int jobs, const sigset_t *chld)
{
    double wait = deadlines(jobs);
    struct timespec ts = {(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)};
    int status;

    sigtimedwait(chld, NULL, &ts);
    for (struct slot *s = slots; s < slots + jobs; s++)
        if (s->t && waitpid(s->pid, &status, WNOHANG) == s->pid)
            slot_end(s, status);
}

static void run_all(const struct weft_test **tests, int n, int jobs)
{
    sigset_t chld;
    int next = 0, busy;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    do {
        busy = 0;
        for (struct slot *s = slots; s < slots + jobs; s++) {
            if (!s->t && next < n)
                slot_start(s, tests[next++]);
            busy += s->t != NULL;
        }
        if (busy)
            reap(jobs, &chld);
    } while (busy);
}

/* ---- which tests ---- */

static bool id_is(const struct weft_test *t, const char *filter, bool exact)
{
    char id[512];

    snprintf(id, sizeof(id), "%s.%s", t->suite, t->name);
    return exact ? strcmp(id, filter) == 0 || strcmp(t->suite, filter) == 0 : strstr(id, filter) != NULL;
}

/* A whole SUITE.NAME or SUITE wins over parts. Returns the count; ret_tests has room for all. */
static int choose(const char *filter, const struct weft_test **ret_tests)
{
    int n = 0;

    for (int exact = 1; exact >= 0 && n == 0; exact--)
        for (const struct weft_test *const *t = __start_weft_tests; t < __stop_weft_tests; t++)
            if (!filter || !*filter || id_is(*t, filter, exact))
                ret_tests[n++] = *t;
    return n;
}

/* Leaves out what the file WEFT_TEST_EXCEPT names, in lines "SUITE.NAME reason": each is a skip. Returns the new count. */
static int leave_out(const struct weft_test **tests, int n)
{
    const char *path = getenv("WEFT_TEST_EXCEPT");
    FILE *f = path ? fopen(path, "re") : NULL;
    char line[512];

    if (path && !f) {
        perror(path);
        exit(2);
    }
    while (f && fgets(line, sizeof(line), f)) {
        size_t name = strcspn(line, " \n");
        const char *why = line + name + strspn(line + name, " ");
        line[name] = 0;
        for (int i = 0; *line && *line != '#' && i < n; i++)
            if (id_is(tests[i], line, true)) {
                printf("SKIP %s.%s: %s", tests[i]->suite, tests[i]->name, why);
                n_skipped++;
                n--;
                memmove(&tests[i], &tests[i + 1], (size_t)(n - i) * sizeof(*tests));
                break;
            }
    }
    if (f)
        fclose(f);
    return n;
}

int main(int argc, char **argv)
{
    long jobs = sysconf(_SC_NPROCESSORS_ONLN);
    const char *filter = NULL, *run = NULL;
    bool list = false;
    size_t all = (size_t)(__stop_weft_tests - __start_weft_tests);

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0)
            list = true;
        else if (strcmp(argv[i], "-v") == 0)
            verbose = true;
        else if (strcmp(argv[i], "-j") == 0 && i + 1 < argc)
            jobs = atol(argv[++i]);
        else if (strcmp(argv[i], "--run") == 0 && i + 1 < argc)
            run = argv[++i];
        else
            filter = argv[i];
    }
    if (getenv("WEFT_TEST_STRETCH"))
        stretch = atoi(getenv("WEFT_TEST_STRETCH")) > 0 ? atoi(getenv("WEFT_TEST_STRETCH")) : 1;
    if (run) {
        for (size_t i = 0; i < all; i++)
            if (id_is(__start_weft_tests[i], run, true) && strchr(run, '.'))
                return child_run(__start_weft_tests[i], argv);
        fprintf(stderr, "no test %s\n", run);
        return 2;
    }
    const struct weft_test **tests = calloc(all + 1, sizeof(*tests));
    int n = choose(filter, tests);
    if (list) {
        for (int i = 0; i < n; i++)
            printf("%s.%s\n", tests[i]->suite, tests[i]->name);
        free(tests);
        return 0;
    }
    n = leave_out(tests, n);
    run_all(tests, n, (int)(jobs < 1 ? 1 : jobs > RUNNER_MAX ? RUNNER_MAX : jobs));
    printf("%d passed, %d failed, %d skipped\n", n_passed, n_failed, n_skipped);
    free(tests);
    return n_failed ? 1 : 0;
}
