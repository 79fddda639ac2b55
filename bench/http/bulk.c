/*
 * bulk.c - what files and bulk transfers cost: CPU time of this process beside the plain calls, by turns, medians of ROUNDS.
 *
 * usage   net-bulk [ROUNDS]     prints a line for each row
 *
 * Rows    pread of 4 KiB from the page cache, bare and by weft_file_pread; pwrite likewise; the price of the brackets around a
 *         blocking call; 1 MiB of a file to a TCP peer by copying and by weft_conn_send_file; 1 MiB from one TCP peer to another
 *         by copying and by weft_conn_splice; a datagram alone and in a batch. The peers are processes of their own.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weft/weft.h>

enum { MIB = 1 << 20, CALLS = 20000, PIECE = 65536, MOVES = 40, ROUNDS_MAX = 101 };

static char buf[PIECE];
static int file_fd;
static weft_file *file;
static weft_conn *sink, *source;

static double cpu_us(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

/* ---- the contestants: each does its work count times ---- */

static void pread_bare(int count)
{
    for (int i = 0; i < count; i++)
        check(pread(file_fd, buf, 4096, (off_t)(i % 256) * 4096) == 4096, "pread");
}

static void pread_weft(int count)
{
    for (int i = 0; i < count; i++)
        check(weft_file_pread(file, buf, 4096, (uint64_t)(i % 256) * 4096) == 4096, "weft_file_pread");
}

static void pread_bracketed(int count)
{
    for (int i = 0; i < count; i++) {
        weft_block_begin();
        ssize_t n = pread(file_fd, buf, 4096, (off_t)(i % 256) * 4096);
        weft_block_end();
        check(n == 4096, "pread");
    }
}

static void pwrite_bare(int count)
{
    for (int i = 0; i < count; i++)
        check(pwrite(file_fd, buf, 4096, (off_t)(i % 256) * 4096) == 4096, "pwrite");
}

static void pwrite_weft(int count)
{
    for (int i = 0; i < count; i++)
        check(weft_file_pwrite(file, buf, 4096, (uint64_t)(i % 256) * 4096) == 4096, "weft_file_pwrite");
}

static void send_copied(int count)
{
    for (int i = 0; i < count; i++)
        for (off_t at = 0; at < MIB; at += PIECE) {
            check(pread(file_fd, buf, PIECE, at) == PIECE, "pread");
            check(weft_conn_write(NULL, sink, buf, PIECE) == PIECE, "write");
        }
}

static void send_file(int count)
{
    for (int i = 0; i < count; i++)
        check(weft_conn_send_file(NULL, sink, file_fd, 0, MIB) == MIB, "weft_conn_send_file");
}

static void proxy_copied(int count)
{
    for (size_t left = (size_t)count * MIB; left;) {
        ssize_t n = weft_conn_read(NULL, source, buf, left < PIECE ? left : PIECE);
        check(n > 0 && weft_conn_write(NULL, sink, buf, (size_t)n) == n, "copy");
        left -= (size_t)n;
    }
}

static void proxy_spliced(int count)
{
    for (int i = 0; i < count; i++)
        check(weft_conn_splice(NULL, sink, source, MIB) == MIB, "weft_conn_splice");
}

/* 32 datagrams of 64 bytes to a socket of this process and back out of it: for one of them. */
enum { BATCH = 32 };
static weft_conn *udp_in, *udp_out;

static void udp_single(int count)
{
    for (int i = 0; i < count; i += BATCH) {
        for (int k = 0; k < BATCH; k++)
            check(weft_conn_write(NULL, udp_out, buf, 64) == 64, "write");
        for (int k = 0; k < BATCH; k++)
            check(weft_conn_read(NULL, udp_in, buf, 64) == 64, "read");
    }
}

static void udp_batch(int count)
{
    static struct weft_packet p[BATCH];
    for (int k = 0; k < BATCH; k++)
        p[k] = (struct weft_packet){.buf = buf + 64 * k, .n = 64};
    for (int i = 0; i < count; i += BATCH) {
        for (int k = 0; k < BATCH; k++)
            p[k].addr.len = 0;
        check(weft_conn_write_batch(NULL, udp_out, p, BATCH) == BATCH, "weft_conn_write_batch");
        for (int have = 0; have < BATCH;) {
            int n = weft_conn_read_batch(NULL, udp_in, p + have, BATCH - have);
            check(n > 0, "weft_conn_read_batch");
            have += n;
        }
    }
}

