/*
 * test_file.c - files, pipes and any other descriptor: reading, writing, waiting, ends, deadlines, close.
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/wait.h>

#include "net_pair.h"
#include "poll/poll.h"

extern char **environ;

struct scratch {
    char dir[40], path[64];
};

static struct scratch scratch(void)
{
    struct scratch s;
    snprintf(s.dir, sizeof s.dir, "/tmp/weft_file_XXXXXX");
    REQUIRE(mkdtemp(s.dir));
    snprintf(s.path, sizeof s.path, "%s/file", s.dir);
    return s;
}

static void scratch_done(const struct scratch *s)
{
    unlink(s->path);
    rmdir(s->dir);
}

/* ---- regular files ---- */

TEST(file, what_is_written_is_read_at_the_position_and_at_offsets)
{
    struct scratch s = scratch();
    weft_file *f;
    char buf[32];
    REQUIRE(weft_file_open(s.path, O_RDWR | O_CREAT | O_EXCL, 0600, &f) == 0);
    EXPECT_EQ(weft_file_write(NULL, f, "warp and weft", 13), 13);
    EXPECT_EQ(weft_file_read(NULL, f, buf, sizeof buf), 0);
    EXPECT_EQ(lseek(weft_file_fd(f), 5, SEEK_SET), 5);
    EXPECT_EQ(weft_file_read(NULL, f, buf, 3), 3);
    EXPECT(memcmp(buf, "and", 3) == 0);
    EXPECT_EQ(weft_file_pwrite(f, "AND", 3, 5), 3);
    EXPECT_EQ(weft_file_pread(f, buf, sizeof buf, 0), 13);
    EXPECT(memcmp(buf, "warp AND weft", 13) == 0);
    EXPECT_EQ(weft_file_read(NULL, f, buf, sizeof buf), 5); /* " weft": pread and pwrite left the position alone */
    EXPECT_EQ(weft_file_pread(f, buf, 0, 0), 0);
    EXPECT_EQ(weft_file_pread(f, buf, 1, (uint64_t)1 << 63), WEFT_EINVAL);
    EXPECT_EQ(weft_file_sync(f), 0);
    EXPECT_EQ(weft_file_close(f), 0);
    EXPECT_EQ(weft_file_open(s.path, O_RDWR | O_CREAT | O_EXCL, 0600, &f), -EEXIST);
    scratch_done(&s);
    EXPECT_EQ(weft_file_open(s.path, O_RDONLY, 0, &f), -ENOENT);
}

/* A read is short at the end only, also where a part is not in the page cache. */
TEST(file, a_large_file_is_read_whole_cached_or_not)
{
    enum { SIZE = 1 << 20 };
    struct scratch s = scratch();
    static char a[SIZE], b[SIZE + 100];
    weft_file *f;
    for (int i = 0; i < SIZE; i++)
        a[i] = (char)(i * 2654435761u >> 11);
    REQUIRE(weft_file_open(s.path, O_RDWR | O_CREAT, 0600, &f) == 0);
    EXPECT_EQ(weft_file_write(NULL, f, a, SIZE), SIZE); /* a long write: between the brackets */
    EXPECT_EQ(weft_file_sync(f), 0);
    for (int round = 0; round < 3; round++) {
        if (round == 1)
            (void)posix_fadvise(weft_file_fd(f), SIZE / 2, SIZE / 4, POSIX_FADV_DONTNEED); /* a hole in the cache */
        if (round == 2)
            (void)posix_fadvise(weft_file_fd(f), 0, 0, POSIX_FADV_DONTNEED);
        memset(b, 0, sizeof b);
        EXPECT_EQ(weft_file_pread(f, b, sizeof b, 0), SIZE);
        EXPECT(memcmp(a, b, SIZE) == 0);
        (void)posix_fadvise(weft_file_fd(f), SIZE / 2, 0, POSIX_FADV_DONTNEED);
        lseek(weft_file_fd(f), 0, SEEK_SET);
        EXPECT_EQ(weft_file_read(NULL, f, b, sizeof b), SIZE);
        EXPECT(memcmp(a, b, SIZE) == 0);
    }
    weft_file_close(f);
    scratch_done(&s);
}

