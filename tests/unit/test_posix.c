/*
 * test_posix.c - libweft-posix: calls that block hand the processor on and keep the thread; all else is the C library's.
 *
 * Most tests have one processor and a second goroutine that ends the wait: it can run only if the processor was handed on,
 * which weft__keep_holds() shows afterwards.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>
#include <weft_test.h>

#include "sched/keep.h"
#include "sched/sched.h"

extern char **environ;

/* ---- what a test needs ---- */

static int ends[2]; /* [0] is waited on, [1] is the other side */

static void open_pair(int type)
{
    REQUIRE(socketpair(AF_UNIX, type, 0, ends) == 0);
}

static void close_pair(void)
{
    close(ends[0]);
    close(ends[1]);
}

/* Fills what ends[0] writes to, so that a write waits until the other side is read. */
static void fill(void)
{
    static char block[4096];

    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    while (write(ends[0], block, sizeof block) > 0)
        ;
    while (write(ends[0], block, 1) > 0)
        ;
    fcntl(ends[0], F_SETFL, 0);
}

static void send_hello(void)
{
    ssize_t n = write(ends[1], "hello", 5);
    (void)n;
}

static void drain(void)
{
    static char block[65536];
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (read(ends[1], block, sizeof block) > 0)
        ;
}

/* After this the goroutine has a processor: a yield gives it one, which a thread that stood still for 10 ms has lost again. */
static void take_processor(void)
{
    do
        weft_yield();
    while (!weft__keep_holds());
}

/* Calls op, during which `other` must run on the only processor; op's result is in the test's hands. */
#define EXPECT_HANDS_ON(other, op)                                  \
    do {                                                            \
        take_processor();                                           \
        weft_waitgroup others = {0};                                \
        weft_waitgroup_go(&others, other);                          \
        op;                                                         \
        EXPECT(!weft__keep_holds());                                \
        weft_waitgroup_wait(&others);                               \
    } while (0)
/* The same for what ends by itself after a while. */
#define EXPECT_GIVES(op)                                            \
    do {                                                            \
        take_processor();                                           \
        op;                                                         \
        EXPECT(!weft__keep_holds());                                \
    } while (0)
#define EXPECT_KEEPS(op)                                            \
    do {                                                            \
        take_processor();                                           \
        op;                                                         \
        EXPECT(weft__keep_holds());                                 \
    } while (0)

/* ---- receiving ---- */

