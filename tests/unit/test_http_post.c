/*
 * test_http_post.c - small answers of many connections wait for each other: src/http/post.c.
 *
 * The clients are connections of the test's own goroutine. A handler looks at the clients' sockets to see whose answer is there.
 */
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/poll/poll_send.h"
#include "../../src/sched/sched_int.h"
#include "http_site.h"

enum { CONNS = 24, BIG = 16 * 1024, ASKED = 400 };

static struct {
    weft_conn *conn[CONNS];
    int fd[CONNS];
    atomic_int begun, first;   /* handlers of this round; the connection of the first */
    atomic_bool together;      /* when the last handler began, the first one's answer had not left */
    weft_dur work;             /* what a handler computes */
    _Atomic weft_time first_at, last_at; /* when the round's first and last handler began */
} all;

static bool answer_there(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void hello(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    weft_time until = weft_now() + all.work;
    int n = atomic_fetch_add(&all.begun, 1);
    (void)arg;
    if (n == 0) {
        atomic_store(&all.first, weft_http_request_path(rq)[1] - 'a');
        atomic_store(&all.first_at, weft_now());
    }
    if (n == CONNS - 1) {
        atomic_store(&all.last_at, weft_now());
        atomic_store(&all.together, !answer_there(all.fd[atomic_load(&all.first)]));
    }
    while (all.work && weft_now() < until)
        ;
    (void)weft_http_reply_text(w, 200, "text/plain", "hello\n");
}

static void read_answer(weft_conn *c)
{
    char out[1024];
    size_t n = 0;
    for (out[0] = '\0'; n < sizeof out - 1 && !strstr(out, "hello\n"); out[n] = '\0') {
        ssize_t got = weft_conn_read(NULL, c, out + n, sizeof out - 1 - n);
        REQUIRE(got > 0);
        n += (size_t)got;
    }
}

static void ask_all(void)
{
    char rq[64];
    atomic_store(&all.begun, 0);
    for (int i = 0; i < CONNS; i++) {
        snprintf(rq, sizeof rq, "GET /%c HTTP/1.1\r\nHost: h\r\n\r\n", 'a' + i);
        REQUIRE(weft_conn_write(NULL, all.conn[i], rq, strlen(rq)) > 0);
    }
}

/* A round of one request each: did the answers wait for each other? */
static bool round_together(void)
{
    ask_all();
    while (atomic_load(&all.begun) < CONNS)   /* nothing is read before the last handler has looked */
        weft_sleep(WEFT_MS / 10);
    for (int i = 0; i < CONNS; i++)
        read_answer(all.conn[i]);
    return atomic_load(&all.together);
}

static void open_all(struct site *s, weft_http_handler handler)
{
    struct weft_http_server_opts o = {.handler = handler};
    site_start(s, &o);
    for (int i = 0; i < CONNS; i++) {
        all.conn[i] = site_dial(s);
        all.fd[i] = weft_conn_fd(all.conn[i]);
    }
}

static void close_all(void)
{
    for (int i = 0; i < CONNS; i++)
        (void)weft_conn_close(all.conn[i]);
}

TEST_ENV(http_post, answers_leave_when_those_who_were_ready_have_run, "WEFT_PROCS=1")
{
    struct site s;
    int rounds = 0, quick = 0;
    open_all(&s, hello);
    while (rounds < 1000 && !round_together()) { /* other programs may have the requests come one by one */
        rounds++;
        quick += atomic_load(&all.last_at) - atomic_load(&all.first_at) < WEFT_MS / 2;
    }
    close_all();
    site_stop(&s);
    if (rounds == 1000 && quick < 500)
        weft_test_skip("an answer waits for 1 ms at most, and the handlers had no CPU for so long");
    EXPECT(rounds < 1000);
}

/* Requests that the process's rings of io_uring have completed, by fdinfo; -1: it has none. */
static long ring_completions(void)
{
    long sum = -1, n;
    char path[64], to[64], line[128];
    for (int fd = 3; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, to, sizeof to - 1);
        to[len > 0 ? len : 0] = 0;
        if (strcmp(to, "anon_inode:[io_uring]") != 0)
            continue;
        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
        FILE *f = fopen(path, "r");
        sum = sum < 0 ? 0 : sum;
        while (f && fgets(line, sizeof line, f))
            sum += sscanf(line, "CqTail: %ld", &n) == 1 ? n : 0;
        if (f)
            fclose(f);
    }
    return sum;
}

