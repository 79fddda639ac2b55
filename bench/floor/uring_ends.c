/*
 * uring_ends.c - which ends of a stream the kernel's multishot recv tells of: what src/poll/poll_uring.c must make up for.
 *
 * Role    No weft: one ring whose completions run when this thread says so (DEFER_TASKRUN), one connection for each line. Bytes
 *         and an end come before the request is armed, or after it, or, by a userfaultfd that holds the copy up, while the
 *         kernel receives. "LOST" is a request that stays armed and silent though recv(2) has an answer.
 *         With a number: so many TCP connections that end in order, and how many of those ends were lost.
 * Limits  The last part needs userfaultfd(2) for the kernel's faults (root); without it that part is left out.
 * Source  liburing issue 1549; Linux io_uring/poll.c; docs/adr/0013-io-uring.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BUFS = 8, PAGE = 4096, BUF = 2048, GROUP = 1, NAME = 7 };
enum how { SHUT, RESET };
static struct io_uring ring;
static _Alignas(PAGE) char page[PAGE];
static char *mem;
static int s[2], faults = -1; /* s[0] receives */

static void need(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static void give(int id)
{
    struct io_uring_buf_ring *br = (struct io_uring_buf_ring *)page;
    io_uring_buf_ring_add(br, mem + (size_t)id * PAGE, BUF, (unsigned short)id, io_uring_buf_ring_mask(BUFS), 0);
    io_uring_buf_ring_advance(br, 1);
}

static void open_pair(bool tcp)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int one = 1;
    if (!tcp) {
        need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0, "socketpair");
        return;
    }
    int ln = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(bind(ln, (struct sockaddr *)&a, n) == 0 && listen(ln, 1) == 0 && getsockname(ln, (struct sockaddr *)&a, &n) == 0, "listen");
    s[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(connect(s[1], (struct sockaddr *)&a, n) == 0, "connect");
    s[0] = accept(ln, NULL, NULL);
    need(s[0] >= 0 && setsockopt(s[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "accept");
    close(ln);
}

static void arm(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_recv_multishot(sqe, s[0], NULL, 0, 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
    sqe->user_data = NAME;
    need(io_uring_submit_and_get_events(&ring) >= 0, "submit");
}

static void end_stream(enum how how)
{
    struct linger at_once = {.l_onoff = 1};
    if (how == SHUT) {
        need(shutdown(s[1], SHUT_WR) == 0, "shutdown");
        return;
    }
    need(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0, "linger");
    close(s[1]);
    s[1] = -1;
}

static void send_pieces(int pieces)
{
    for (int i = 0; i < pieces; i++)
        need(send(s[1], "x", 1, MSG_NOSIGNAL) == 1, "send");
}

/* What the request tells; true: its end among it. */
static bool told(void)
{
    struct __kernel_timespec ts = {.tv_nsec = 300000000};
    struct io_uring_sync_cancel_reg what = {.addr = NAME, .fd = -1, .timeout = {.tv_sec = -1, .tv_nsec = -1}};
    struct io_uring_cqe *cqe;
    bool ended = false, cancelled = false;
    while (!ended) {
        if (io_uring_wait_cqe_timeout(&ring, &cqe, &ts) < 0) {
            need(!cancelled, "cancel");
            cancelled = true;
            (void)io_uring_register_sync_cancel(&ring, &what);
            continue;
        }
        ended = !(cqe->flags & IORING_CQE_F_MORE);
        if (!cancelled)
            printf(" %d%s", cqe->res, ended ? "" : "+");
        if (cqe->flags & IORING_CQE_F_BUFFER)
            give((int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT));
        io_uring_cqe_seen(&ring, cqe);
    }
    puts(cancelled ? "  LOST" : "  ended");
    close(s[0]);
    if (s[1] >= 0)
        close(s[1]);
    return !cancelled;
}

static bool line(bool tcp, int pieces, enum how how, bool armed_first)
{
    printf("%-4s %3d pieces, %s, armed %s:", tcp ? "tcp" : "unix", pieces, how == SHUT ? "shutdown" : "reset",
           armed_first ? "before" : "after");
    open_pair(tcp);
    if (armed_first)
        arm();
    send_pieces(pieces);
    end_stream(how);
    usleep(1000); /* the loopback device has passed it on */
    if (!armed_first)
        arm();
    return told();
}

/* The kernel copies into a page that is not there: the end comes, and then the page. */
static void *hold_up(void *none)
{
    static char zero[PAGE];
    struct uffd_msg m;
    need(read(faults, &m, sizeof m) == sizeof m, "userfaultfd");
    end_stream(SHUT);
    struct uffdio_copy c = {.dst = m.arg.pagefault.address & ~(uint64_t)(PAGE - 1), .src = (uint64_t)(uintptr_t)zero, .len = PAGE};
    need(ioctl(faults, UFFDIO_COPY, &c) == 0, "copy");
    return none;
}

static void line_held_up(int pieces)
{
    pthread_t t;
    printf("unix %3d pieces, shutdown while they are received:", pieces);
    madvise(mem, (size_t)BUFS * PAGE, MADV_DONTNEED);
    open_pair(false);
    arm();
    send_pieces(pieces);
    need(pthread_create(&t, NULL, hold_up, NULL) == 0, "thread");
    (void)told();
    pthread_join(t, NULL);
}

static bool start_faults(void)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register r = {.range = {(uint64_t)(uintptr_t)mem, (size_t)BUFS * PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    return faults >= 0 && ioctl(faults, UFFDIO_API, &api) == 0 && ioctl(faults, UFFDIO_REGISTER, &r) == 0;
}

int main(int argc, char **argv)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)page, .ring_entries = BUFS, .bgid = GROUP};
    int rounds = argc > 1 ? atoi(argv[1]) : 0, lost = 0;
    errno = -io_uring_queue_init_params(16, &ring, &p);
    need(errno == 0, "io_uring with DEFER_TASKRUN");
    errno = -io_uring_register_buf_ring(&ring, &reg, 0);
    need(errno == 0, "provided buffers");
    io_uring_buf_ring_init((struct io_uring_buf_ring *)page);
    mem = mmap(NULL, (size_t)BUFS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(mem != MAP_FAILED, "mmap");
    for (int i = 0; i < BUFS; i++)
        give(i);
    for (int i = 0; i < rounds; i++) /* TCP's orderly end, again and again */
        lost += !line(true, 1 + i % 200, SHUT, i & 1);
    if (rounds > 0) {
        printf("%d of %d lost\n", lost, rounds);
        return 0;
    }
    for (int armed_first = 1; armed_first >= 0; armed_first--) {
        (void)line(false, 0, SHUT, armed_first);
        (void)line(false, 1, SHUT, armed_first);
        (void)line(true, 1, SHUT, armed_first);
        (void)line(true, 0, RESET, armed_first);
        (void)line(true, 1, RESET, armed_first);
    }
    if (!start_faults())
        return 0;
    line_held_up(1);
    line_held_up(127);
    line_held_up(128);
    return 0;
}