static void read_block(weft_file *f, uint64_t at, int *ret_wrong)
{
    int v[1024];
    ssize_t n = weft_file_pread(f, v, sizeof v, at * sizeof v);
    *ret_wrong = n != (ssize_t)sizeof v || v[0] != (int)at || v[1023] != (int)at;
}

TEST(file, many_goroutines_may_read_one_file)
{
    enum { BLOCKS = 200 };
    struct scratch s = scratch();
    weft_file *f;
    static int v[1024], wrong[BLOCKS];
    weft_waitgroup wg = {0};
    REQUIRE(weft_file_open(s.path, O_RDWR | O_CREAT, 0600, &f) == 0);
    for (int i = 0; i < BLOCKS; i++) {
        for (int k = 0; k < 1024; k++)
            v[k] = i;
        REQUIRE(weft_file_write(NULL, f, v, sizeof v) == (ssize_t)sizeof v);
    }
    (void)posix_fadvise(weft_file_fd(f), 0, 0, POSIX_FADV_DONTNEED);
    for (int i = 0; i < BLOCKS; i++)
        weft_waitgroup_go(&wg, read_block, f, (uint64_t)i, &wrong[i]);
    weft_waitgroup_wait(&wg);
    for (int i = 0; i < BLOCKS; i++)
        EXPECT_EQ(wrong[i], 0);
    weft_file_close(f);
    scratch_done(&s);
}

TEST(file, what_is_no_use_with_a_regular_file_says_so)
{
    struct scratch s = scratch();
    weft_file *f;
    char c;
    weft_ctx *ctx = weft_with_cancel(NULL);
    REQUIRE(weft_file_open(s.path, O_WRONLY | O_CREAT, 0600, &f) == 0);
    EXPECT_EQ(weft_file_set_deadline(f, weft_now()), WEFT_EUNSUPPORTED);
    EXPECT_EQ(weft_file_wait(NULL, f, WEFT_READ), WEFT_EUNSUPPORTED);
    EXPECT_EQ(weft_file_read(NULL, f, &c, 1), -EBADF);
    weft_cancel(ctx);
    EXPECT_EQ(weft_file_write(ctx, f, "x", 1), WEFT_ECANCELED);
    weft_ctx_unref(ctx);
    weft_file_close(f);
    REQUIRE(weft_file_open("/tmp", O_RDONLY, 0, &f) == 0);
    EXPECT_EQ(weft_file_read(NULL, f, &c, 1), -EISDIR);
    weft_file_close(f);
    REQUIRE(weft_file_open("/dev/zero", O_RDWR, 0, &f) == 0);
    EXPECT_EQ(weft_file_read(NULL, f, &c, 1), 1);
    EXPECT_EQ(weft_file_write(NULL, f, "x", 1), 1);
    weft_file_close(f);
    EXPECT_EQ(weft_file_close(NULL), 0);
    EXPECT_EQ(weft_file_take_fd(-1, &f), -EBADF);
}

/* ---- pipes ---- */

static void write_numbers(weft_file *w, int count)
{
    for (int i = 0; i < count; i++)
        EXPECT_EQ(weft_file_write(NULL, w, &i, sizeof i), (ssize_t)sizeof i);
    weft_file_close(w);
}

/* Everything up to the end; EXPECTs 0, 1, 2, ... */
static int read_numbers(weft_file *r)
{
    int v[1000], next = 0;
    size_t have = 0;
    ssize_t n;
    while ((n = weft_file_read(NULL, r, (char *)v + have, sizeof v - have)) > 0) {
        have += (size_t)n;
        for (size_t i = 0; i < have / sizeof *v; i++)
            if (v[i] != next++)
                return -1;
        memmove(v, (char *)v + have / sizeof *v * sizeof *v, have % sizeof *v);
        have %= sizeof *v;
    }
    return n < 0 ? (int)n : next;
}

TEST(file, a_pipe_carries_bytes_in_order_to_the_end)
{
    weft_file *r, *w;
    for (int round = 0; round < 20; round++) { /* the end may come together with data, and right behind it */
        REQUIRE(weft_pipe(&r, &w) == 0);
        weft_go(write_numbers, w, round * 5000);
        EXPECT_EQ(read_numbers(r), round * 5000);
        weft_file_close(r);
    }
}