static bool ring_to_be_had(void)
{
    struct weft__sender *sender = NULL;
    for (int i = 0; i < 100 && !sender; i++)
        sender = weft__sender_take(WEFT__SENDERS - 1);   /* no processor's here */
    if (sender)
        weft__sender_give(sender);
    return sender != NULL;
}

/* The sends of a turn are one system call: each answer that went so is a completion of a ring. */
static void go_by_ring(bool wanted)
{
    struct site s;
    long n = -1;
    int rounds = 0, quick = 0;
    REQUIRE(setenv("WEFT_POLL", wanted ? "" : "epoll", 1) == 0);   /* before anything is watched */
    open_all(&s, hello);
    for (; rounds < 400 && n < CONNS; rounds++) {
        (void)round_together();
        quick += atomic_load(&all.last_at) - atomic_load(&all.first_at) < WEFT_MS / 2;
        n = ring_completions();
    }
    bool can = ring_to_be_had();
    close_all();
    site_stop(&s);
    if (wanted && !can)
        weft_test_skip("no usable io_uring here: built without liburing, a kernel before 5.18, or it is forbidden");
    if (wanted && n < CONNS && quick < rounds / 2)
        weft_test_skip("the handlers had no CPU for so long that nothing is posted");
    EXPECT(wanted ? n >= CONNS : n < 0 && !can);
}

TEST_ENV(http_post, answers_that_leave_together_are_one_system_call, "WEFT_PROCS=1")
{
    go_by_ring(true);
}

TEST_ENV(http_post, who_asks_for_epoll_has_each_sent_by_itself, "WEFT_PROCS=1")
{
    go_by_ring(false);
}

TEST_ENV(http_post, answers_do_not_wait_for_handlers_that_compute_long, "WEFT_PROCS=1")
{
    struct site s;
    int apart = 0;
    open_all(&s, hello);
    all.work = WEFT_MS / 5;
    for (int round = 0; round < 40; round++)
        apart += !round_together();
    EXPECT(apart >= 20);   /* but for two turns each time they are tried */
    close_all();
    site_stop(&s);
}

/* The turns that find out that handlers compute long: the first answer leaves with the one that comes more than a millisecond later. */
static struct {
    atomic_int ended, first;   /* handlers of this round that have computed; the connection of the first */
    _Atomic weft_time at;      /* when that was */
    atomic_bool due;           /* another has ended long enough after it */
    atomic_int late;           /* handlers that found it was due and had not left, though nobody was kept from sending it */
} slow;

/* Beside those who compute one more has lost the processor: who has yet to bring its answer, or sends what was brought, lacks a CPU. */
static bool answers_lack_a_cpu(void)
{
    int less = (int)atomic_load(&weft__sched.nless);
    return less > atomic_load(&all.begun) - atomic_load(&slow.ended) - 1;
}

static void compute(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    weft_time until = weft_now() + all.work, now;
    (void)arg;
    atomic_fetch_add(&all.begun, 1);
    if (atomic_load(&slow.due) && !answers_lack_a_cpu() && !answer_there(all.fd[atomic_load(&slow.first)]))
        atomic_fetch_add(&slow.late, 1);
    while ((now = weft_now()) < until)
        ;
    if (atomic_fetch_add(&slow.ended, 1) == 0) {
        atomic_store(&slow.first, weft_http_request_path(rq)[1] - 'a');
        atomic_store(&slow.at, now);
    } else if (atomic_load(&slow.at) && now - atomic_load(&slow.at) > 2 * WEFT_MS) {
        atomic_store(&slow.due, true);
    }
    (void)weft_http_reply_text(w, 200, "text/plain", "hello\n");
}

