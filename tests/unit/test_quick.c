/*
 * test_quick.c - system calls past the C library (src/sys/quick.c): the same results, and connections that work either way.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/weft.h>

#include "../../src/sys/quick.h"
#include "net_pair.h"
#include "weft_test.h"

enum { DEEP = 100, MESSAGES = 300, BYTES = 3000 };

/* On the way back each call finds its own return address and its own saved values. */
static long sum_of_calls(int depth, int fd)
{
    char c = (char)depth, back = 0;
    long below = depth > 0 ? sum_of_calls(depth - 1, fd) : 0;

    EXPECT_EQ(weft__sys_quick(SYS_sendto, fd, (long)&c, 1, MSG_NOSIGNAL), 1);
    EXPECT_EQ(weft__sys_quick(SYS_recvfrom, fd + 1, (long)&back, 1, 0), 1);
    EXPECT_EQ(back, (char)depth);
    return below + depth;
}

TEST(quick, calls_return_from_any_depth)
{
    int pair[2];

    if (!WEFT__QUICK)
        return;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    REQUIRE(pair[1] == pair[0] + 1);
    EXPECT_EQ(sum_of_calls(DEEP, pair[0]), DEEP * (DEEP + 1) / 2);
    close(pair[0]);
    close(pair[1]);
}

TEST(quick, an_error_comes_as_its_negative_number)
{
    char c;
    int pair[2];

    if (!WEFT__QUICK)
        return;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    errno = 0;
    EXPECT_EQ(weft__sys_quick(SYS_recvfrom, pair[0], (long)&c, 1, 0), -EAGAIN);
    EXPECT_EQ(weft__sys_quick(SYS_recvfrom, -1, (long)&c, 1, 0), -EBADF);
    close(pair[1]);
    EXPECT_EQ(weft__sys_quick(SYS_sendto, pair[0], (long)&c, 1, MSG_NOSIGNAL), -EPIPE);
    EXPECT_EQ(errno, 0);
    close(pair[0]);
}

static void echoes(weft_conn *conn)
{
    char buf[BYTES];
    ssize_t n;

    while ((n = weft_conn_read(NULL, conn, buf, sizeof buf)) > 0)
        EXPECT_EQ(weft_conn_write(NULL, conn, buf, (size_t)n), n);
}

static void messages_come_back(void)
{
    struct net_pair p = net_pair("tcp");
    char out[BYTES], in[BYTES];
    weft_waitgroup wg = {0};

    weft_waitgroup_go(&wg, echoes, p.b);
    for (int i = 0; i < MESSAGES; i++) {
        memset(out, i, sizeof out);
        struct iovec halves[2] = {{out, BYTES / 2}, {out + BYTES / 2, BYTES / 2}};
        EXPECT_EQ(weft_conn_writev(NULL, p.a, halves, 2), BYTES);
        EXPECT_EQ(weft_conn_read_full(NULL, p.a, in, sizeof in), BYTES);
        EXPECT(memcmp(in, out, sizeof in) == 0);
    }
    EXPECT_EQ(weft_conn_close_write(p.a), 0);
    weft_waitgroup_wait(&wg);
    net_pair_close(&p);
}

TEST_ENV(quick, messages_come_back_past_the_c_library, "WEFT_QUICK_CALLS=1")
{
    messages_come_back();
    EXPECT_EQ(weft__sys_quick_calls(), WEFT__QUICK);
}

TEST_ENV(quick, messages_come_back_by_the_c_library, "WEFT_QUICK_CALLS=0")
{
    messages_come_back();
    EXPECT(!weft__sys_quick_calls());
}
