/*
 * simrun.c - runs the tests that a binary holds in the simulation: many seeds each, a forked process per run.
 *
 * Role    What tests/include/runner.c is for ordinary runs. Linked with the unit tests' own source files, compiled with
 *         thread instrumentation, and with src/sim. Near tests/sim/run (who calls it), tests/sim/list.txt.
 *
 * usage   BINARY [-j N] [--seeds N] [--from S] [--scale PERCENT] [--points N] [--trace] [--costs] [FILTER]
 *         WEFT_SIM=SEED BINARY --run SUITE.NAME         one run in this process, as a failure's "replay:" says it
 *
 * Invariants
 *   R1  The parent never calls weft: a child of fork is as fresh as a child of exec.
 *   R2  Addresses are not randomized (personality(2), then exec), and a replay comes to its test by the same calls, from the
 *       same place of the stack, as any run: so a run depends on nothing but its seed.
 *   R3  The parent allocates nothing between two runs: the heap that a run begins with is always the same.
 * Failure as in runner.c; a test counts once, however many of its seeds fail; three of them are shown.
 */
#include "../include/weft_test.h"

#include <fcntl.h>
#include <regex.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "../../src/sim/sim.h"

extern const struct weft_test *const __start_weft_tests[];
extern const struct weft_test *const __stop_weft_tests[];

enum { JOBS_MAX = 64, TESTS_MAX = 256, SHOW_SEEDS = 3, SETTLE_MS = 2000, RUN_SECONDS = 60, SHOW_MAX = 8192, STACK_STEP = 65536 };

/* ---- in the child ---- */

static int fail_count;

void weft_test_fail(const char *file, int line, const char *fmt, ...)
{
    char buf[1024];
    int n = snprintf(buf, sizeof buf, "%s:%d: ", file, line);
    va_list ap;

    va_start(ap, fmt);
    int m = vsnprintf(buf + n, sizeof buf - (size_t)n - 1, fmt, ap);
    va_end(ap);
    n += m < (int)sizeof buf - n - 1 ? m : (int)sizeof buf - n - 2;
    buf[n++] = '\n';
    if (write(2, buf, (size_t)n) < 0)
        abort();
    fail_count++;
}

_Noreturn void weft_test_skip(const char *why)
{
    if (write(2, why, strlen(why)) < 0)
        abort();
    _exit(77);
}

static void leak_check(void)
{
    for (int i = 0; i < SETTLE_MS && weft_num_goroutines() != 1; i++)
        weft_sleep(WEFT_MS);
    if (weft_num_goroutines() != 1)
        weft_test_fail("simrun", 0, "%zu goroutines are left beside the test's own", weft_num_goroutines() - 1);
}

static void print_trace(void)
{
    struct weft__sim_trace t = weft__sim_trace();

    fprintf(stderr, "sim: hash %016llx points %llu switches %llu now %lld\n", (unsigned long long)t.hash,
            (unsigned long long)t.points, (unsigned long long)t.switches, (long long)t.now);
}

static bool trace, costs;
static uint64_t points;

static _Noreturn __attribute__((noinline)) void child_begin(const struct weft_test *t, uint64_t seed)
{
    if (t->env && putenv(strdup(t->env)))
        _exit(126);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    weft__sim_start(seed);
    if (points)
        weft__sim_limit(points);
    if (trace)
        atexit(print_trace);
    t->fn();
    if (!t->stderr_re)
        leak_check();
    fflush(NULL);
    if (trace)
        print_trace();
    _exit(fail_count ? 1 : 0);
}

static void child_setup(int out)
{
    dup2(out, 1);
    dup2(out, 2);
    fcntl(1, F_SETFL, O_APPEND);
    setrlimit(RLIMIT_CPU, &(struct rlimit){RUN_SECONDS, RUN_SECONDS}); /* it is to compute, */
    alarm(60 * RUN_SECONDS);                                           /* not to wait */
}

/* Begins at the same place of the stack's cache lines and pages, whatever the arguments, the environment and the callers took (R2). */
static _Noreturn void child_run(const struct weft_test *t, uint64_t seed)
{
    volatile char *pad = __builtin_alloca(((uintptr_t)__builtin_frame_address(0) & (STACK_STEP - 1)) + 1);

    pad[0] = 0;
    child_begin(t, seed);
}

/* ---- in the parent ---- */