static const struct {
    const char *name;
    void (*bare)(int), (*weft)(int);
    int count;
} row[] = {
    {"pread_4k_cached", pread_bare, pread_weft, CALLS},      {"pread_4k_bracketed", pread_bare, pread_bracketed, CALLS},
    {"pwrite_4k", pwrite_bare, pwrite_weft, CALLS},          {"send_1m_copy_or_sendfile", send_copied, send_file, MOVES},
    {"proxy_1m_copy_or_splice", proxy_copied, proxy_spliced, MOVES}, {"udp_64b_one_or_batch_of_32", udp_single, udp_batch, 32000},
};

/* ---- the peers ---- */

/* A child that takes one connection and reads it away, or fills it; ends with it. Its port. */
static int peer(bool fills)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int ln = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(ln >= 0 && bind(ln, (struct sockaddr *)&a, len) == 0 && listen(ln, 1) == 0 &&
              getsockname(ln, (struct sockaddr *)&a, &len) == 0, "listen");
    if (fork() == 0) {
        int fd = accept(ln, NULL, NULL);
        ssize_t n;
        do
            n = fills ? send(fd, buf, sizeof buf, MSG_NOSIGNAL) : recv(fd, buf, sizeof buf, 0);
        while (n > 0);
        _exit(0);
    }
    close(ln);
    return ntohs(a.sin_port);
}

static weft_conn *dial(int port)
{
    char addr[32];
    weft_conn *c;
    snprintf(addr, sizeof addr, "127.0.0.1:%d", port);
    check(weft_dial(NULL, "tcp", addr, &c) == 0, "weft_dial");
    return c;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double one(void (*fn)(int), int count)
{
    double t = cpu_us();
    fn(count);
    return (cpu_us() - t) / count;
}

static void run_rows(int rounds)
{
    static double a[ROUNDS_MAX], b[ROUNDS_MAX];
    for (size_t r = 0; r < sizeof row / sizeof *row; r++) {
        for (int i = 0; i < rounds; i++) {
            a[i] = one(row[r].bare, row[r].count);
            b[i] = one(row[r].weft, row[r].count);
        }
        qsort(a, (size_t)rounds, sizeof *a, by_size);
        qsort(b, (size_t)rounds, sizeof *b, by_size);
        printf("%-26s plain %8.3f us  weft %8.3f us  ratio %.2f\n", row[r].name,
               a[rounds / 2], b[rounds / 2], b[rounds / 2] / a[rounds / 2]);
    }
}

int main(int argc, char **argv)
{
    char name[] = "/tmp/net_bulk_XXXXXX";
    weft_waitgroup wg = {0};
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 7;
    int in = peer(false), out = peer(true); /* before weft has threads */
    check(rounds > 0 && rounds <= ROUNDS_MAX, "1 .. 101 rounds");
    check((file_fd = mkostemp(name, O_CLOEXEC)) >= 0, "mkostemp");
    for (int i = 0; i < MIB / PIECE; i++)
        check(write(file_fd, buf, PIECE) == PIECE, "write");
    check(weft_file_open(name, O_RDWR, 0, &file) == 0, "weft_file_open");
    unlink(name);
    sink = dial(in);
    source = dial(out);
    char addr[WEFT_ADDR_TEXT];
    check(weft_listen_packet(&udp_in, "udp", "127.0.0.1:0") == 0 && weft_conn_local(udp_in, addr, sizeof addr) > 0 &&
              weft_dial(NULL, "udp", addr, &udp_out) == 0, "udp");
    weft_waitgroup_go(&wg, run_rows, rounds);
    weft_waitgroup_wait(&wg);
    weft_conn_close(sink);
    weft_conn_close(source);
    weft_conn_close(udp_in);
    weft_conn_close(udp_out);
    weft_file_close(file);
    close(file_fd);
    return 0;
}