static void receive_all_ways(void)
{
    char buf[16];
    struct iovec iov[2] = {{buf, 2}, {buf + 2, 14}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    struct sockaddr_storage from;
    socklen_t len = sizeof from;

    EXPECT_HANDS_ON(send_hello, EXPECT_EQ(read(ends[0], buf, sizeof buf), 5));
    EXPECT(memcmp(buf, "hello", 5) == 0);
    EXPECT_HANDS_ON(send_hello, EXPECT_EQ(readv(ends[0], iov, 2), 5));
    EXPECT_HANDS_ON(send_hello, EXPECT_EQ(recv(ends[0], buf, sizeof buf, 0), 5));
    EXPECT_HANDS_ON(send_hello, EXPECT_EQ(recvfrom(ends[0], buf, sizeof buf, 0, (struct sockaddr *)&from, &len), 5));
    EXPECT_HANDS_ON(send_hello, EXPECT_EQ(recvmsg(ends[0], &m, 0), 5));
}

TEST_ENV(posix, receiving_from_a_stream_hands_the_processor_on, "WEFT_PROCS=1")
{
    open_pair(SOCK_STREAM);
    receive_all_ways();
    close_pair();
}

TEST_ENV(posix, receiving_datagrams_hands_the_processor_on, "WEFT_PROCS=1")
{
    open_pair(SOCK_DGRAM);
    receive_all_ways();
    close_pair();
}

static void send_in_two(void)
{
    send_hello();
    weft_sleep(2 * WEFT_MS);
    send_hello();
}

TEST_ENV(posix, waitall_waits_for_all, "WEFT_PROCS=1")
{
    char buf[10];

    open_pair(SOCK_STREAM);
    EXPECT_HANDS_ON(send_in_two, EXPECT_EQ(recv(ends[0], buf, sizeof buf, MSG_WAITALL), 10));
    EXPECT(memcmp(buf, "hellohello", 10) == 0);
    close_pair();
}

TEST_ENV(posix, a_pipe_is_read_without_the_processor, "WEFT_PROCS=1")
{
    char buf[16];

    REQUIRE(pipe(ends) == 0);
    EXPECT_HANDS_ON(send_hello, EXPECT_EQ(read(ends[0], buf, sizeof buf), 5));
    close(ends[1]);
    EXPECT_KEEPS(EXPECT_EQ(read(ends[0], buf, sizeof buf), 0));
    close(ends[0]);
}

TEST_ENV(posix, what_is_there_is_read_with_the_processor_kept, "WEFT_PROCS=1")
{
    char buf[16] = "";

    open_pair(SOCK_STREAM);
    send_hello();
    EXPECT_KEEPS(EXPECT_EQ(recv(ends[0], buf, 2, MSG_PEEK), 2));
    EXPECT_KEEPS(EXPECT_EQ(read(ends[0], buf, 2), 2));
    EXPECT_KEEPS(EXPECT_EQ(recv(ends[0], buf + 2, 14, 0), 3));
    EXPECT_STR(buf, "hello");
    EXPECT_KEEPS(EXPECT_EQ(read(ends[0], buf, 0), 0));
    close(ends[1]);
    EXPECT_KEEPS(EXPECT_EQ(read(ends[0], buf, 2), 0));
    close(ends[0]);
    EXPECT_KEEPS(EXPECT_EQ(read(ends[0], buf, 2), -1));
    EXPECT_EQ(errno, EBADF);
}

TEST_ENV(posix, a_read_of_no_bytes_takes_no_datagram, "WEFT_PROCS=1")
{
    char buf[16];

    open_pair(SOCK_DGRAM);
    send_hello();
    weft_yield();
    EXPECT_EQ(read(ends[0], buf, 0), 0);
    EXPECT_EQ(read(ends[0], buf, sizeof buf), 5);
    close_pair();
}

TEST_ENV(posix, a_descriptor_that_the_program_made_non_blocking_stays_so, "WEFT_PROCS=1")
{
    char buf[16];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    open_pair(SOCK_STREAM);
    fill();
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    EXPECT_KEEPS(EXPECT_EQ(read(ends[0], buf, 16), -1));
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_KEEPS(EXPECT_EQ(recv(ends[0], buf, 16, 0), -1));
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_KEEPS(EXPECT_EQ(recv(ends[0], buf, 16, MSG_WAITALL), -1));
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_KEEPS(EXPECT_EQ(recvmsg(ends[0], &m, 0), -1));
    EXPECT_KEEPS(EXPECT_EQ(write(ends[0], buf, 16), -1));
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_KEEPS(EXPECT_EQ(send(ends[0], buf, 16, 0), -1));
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_KEEPS(EXPECT_EQ(sendmsg(ends[0], &m, 0), -1));
    EXPECT_EQ(errno, EAGAIN);
    close_pair();
}

TEST_ENV(posix, dontwait_waits_for_nobody, "WEFT_PROCS=1")
{
    char buf[16];

    open_pair(SOCK_STREAM);
    EXPECT_KEEPS(EXPECT_EQ(recv(ends[0], buf, 16, MSG_DONTWAIT), -1));
    EXPECT_EQ(errno, EAGAIN);
    close_pair();
}

TEST_ENV(posix, a_receive_time_out_is_honoured, "WEFT_PROCS=1")
{
    char buf[16];
    struct timeval tv = {0, 30000};

    open_pair(SOCK_STREAM);
    REQUIRE(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
    weft_time before = weft_now();
    EXPECT_GIVES(EXPECT_EQ(recv(ends[0], buf, 16, 0), -1));
    EXPECT_EQ(errno, EAGAIN);
    EXPECT(weft_now() - before >= 29 * WEFT_MS);
    before = weft_now();
    EXPECT_GIVES(EXPECT_EQ(read(ends[0], buf, 16), -1));
    EXPECT_EQ(errno, EAGAIN);
    EXPECT(weft_now() - before >= 29 * WEFT_MS);
    close_pair();
}

TEST_ENV(posix, a_send_time_out_is_honoured, "WEFT_PROCS=1")
{
    struct timeval tv = {0, 30000};

    open_pair(SOCK_STREAM);
    fill();
    REQUIRE(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) == 0);
    weft_time before = weft_now();
    EXPECT_GIVES(EXPECT_EQ(send(ends[0], "x", 1, 0), -1));
    EXPECT_EQ(errno, EAGAIN);
    EXPECT(weft_now() - before >= 29 * WEFT_MS);
    close_pair();
}

static void shut(void)
{
    shutdown(ends[0], SHUT_RDWR);
}

TEST_ENV(posix, a_shutdown_ends_a_waiting_read, "WEFT_PROCS=1")
{
    char buf[16];

    open_pair(SOCK_STREAM);
    EXPECT_HANDS_ON(shut, EXPECT_EQ(read(ends[0], buf, 16), 0));
    close_pair();
}

/* ---- sending ---- */

static void sent_byte_check(const unsigned char *buf, size_t n, size_t at)
{
    for (size_t i = 0; i < n; i++)
        REQUIRE(buf[i] == (unsigned char)((at + i) * 7 >> 3));
}

/* Reads `all` bytes of the pattern from the other side. */
static void receiver(size_t all, weft_waitgroup *wg)
{
    static unsigned char buf[100000];
    size_t at = 0;

    while (at < all) {
        ssize_t n = read(ends[1], buf, sizeof buf);
        REQUIRE(n > 0);
        sent_byte_check(buf, (size_t)n, at);
        at += (size_t)n;
    }
    weft_waitgroup_done(wg);
}

static unsigned char *pattern(size_t n)
{
    unsigned char *p = malloc(n);

    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(i * 7 >> 3);
    return p;
}

TEST_ENV(posix, a_blocking_send_sends_all, "WEFT_PROCS=1")
{
    enum { ALL = 3000000 };
    unsigned char *p = pattern(ALL);

    for (int how = 0; how < 4; how++) {
        weft_waitgroup wg = {0};
        struct iovec iov[4] = {{p, 1}, {p + 1, 1999999}, {p + 2000000, 0}, {p + 2000000, 1000000}};
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = 4};
        open_pair(SOCK_STREAM);
        weft_yield();
        weft_waitgroup_add(&wg, 1);
        weft_go(receiver, (size_t)ALL, &wg);
        ssize_t n = how == 0 ? send(ends[0], p, ALL, 0) : how == 1 ? sendmsg(ends[0], &m, 0) : how == 2 ? write(ends[0], p, ALL)
                                                                                       : writev(ends[0], iov, 4);
        EXPECT_EQ(n, ALL);
        EXPECT(!weft__keep_holds());
        weft_waitgroup_wait(&wg);
        close_pair();
    }
    free(p);
}