static void read_all(weft_file *from, weft_chan(int) to)
{
    weft_send(to, read_numbers(from));
}

TEST(file, a_write_longer_than_the_pipe_parks_and_goes_on)
{
    enum { SIZE = 1000000 };
    static int v[SIZE / sizeof(int)];
    weft_file *r, *w;
    weft_chan(int) got = weft_make(int, 1);
    for (int i = 0; i < (int)(SIZE / sizeof(int)); i++)
        v[i] = i;
    REQUIRE(weft_pipe(&r, &w) == 0);
    weft_go(read_all, r, got);
    EXPECT_EQ(weft_file_write(NULL, w, v, SIZE), SIZE);
    weft_file_close(w);
    EXPECT_EQ(weft_recv(got), (int)(SIZE / sizeof(int)));
    weft_free(got);
    weft_file_close(r);
}

TEST(file, pipes_obey_deadlines_contexts_and_close)
{
    weft_file *r, *w;
    static char block[65536];
    char c;
    ssize_t n;
    REQUIRE(weft_pipe(&r, &w) == 0);
    EXPECT_EQ(weft_file_set_read_deadline(r, weft_now() + 5 * WEFT_MS), 0);
    EXPECT_EQ(weft_file_read(NULL, r, &c, 1), WEFT_EDEADLINE);
    weft_file_set_read_deadline(r, 0);
    weft_ctx *ctx = weft_with_timeout(NULL, 5 * WEFT_MS);
    EXPECT_EQ(weft_file_read(ctx, r, &c, 1), WEFT_EDEADLINE);
    weft_ctx_unref(ctx);
    EXPECT_EQ(weft_file_set_write_deadline(w, weft_now() + 5 * WEFT_MS), 0);
    do
        n = weft_file_write(NULL, w, block, sizeof block);
    while (n > 0);
    EXPECT_EQ(n, WEFT_EDEADLINE);
    EXPECT_EQ(weft_file_pread(r, &c, 1, 0), -ESPIPE);
    EXPECT_EQ(weft_file_pwrite(w, &c, 1, 0), -ESPIPE);
    weft_file_close(w);
    weft_file_close(r);
}

static void read_until_error(weft_file *r, weft_chan(int) out)
{
    char c;
    ssize_t n;
    while ((n = weft_file_read(NULL, r, &c, 1)) > 0)
        weft_send(out, 1);
    weft_send(out, (int)n);
}

TEST(file, close_wakes_the_reader_and_a_second_one_is_refused)
{
    weft_file *r, *w;
    char c;
    weft_chan(int) out = weft_make(int, 1);
    REQUIRE(weft_pipe(&r, &w) == 0);
    EXPECT_EQ(weft_file_write(NULL, w, "x", 1), 1);
    weft_go(read_until_error, r, out);
    EXPECT_EQ(weft_recv(out), 1);
    ssize_t n;
    while ((n = weft_file_read(NULL, r, &c, 0)) != WEFT_EBUSY) /* until it is in its next read */
        weft_yield();
    weft_file_close(r);
    EXPECT_EQ(weft_recv(out), WEFT_ECLOSED);
    while ((n = weft_file_write(NULL, w, "x", 1)) == 1 && strncmp(weft__poll_name(), "uring", 5) == 0)
        weft_sleep(100 * WEFT_US); /* U5 in poll_uring.c: the reading end lives until the thread that polled it enters the kernel */
    EXPECT_EQ(n, -EPIPE); /* and no SIGPIPE, which would end this program */
    weft_file_close(w);
    weft_free(out);
}

/* The way that kernels before 6.18 go. */
void weft__t_file_no_nosignal(void);