struct todo {
    const struct weft_test *t;
    unsigned seeds, next, running, failed;
    uint64_t from;
    bool skipped;
    double cpu_ms;
};
struct slot {
    struct todo *of;
    uint64_t seed;
    pid_t pid;
    int fd; /* memfd: stdout and stderr */
};
static struct todo todo[TESTS_MAX];
static struct slot slots[JOBS_MAX];
static int todo_n, jobs = 1;
static unsigned long runs;
static uint64_t from = 1;
static const char *program;
static char output[BUFSIZ];
static bool alone; /* a replay: the only run, in this process */

static void slot_start(struct slot *s, struct todo *d)
{
    s->of = d;
    s->seed = d->from + d->next++;
    d->running++;
    runs++;
    if (s->fd == 0)
        s->fd = memfd_create("out", MFD_CLOEXEC);
    if (ftruncate(s->fd, 0) < 0 || lseek(s->fd, 0, SEEK_SET) < 0)
        abort();
    s->pid = alone ? 0 : fork();
    if (s->pid == 0) {
        if (!alone)
            child_setup(s->fd);
        child_run(d->t, s->seed); /* alone too from here: the library walks the callers' frames (R2) */
    }
    if (s->pid < 0) {
        perror("fork");
        exit(2);
    }
}

/* In a process of its own: regcomp allocates (R3). */
static bool matches(const char *re, const char *text)
{
    regex_t compiled;
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(regcomp(&compiled, re, REG_EXTENDED | REG_NOSUB) == 0 && regexec(&compiled, text, 0, NULL, 0) == 0 ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static const char *verdict(const struct weft_test *t, int status, const char *out, char *buf, size_t cap)
{
    int got = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), want = t->stderr_re ? t->exit_status : 0;

    if (got != want) {
        snprintf(buf, cap, got < 0 ? "killed by signal %d, expected status %d" : "ended with status %d, expected %d",
                 got < 0 ? -got : got, want);
        return buf;
    }
    if (!t->stderr_re || matches(t->stderr_re, out))
        return NULL;
    snprintf(buf, cap, "stderr does not match: %s", t->stderr_re);
    return buf;
}

static void show(const char *text)
{
    size_t n = strlen(text);

    if (n > SHOW_MAX)
        text += n - SHOW_MAX;
    for (const char *p = text; *p;) {
        int len = (int)strcspn(p, "\n");
        printf("    %.*s\n", len, p);
        p += len + (p[len] == '\n');
    }
}

static void slot_end(struct slot *s, int status, const struct rusage *used)
{
    struct todo *d = s->of;
    const struct timeval *u = &used->ru_utime, *k = &used->ru_stime;
    const struct weft_test *t = d->t;
    off_t n = lseek(s->fd, 0, SEEK_END);
    char why[512];

    if (ftruncate(s->fd, n + 1) < 0) /* ends with a zero */
        abort();
    char *out = mmap(NULL, (size_t)n + 1, PROT_READ, MAP_SHARED, s->fd, 0); /* R3: no malloc */
    if (out == MAP_FAILED)
        abort();
    s->of = NULL;
    d->running--;
    d->cpu_ms += (double)(u->tv_sec + k->tv_sec) * 1e3 + (double)(u->tv_usec + k->tv_usec) * 1e-3;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        if (!d->skipped)
            printf("SKIP sim.%s.%s: %s\n", t->suite, t->name, out);
        d->skipped = true;
        d->next = d->seeds;
    } else if (verdict(t, status, out, why, sizeof why)) {
        if (d->failed++ < SHOW_SEEDS) {
            printf("FAIL sim.%s.%s %s (%s:%d)  replay: WEFT_SIM=%#llx %s --run %s.%s\n", t->suite, t->name, why, t->file, t->line,
                   (unsigned long long)s->seed, program, t->suite, t->name);
            show(out);
        }
        if (d->failed >= SHOW_SEEDS)
            d->next = d->seeds; /* enough is known */
    } else if (trace) {
        printf("sim.%s.%s %#llx %s", t->suite, t->name, (unsigned long long)s->seed, out);
    }
    fflush(stdout);
    munmap(out, (size_t)n + 1);
}

static struct todo *todo_next(void)
{
    static int at;

    for (; at < todo_n; at++)
        if (todo[at].next < todo[at].seeds)
            return &todo[at];
    return NULL;
}

static void run_all(void)
{
    for (int busy = 0;;) {
        struct todo *d;
        for (int i = 0; i < jobs; i++)
            if (!slots[i].of && (d = todo_next())) {
                slot_start(&slots[i], d);
                busy++;
            }
        if (busy == 0)
            return;
        int status;
        struct rusage used;
        pid_t pid = wait4(-1, &status, 0, &used);
        for (int i = 0; i < jobs; i++)
            if (slots[i].of && slots[i].pid == pid) {
                slot_end(&slots[i], status, &used);
                busy--;
            }
    }
}

