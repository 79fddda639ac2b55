/*
 * test_poll_send.c - many sends in one system call: src/poll/poll_send.c. Who uses it is test_http_post.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "poll/poll.h"
#include "poll/poll_send.h"
#include "weft/net.h"
#include "weft_test.h"

enum { ASKED_MAX = 100 };

static void start_poller(void)
{
    weft_listener *ln;
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_listener_close(ln);
}

/* The first sender, once it has been asked for often enough; NULL: it cannot be had. */
static struct weft__sender *sender(int *ret_asked)
{
    for (*ret_asked = 1; *ret_asked <= ASKED_MAX; ++*ret_asked) {
        struct weft__sender *s = weft__sender_take(0);
        if (s)
            return s;
    }
    return NULL;
}

static struct weft__sender *need_sender(void)
{
    int asked;
    start_poller();
    struct weft__sender *s = sender(&asked);
    if (!s)
        weft_test_skip("no usable io_uring here: built without liburing, a kernel before 5.18, or it is forbidden");
    EXPECT(asked > 1);   /* who answers now and then needs no ring */
    return s;
}

static void pair(int *fd)
{
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
}

/* As much as it takes. */
static size_t fill(int fd)
{
    static const char zeros[4096];
    size_t sum = 0;
    ssize_t n;
    while ((n = send(fd, zeros, sizeof zeros, MSG_NOSIGNAL)) > 0 || (n = send(fd, zeros, 1, MSG_NOSIGNAL)) > 0)
        sum += (size_t)n;
    return sum;
}

static size_t drain(int fd)
{
    char buf[4096];
    size_t sum = 0;
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0)
        sum += (size_t)n;
    return sum;
}

static void gets(int fd, const char *want)
{
    char buf[64];
    ssize_t n = recv(fd, buf, sizeof buf - 1, 0);
    buf[n > 0 ? n : 0] = '\0';
    EXPECT_STR(buf, want);
}

TEST_ENV(poll_send, each_gets_its_own_and_what_did_not_go_is_told_in_order, "WEFT_POLL=")
{
    struct weft__sender *s = need_sender();
    int a[2], full[2], gone[2], b[2];
    pair(a), pair(full), pair(gone), pair(b);
    size_t held = fill(full[0]);
    close(gone[1]);
    for (int round = 0; round < 3; round++) {
        weft__sender_add(s, a[0], "first", 5);
        weft__sender_add(s, full[0], "second", 6);
        weft__sender_add(s, gone[0], "third", 5);
        weft__sender_add(s, b[0], "fourth", 6);
        const int32_t *put = weft__sender_run(s);
        EXPECT_EQ(put[0], 5);
        EXPECT_EQ(put[1], -EAGAIN);
        EXPECT_EQ(put[2], -EPIPE);   /* and no signal */
        EXPECT_EQ(put[3], 6);
        gets(a[1], "first");
        gets(b[1], "fourth");
    }
    EXPECT_EQ(drain(full[1]), held);   /* what found no room does not follow later */
    weft__sender_add(s, full[0], "again", 5);
    EXPECT_EQ(weft__sender_run(s)[0], 5);
    gets(full[1], "again");
    weft__sender_give(s);
    for (int i = 0; i < 2; i++)
        close(a[i]), close(full[i]), close(b[i]);
    close(gone[0]);
}

/* What a socket has room for goes, and no more is said. */
TEST_ENV(poll_send, a_part_is_told_as_one, "WEFT_POLL=")
{
    static const char big[4 << 20];
    struct weft__sender *s = need_sender();
    int fd[2];
    pair(fd);
    weft__sender_add(s, fd[0], big, sizeof big);
    int32_t put = weft__sender_run(s)[0];
    EXPECT(put > 0 && (size_t)put < sizeof big);
    EXPECT_EQ(drain(fd[1]), (size_t)put);
    weft__sender_give(s);
    close(fd[0]), close(fd[1]);
}

TEST_ENV(poll_send, as_many_as_may_be_go_at_once, "WEFT_POLL=")
{
    struct weft__sender *s = need_sender();
    int fd[WEFT__SEND_MAX][2];
    char text[WEFT__SEND_MAX][8];
    for (int i = 0; i < WEFT__SEND_MAX; i++)
        pair(fd[i]);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < WEFT__SEND_MAX; i++) {
            snprintf(text[i], sizeof text[i], "%d.%d", round, i);
            weft__sender_add(s, fd[i][0], text[i], strlen(text[i]));
        }
        const int32_t *put = weft__sender_run(s);
        for (int i = 0; i < WEFT__SEND_MAX; i++) {
            EXPECT_EQ(put[i], (int32_t)strlen(text[i]));
            gets(fd[i][1], text[i]);
        }
    }
    weft__sender_give(s);
    for (int i = 0; i < WEFT__SEND_MAX; i++)
        close(fd[i][0]), close(fd[i][1]);
}

TEST_ENV(poll_send, a_sender_is_one_user_s_at_a_time, "WEFT_POLL=")
{
    struct weft__sender *s = need_sender();
    EXPECT(weft__sender_take(0) == NULL);
    EXPECT(weft__sender_take(WEFT__SENDERS) == NULL);   /* the same one */
    weft__sender_give(s);
    EXPECT(weft__sender_take(0) == s);
    weft__sender_give(s);
}

TEST_ENV(poll_send, who_asks_for_epoll_gets_no_ring, "WEFT_POLL=epoll")
{
    int asked;
    start_poller();
    EXPECT(sender(&asked) == NULL);
}

/* No descriptor is left for it: then never. */
TEST_ENV(poll_send, without_a_ring_there_is_none_for_good, "WEFT_POLL=")
{
    struct rlimit r;
    int asked;
    start_poller();
    REQUIRE(getrlimit(RLIMIT_NOFILE, &r) == 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = r.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    EXPECT(sender(&asked) == NULL);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &r) == 0);
    EXPECT(sender(&asked) == NULL);
}