TEST(file, a_broken_pipe_is_no_signal_on_older_kernels_either)
{
    weft_file *r, *w;
    sigset_t before, after;
    weft__t_file_no_nosignal();
    REQUIRE(weft_pipe(&r, &w) == 0);
    sigprocmask(SIG_SETMASK, NULL, &before);
    EXPECT_EQ(weft_file_write(NULL, w, "x", 1), 1);
    weft_file_close(r);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(weft_file_write(NULL, w, "x", 1), -EPIPE);
    sigprocmask(SIG_SETMASK, NULL, &after);
    EXPECT_EQ(sigismember(&before, SIGPIPE), sigismember(&after, SIGPIPE));
    weft_file_close(w);
}

/* ---- descriptors from elsewhere ---- */

static void count_up(weft_file *e, int times)
{
    uint64_t one = 1;
    for (int i = 0; i < times; i++) {
        EXPECT_EQ(weft_file_write(NULL, e, &one, sizeof one), (ssize_t)sizeof one);
        weft_yield();
    }
}

TEST(file, an_eventfd_is_read_as_one)
{
    weft_file *e;
    uint64_t n, sum = 0;
    weft_waitgroup wg = {0};
    REQUIRE(weft_file_take_fd(eventfd(0, EFD_CLOEXEC), &e) == 0);
    weft_waitgroup_go(&wg, count_up, e, 1000);
    while (sum < 1000) {
        REQUIRE(weft_file_read(NULL, e, &n, sizeof n) == (ssize_t)sizeof n);
        sum += n;
    }
    EXPECT_EQ(sum, 1000);
    weft_waitgroup_wait(&wg);
    weft_file_close(e);
}

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    close(fd);
}

/* The caller makes the calls; weft waits. */
TEST(file, a_wait_comes_after_a_call_that_found_nothing)
{
    struct scratch s = scratch();
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    _Alignas(struct inotify_event) char buf[4096];
    weft_file *f;
    ssize_t n;
    weft_waitgroup wg = {0};
    REQUIRE(fd >= 0 && inotify_add_watch(fd, s.dir, IN_CREATE) >= 0);
    REQUIRE(weft_file_take_fd(fd, &f) == 0);
    EXPECT(read(fd, buf, sizeof buf) < 0 && errno == EAGAIN);
    weft_waitgroup_go(&wg, touch, (const char *)s.path);
    while ((n = read(fd, buf, sizeof buf)) < 0 && errno == EAGAIN)
        REQUIRE(weft_file_wait(NULL, f, WEFT_READ) == 0);
    EXPECT(n > 0);
    EXPECT_STR(((struct inotify_event *)buf)->name, "file");
    weft_ctx *ctx = weft_with_timeout(NULL, 5 * WEFT_MS);
    weft_err err;
    while ((err = weft_file_wait(ctx, f, WEFT_READ)) == 0) /* an edge from before may be left */
        ;
    EXPECT_EQ(err, WEFT_EDEADLINE);
    EXPECT_EQ(weft_file_wait(NULL, f, WEFT_READ | WEFT_WRITE), WEFT_EINVAL);
    weft_ctx_unref(ctx);
    weft_waitgroup_wait(&wg);
    weft_file_close(f);
    scratch_done(&s);
}

/* A child's standard input and output: bytes go through it while we read and write at the same time. */
TEST(file, a_childs_pipes_are_read_and_written_at_once)
{
    weft_file *in_r, *in_w, *out_r, *out_w;
    posix_spawn_file_actions_t acts;
    char *argv[] = {"cat", NULL};
    pid_t pid;
    int status;
    REQUIRE(weft_pipe(&in_r, &in_w) == 0 && weft_pipe(&out_r, &out_w) == 0);
    int child_in = weft_file_fd(in_r), child_out = weft_file_fd(out_w);
    (void)fcntl(child_in, F_SETFL, 0); /* cat expects blocking ones */
    (void)fcntl(child_out, F_SETFL, O_WRONLY);
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_adddup2(&acts, child_in, 0);
    posix_spawn_file_actions_adddup2(&acts, child_out, 1);
    REQUIRE(posix_spawnp(&pid, "cat", &acts, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&acts);
    weft_file_close(in_r);
    weft_file_close(out_w);
    weft_go(write_numbers, in_w, 200000);
    EXPECT_EQ(read_numbers(out_r), 200000);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    EXPECT_EQ(status, 0);
    weft_file_close(out_r);
}