/* ---- which tests, how many seeds ---- */

/* What list.txt says of a test: "SUITE.NAME skip REASON" or "SUITE.NAME seeds=N REASON"; SUITE.* names a whole suite.
 * The last line that fits counts, but a skip is final. -1: skip. */
static int list_says(FILE *list, const char *id, int seeds)
{
    char line[512], name[256], what[64];

    rewind(list);
    while (fgets(line, sizeof line, list)) {
        if (line[0] == '#' || sscanf(line, "%255s %63s", name, what) != 2)
            continue;
        size_t n = strlen(name);
        bool fits = n > 0 && name[n - 1] == '*' ? strncmp(id, name, n - 1) == 0 : strcmp(id, name) == 0;
        if (fits && strncmp(what, "seeds=", 6) != 0)
            return -1;
        if (fits)
            seeds = (int)strtol(what + 6, NULL, 10);
    }
    return seeds;
}

static void choose(const char *filter, const char *list_path, int seeds, int scale)
{
    FILE *list = fopen(list_path, "re");

    if (!list) {
        perror(list_path);
        exit(2);
    }
    for (const struct weft_test *const *t = __start_weft_tests; t < __stop_weft_tests; t++) {
        char id[512];
        snprintf(id, sizeof id, "%s.%s", (*t)->suite, (*t)->name);
        if (filter && !strstr(id, filter))
            continue;
        int n = list_says(list, id, seeds);
        if (n < 0)
            continue;
        n = n * scale / 100;
        if (todo_n == TESTS_MAX)
            abort();
        todo[todo_n] = (struct todo){.t = *t, .seeds = (unsigned)(n < 1 ? 1 : n), .from = from};
        todo_n++;
    }
    fclose(list);
}

/* One seed of one test; list.txt has no say. */
static void choose_one(const char *id)
{
    for (const struct weft_test *const *t = __start_weft_tests; t < __stop_weft_tests; t++) {
        char name[512];
        snprintf(name, sizeof name, "%s.%s", (*t)->suite, (*t)->name);
        if (strcmp(id, name) != 0)
            continue;
        todo[0] = (struct todo){.t = *t, .seeds = 1, .from = from};
        todo_n = 1;
        return;
    }
    fprintf(stderr, "no test %s\n", id);
    exit(2);
}

static void same_addresses(char **argv)
{
    int now = personality(0xffffffff);

    if (now >= 0 && !(now & ADDR_NO_RANDOMIZE) && personality((unsigned long)now | ADDR_NO_RANDOMIZE) >= 0) {
        execv("/proc/self/exe", argv); /* R2 */
        perror("exec");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    const char *filter = NULL, *run = NULL, *list = "tests/sim/list.txt", *env = getenv("WEFT_SIM");
    int seeds = 1, scale = 100, failed = 0, skipped = 0;

    same_addresses(argv);
    setvbuf(stdout, output, _IOFBF, sizeof output); /* R3 */
    program = argv[0];
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else if (strcmp(argv[i], "--costs") == 0)
            costs = true;
        else if (strcmp(argv[i], "-j") == 0)
            jobs = (int)strtol(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = (int)strtol(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--from") == 0)
            from = strtoull(value, NULL, 0), i++;
        else if (strcmp(argv[i], "--points") == 0)
            points = strtoull(value, NULL, 0), i++;
        else if (strcmp(argv[i], "--scale") == 0)
            scale = (int)strtol(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--list") == 0)
            list = value, i++;
        else if (strcmp(argv[i], "--run") == 0)
            run = value, i++;
        else
            filter = argv[i];
    }
    jobs = jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : jobs;
    choose(filter, list, seeds, scale);
    if (run) {
        trace = alone = true;
        from = env ? strtoull(env, NULL, 0) : from;
        choose_one(run);
    }
    weft__sim_prepare();
    run_all();
    for (int i = 0; i < todo_n; i++) {
        if (costs)
            printf("%8.2f ms  %s.%s\n", todo[i].cpu_ms / todo[i].next, todo[i].t->suite, todo[i].t->name);
        failed += todo[i].failed != 0;
        skipped += todo[i].skipped && !todo[i].failed;
    }
    printf("runs %lu\n%d passed, %d failed, %d skipped\n", runs, todo_n - failed - skipped, failed, skipped);
    return failed ? 1 : 0;
}