TEST_ENV(posix, a_big_write_to_a_pipe_writes_all, "WEFT_PROCS=1")
{
    enum { ALL = 500000 };
    weft_waitgroup wg = {0};
    unsigned char *p = pattern(ALL);
    int fd[2];

    REQUIRE(pipe(fd) == 0);
    ends[0] = fd[1], ends[1] = fd[0];
    weft_yield();
    weft_waitgroup_add(&wg, 1);
    weft_go(receiver, (size_t)ALL, &wg);
    EXPECT_EQ(write(ends[0], p, ALL), ALL);
    EXPECT(!weft__keep_holds());
    weft_waitgroup_wait(&wg);
    close_pair();
    free(p);
}

TEST_ENV(posix, a_full_socket_is_waited_for_without_the_processor, "WEFT_PROCS=1")
{
    open_pair(SOCK_STREAM);
    fill();
    EXPECT_HANDS_ON(drain, EXPECT_EQ(write(ends[0], "x", 1), 1));
    close_pair();
    open_pair(SOCK_DGRAM);
    fill();
    EXPECT_HANDS_ON(drain, EXPECT_EQ(send(ends[0], "x", 1, 0), 1));
    close_pair();
}

TEST_ENV(posix, small_sends_keep_the_processor, "WEFT_PROCS=1")
{
    struct iovec iov = {(char[]){"abc"}, 3};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    open_pair(SOCK_STREAM);
    EXPECT_KEEPS(EXPECT_EQ(send(ends[0], "abc", 3, 0), 3));
    EXPECT_KEEPS(EXPECT_EQ(sendto(ends[0], "abc", 3, 0, NULL, 0), 3));
    EXPECT_KEEPS(EXPECT_EQ(sendmsg(ends[0], &m, 0), 3));
    EXPECT_KEEPS(EXPECT_EQ(write(ends[0], "abc", 3), 3));
    EXPECT_KEEPS(EXPECT_EQ(writev(ends[0], &iov, 1), 3));
    EXPECT_KEEPS(EXPECT_EQ(write(fd, "abc", 3), 3));
    close_pair();
    close(fd);
}