TEST_ENV(http_post, an_answer_waits_for_one_handler_that_computes_long, "WEFT_PROCS=1")
{
    struct site s;
    open_all(&s, compute);
    for (int round = 0; round < 5; round++) {
        all.work = round < 3 ? 0 : 3 * WEFT_MS;   /* two turns of these, then none are posted for long */
        atomic_store(&slow.due, false);
        atomic_store(&slow.at, 0);
        atomic_store(&slow.late, 0);
        atomic_store(&slow.ended, 0);
        (void)round_together();
        EXPECT(round < 3 || atomic_load(&slow.late) <= CONNS / 3);   /* some may run between a handler's end and its answer's */
    }
    close_all();
    site_stop(&s);
}

TEST(http_post, shutdown_leaves_no_answer_in_pieces)
{
    for (int round = 0; round < 20; round++) {
        struct site s;
        char out[1024];
        open_all(&s, hello);
        for (int warm = round ? 1 : 30; warm > 0; warm--)   /* at first so that a ring sends them, if it may */
            (void)round_together();
        ask_all();
        if (round % 2)
            weft_yield();
        site_stop(&s);
        for (int i = 0; i < CONNS; i++) {
            size_t n = 0;
            ssize_t got;
            while (n < sizeof out - 1 && (got = weft_conn_read(NULL, all.conn[i], out + n, sizeof out - 1 - n)) > 0)
                n += (size_t)got;
            out[n] = '\0';
            EXPECT(n == 0 || strstr(out, "\r\n\r\nhello\n"));
        }
        close_all();
    }
}

/* ---- peers that do not read ---- */

/* BIG times the letter of the path. */
static void letters(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char piece[1024];
    (void)arg;
    memset(piece, weft_http_request_path(rq)[1], sizeof piece);
    weft_http_reply_length(w, BIG);
    for (int i = 0; i < BIG / 1024; i++)
        (void)weft_http_reply_write(w, piece, sizeof piece);
}

/* The answers on c, each whole and in its turn. */
static void read_letters(weft_conn *c)
{
    size_t n = 0, cap = ASKED * (BIG + 512), at = 0;
    char *text = malloc(cap + 1);
    int whole = 0;
    REQUIRE(text);
    while (whole < ASKED) {
        ssize_t got = weft_conn_read(NULL, c, text + n, cap - n);
        REQUIRE(got > 0);
        n += (size_t)got;
        text[n] = '\0';
        for (char *body; whole < ASKED && (body = strstr(text + at, "\r\n\r\n")) && text + n - (body + 4) >= BIG; whole++) {
            at = (size_t)(body + 4 - text) + BIG;
            char want = (char)('a' + whole % 26);
            if (body[4] != want || text[at - 1] != want || memcmp(body + 4, body + 5, BIG - 1) != 0)
                weft_test_fail(__FILE__, __LINE__, "answer %d is not its own", whole);
        }
    }
    EXPECT(at == n);
    free(text);
}

TEST_ENV(http_post, peers_that_do_not_read_get_all_in_the_end, "WEFT_PROCS=1")
{
    struct site s;
    char rq[64];
    open_all(&s, letters);
    for (int k = 0; k < ASKED; k++) {
        snprintf(rq, sizeof rq, "GET /%c HTTP/1.1\r\nHost: h\r\n\r\n", 'a' + k % 26);
        for (int i = 0; i < CONNS; i++)
            REQUIRE(weft_conn_write(NULL, all.conn[i], rq, strlen(rq)) > 0);
        weft_sleep(WEFT_MS / 10);   /* so that most are read one at a time; either way is right */
    }
    for (int i = 0; i < CONNS; i++)
        read_letters(all.conn[i]);
    close_all();
    site_stop(&s);
}