TEST_ENV(posix, sending_to_nobody_fails_as_ever, "WEFT_PROCS=1")
{
    signal(SIGPIPE, SIG_IGN);
    open_pair(SOCK_STREAM);
    close(ends[1]);
    EXPECT_KEEPS(EXPECT_EQ(send(ends[0], "abc", 3, 0), -1));
    EXPECT_EQ(errno, EPIPE);
    EXPECT_KEEPS(EXPECT_EQ(write(ends[0], "abc", 3), -1));
    EXPECT_EQ(errno, EPIPE);
    close(ends[0]);
}

/* ---- connect and accept ---- */

static int listener(struct sockaddr_in *ret_at)
{
    socklen_t len = sizeof *ret_at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret_at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    REQUIRE(bind(fd, (struct sockaddr *)ret_at, len) == 0 && listen(fd, 16) == 0);
    REQUIRE(getsockname(fd, (struct sockaddr *)ret_at, &len) == 0);
    return fd;
}

static struct sockaddr_in where;

static void knock(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    EXPECT_EQ(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
    close(fd);
}

TEST_ENV(posix, accept_and_connect_hand_the_processor_on, "WEFT_PROCS=1")
{
    int ln = listener(&where), fd = -1;

    EXPECT_HANDS_ON(knock, fd = accept(ln, NULL, NULL));
    EXPECT(fd >= 0);
    close(fd);
    EXPECT_HANDS_ON(knock, fd = accept4(ln, NULL, NULL, SOCK_CLOEXEC));
    EXPECT(fd >= 0);
    close(fd);
    EXPECT_GIVES(knock());
    EXPECT_KEEPS(fd = accept(ln, NULL, NULL));
    EXPECT(fd >= 0);
    close(fd);
    fcntl(ln, F_SETFL, O_NONBLOCK);
    EXPECT_KEEPS(EXPECT_EQ(accept(ln, NULL, NULL), -1));
    EXPECT_EQ(errno, EAGAIN);
    close(ln);
}

/* ---- poll and kin ---- */

static void poll_all_ways(int timeout, int want)
{
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    struct timespec ts = {0, timeout * 1000000L};
    struct timeval tv = {0, timeout * 1000L};
    struct epoll_event ev = {.events = EPOLLIN};
    fd_set in;
    char buf[16];
    int ep = epoll_create1(EPOLL_CLOEXEC), r = -1;
    int ways = epoll_pwait2(ep, &ev, 1, &(struct timespec){0, 0}, NULL) < 0 && errno == ENOSYS ? 6 : 7; /* Linux before 5.11, qemu-user 7.2 */

    epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &ev);
    for (int how = 0; how < ways; how++) {
        FD_ZERO(&in);
        FD_SET(ends[0], &in);
        weft_waitgroup others = {0};
        weft_time before = weft_now();
        weft_yield();
        EXPECT(weft__keep_holds());
        if (want)
            weft_waitgroup_go(&others, send_hello);
        switch (how) {
        case 0: r = poll(&p, 1, timeout); break;
        case 1: r = ppoll(&p, 1, &ts, NULL); break;
        case 2: r = select(ends[0] + 1, &in, NULL, NULL, &tv); break;
        case 3: r = pselect(ends[0] + 1, &in, NULL, NULL, &ts, NULL); break;
        case 4: r = epoll_wait(ep, &ev, 1, timeout); break;
        case 5: r = epoll_pwait(ep, &ev, 1, timeout, NULL); break;
        case 6: r = epoll_pwait2(ep, &ev, 1, &ts, NULL); break;
        }
        EXPECT(!weft__keep_holds());
        EXPECT_EQ(r, want);
        if (how == 2 || how == 3)
            EXPECT_EQ(FD_ISSET(ends[0], &in) != 0, want);
        EXPECT(want || weft_now() - before >= (timeout - 1) * WEFT_MS);
        tv = (struct timeval){0, timeout * 1000L};
        if (want)
            EXPECT_EQ(read(ends[0], buf, sizeof buf), 5);
        weft_waitgroup_wait(&others);
    }
    close(ep);
}

TEST_ENV(posix, polls_end_by_time, "WEFT_PROCS=1")
{
    open_pair(SOCK_STREAM);
    poll_all_ways(5, 0);
    close_pair();
}

TEST_ENV(posix, polls_end_by_an_event, "WEFT_PROCS=1")
{
    open_pair(SOCK_STREAM);
    poll_all_ways(900, 1);
    close_pair();
}

TEST_ENV(posix, polls_that_find_something_keep_the_processor, "WEFT_PROCS=1")
{
    struct pollfd p[2];
    fd_set in, out;

    open_pair(SOCK_STREAM);
    send_hello();
    p[0] = (struct pollfd){.fd = ends[0], .events = POLLIN | POLLOUT};
    p[1] = (struct pollfd){.fd = ends[1], .events = POLLIN};
    EXPECT_KEEPS(EXPECT_EQ(poll(p, 2, -1), 1));
    EXPECT_EQ(p[0].revents, POLLIN | POLLOUT);
    EXPECT_EQ(p[1].revents, 0);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(ends[0], &in), FD_SET(ends[1], &in), FD_SET(ends[1], &out);
    EXPECT_KEEPS(EXPECT_EQ(select(64, &in, &out, NULL, NULL), 2));
    EXPECT(FD_ISSET(ends[0], &in) && !FD_ISSET(ends[1], &in) && FD_ISSET(ends[1], &out));
    EXPECT_KEEPS(EXPECT_EQ(poll(p + 1, 1, 0), 0));
    close_pair();
}

TEST_ENV(posix, select_without_descriptors_sleeps, "WEFT_PROCS=1")
{
    struct timeval tv = {0, 5000};
    weft_time before = weft_now();

    EXPECT_GIVES(EXPECT_EQ(select(0, NULL, NULL, NULL, &tv), 0));
    EXPECT(weft_now() - before >= 5 * WEFT_MS);
    EXPECT_EQ(tv.tv_sec + tv.tv_usec, 0); /* Linux counts it down */
}

/* ---- sleeps, children ---- */

TEST_ENV(posix, sleeps_hand_the_processor_on, "WEFT_PROCS=1")
{
    struct timespec ts = {0, 2000000}, at;

    EXPECT_GIVES(EXPECT_EQ(nanosleep(&ts, NULL), 0));
    EXPECT_GIVES(EXPECT_EQ(usleep(2000), 0));
    EXPECT_GIVES(EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL), 0));
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += 2000000;
    if (at.tv_nsec >= 1000000000)
        at.tv_sec++, at.tv_nsec -= 1000000000;
    EXPECT_GIVES(EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL), 0));
    EXPECT_GIVES(EXPECT_EQ(thrd_sleep(&ts, NULL), 0));
    EXPECT_GIVES(EXPECT_EQ(sleep(1), 0));
    ts.tv_nsec = 1000;
    EXPECT_KEEPS(EXPECT_EQ(nanosleep(&ts, NULL), 0));
}

TEST_ENV(posix, waiting_for_a_child_hands_the_processor_on, "WEFT_PROCS=1")
{
    char *argv[] = {(char[]){"sleep"}, (char[]){"0.02"}, NULL};
    int status = -1;
    pid_t pid;

    REQUIRE(posix_spawnp(&pid, "sleep", NULL, NULL, argv, environ) == 0);
    EXPECT_GIVES(EXPECT_EQ(waitpid(pid, &status, 0), pid));
    EXPECT_EQ(status, 0);
}

static void unlock_file(int fd)
{
    flock(fd, LOCK_UN);
}

TEST_ENV(posix, waiting_for_a_file_lock_hands_the_processor_on, "WEFT_PROCS=1")
{
    char path[] = "/tmp/weft-flock-XXXXXX";
    int a = mkstemp(path), b = open(path, O_RDWR | O_CLOEXEC);

    unlink(path);
    EXPECT_EQ(flock(a, LOCK_EX), 0);
    weft_yield();
    weft_waitgroup others = {0};
    weft_waitgroup_go(&others, unlock_file, a);
    EXPECT_EQ(flock(b, LOCK_EX), 0);
    EXPECT(!weft__keep_holds());
    weft_waitgroup_wait(&others);
    close(a);
    close(b);
}
