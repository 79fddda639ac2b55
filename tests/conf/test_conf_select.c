/*
 * test_conf_select.c - select, as Go's tests hold it. What comes from where: LIST.md.
 *
 * Source  Go: test/chan/{doubleselect,select,select2,...,select8}.go, test/chanlinear.go, runtime TestNonblockSelectRace,
 *         TestSelfSelect, TestSelectStress, TestSelectFairness, TestPseudoRandomSend, TestSelectDuplicateChannel.
 */
#include "conf.h"
#include <time.h>
#include <malloc.h>

/* ---- one instant ---- */

static void try_two(weft_receiver(int) c1, weft_receiver(int) c2, bool turned, weft_sender(bool) done)
{
    int k = turned ? weft_select(weft_on_recv(c2, NULL), weft_on_recv(c1, NULL), weft_on_default)
                   : weft_select(weft_on_recv(c1, NULL), weft_on_recv(c2, NULL), weft_on_default);
    weft_send(done, k != 2);
}

/* One of c1 and c2 is ready at every instant, though each of them is not at some. Go looks at the cases in random
 * order; here both orders are tried. */
static void nonblock_race(bool by_close)
{
    weft_chan(bool) done = weft_make(bool, 1);
    for (int i = 0; i < (CONF_TSAN ? 2000 : 20000); i++) {
        weft_chan(int) c1 = weft_make(int, 1), c2 = weft_make(int, 1);
        weft_send(c1, 1);
        weft_go(try_two, c1, c2, (bool)(i % 2), done);
        if (by_close)
            weft_close(c2);
        else
            weft_send(c2, 1);
        (void)weft_try_recv(c1, NULL);
        EXPECT(weft_recv(done));
        weft_free(c1);
        weft_free(c2);
    }
    weft_free(done);
}

TEST(conf_select, sees_all_channels_at_one_instant_beside_a_send) { nonblock_race(false); }
TEST(conf_select, sees_all_channels_at_one_instant_beside_a_close) { nonblock_race(true); }

/* ---- both ways on one channel ---- */

static void both_ways(weft_chan(int) c, int me, weft_waitgroup *wg)
{
    for (int i = 0; i < 1000; i++) {
        int v = -1, sent;
        if (me == 0 || i % 2 == 0)
            sent = weft_select(weft_on_send(c, me), weft_on_recv(c, &v)) == 0;
        else
            sent = weft_select(weft_on_recv(c, &v), weft_on_send(c, me)) == 1;
        if (!sent && weft_cap(c) == 0)
            EXPECT_EQ(v, 1 - me);
    }
    weft_waitgroup_done(wg);
}

/* Go: runtime TestSelfSelect */
TEST(conf_select, never_receives_what_it_sends_itself)
{
    weft_procs(2);
    for (int cap = 0; cap <= 10; cap += 10) {
        weft_chan(int) c = weft_make(int, cap);
        weft_waitgroup wg = {0};
        weft_waitgroup_add(&wg, 2);
        weft_go(both_ways, c, 0, &wg);
        weft_go(both_ways, c, 1, &wg);
        weft_waitgroup_wait(&wg);
        weft_free(c);
    }
}

/* ---- stress ---- */

enum { STRESS = 4000 };

static void send_n(weft_sender(int) c)
{
    for (int i = 0; i < STRESS; i++)
        weft_send(c, 0);
}

static void recv_n(weft_receiver(int) c)
{
    for (int i = 0; i < STRESS; i++)
        (void)weft_recv(c);
}

struct four {
    weft_chan(int) c[4];
};

/* A channel that has had its share becomes NULL, so that its case is never ready again. */
static void send_each(struct four f)
{
    int n[4] = {0};
    for (int i = 0; i < 4 * STRESS; i++) {
        int k = weft_select(weft_on_send(f.c[3], 0), weft_on_send(f.c[2], 0), weft_on_send(f.c[0], 0), weft_on_send(f.c[1], 0));
        k = (int[]){3, 2, 0, 1}[k];
        if (++n[k] == STRESS)
            f.c[k] = NULL;
    }
}

static void recv_each(struct four f)
{
    int n[4] = {0};
    for (int i = 0; i < 4 * STRESS; i++) {
        int k = weft_select(weft_on_recv(f.c[0], NULL), weft_on_recv(f.c[1], NULL), weft_on_recv(f.c[2], NULL),
                            weft_on_recv(f.c[3], NULL));
        if (++n[k] == STRESS)
            f.c[k] = NULL;
    }
}

/* Go: runtime TestSelectStress */
TEST(conf_select, ten_goroutines_on_four_channels_lose_nothing)
{
    struct four f = {{weft_make(int), weft_make(int), weft_make(int, 2), weft_make(int, 3)}};
    weft_waitgroup wg = {0};
    weft_procs(10);
    for (int k = 0; k < 4; k++) {
        weft_waitgroup_go(&wg, send_n, f.c[k]);
        weft_waitgroup_go(&wg, recv_n, f.c[k]);
    }
    weft_waitgroup_go(&wg, send_each, f);
    weft_waitgroup_go(&wg, recv_each, f);
    weft_waitgroup_wait(&wg);
    for (int k = 0; k < 4; k++) {
        EXPECT_EQ(weft_len(f.c[k]), 0);
        weft_free(f.c[k]);
    }
}

/* ---- fairness ---- */

enum { TRIALS = 10000 };
static weft_chan(int) fair[4], fair_out, fair_done;

static void forward_fairly(weft_waitgroup *wg)
{
    for (int v = 0;;) {
        weft_select(weft_on_recv(fair[2], &v), weft_on_recv(fair[3], &v), weft_on_recv(fair[0], &v), weft_on_recv(fair[1], &v));
        if (weft_select(weft_on_send(fair_out, v), weft_on_recv(fair_done, NULL)) == 1)
            break;
    }
    weft_waitgroup_done(wg);
}

/* Go: runtime TestSelectFairness: two channels always ready, two never; ten sigma is allowed */
TEST(conf_select, chooses_two_ready_channels_equally_often)
{
    weft_waitgroup wg = {0};
    int count[3] = {0};
    for (int k = 0; k < 4; k++)
        fair[k] = k < 2 ? weft_make(int, TRIALS + 1) : weft_make(int);
    for (int i = 0; i <= TRIALS; i++) {
        weft_send(fair[0], 1);
        weft_send(fair[1], 2);
    }
    fair_out = weft_make(int);
    fair_done = weft_make(int);
    weft_waitgroup_add(&wg, 1);
    weft_go(forward_fairly, &wg);
    for (int i = 0; i < TRIALS; i++) {
        int v = weft_recv(fair_out);
        REQUIRE(v == 1 || v == 2);
        count[v]++;
    }
    EXPECT(abs(count[1] - TRIALS / 2) <= 500);    /* sigma is 50 */
    weft_close(fair_done);
    weft_waitgroup_wait(&wg);
    for (int k = 0; k < 4; k++)
        weft_free(fair[k]);
    weft_free(fair_out);
    weft_free(fair_done);
}

enum { SENDS = 1000 };
static int sums[2];

static void sum_up(weft_receiver(int) c, weft_waitgroup *wg)
{
    for (int i = 0; i < SENDS; i++) {
        weft_yield();
        sums[weft_recv(c)]++;
    }
    weft_waitgroup_done(wg);
}

/* Go: runtime TestPseudoRandomSend: also where the sender waits, both of its cases get their turn */
TEST(conf_select, chooses_two_sends_on_one_channel_equally_often)
{
    for (int cap = 0; cap <= SENDS; cap += SENDS) {
        weft_chan(int) c = weft_make(int, cap);
        weft_waitgroup wg = {0};
        sums[0] = sums[1] = 0;
        weft_waitgroup_add(&wg, 1);
        weft_go(sum_up, c, &wg);
        for (int i = 0; i < SENDS; i++)
            weft_select(weft_on_send(c, 1), weft_on_send(c, 0));
        weft_waitgroup_wait(&wg);
        EXPECT(sums[0] > SENDS * 3 / 10);
        EXPECT(sums[1] > SENDS * 3 / 10);
        weft_free(c);
    }
}

/* ---- queues stay whole ---- */

static atomic_int served;

static void wait_c_c_d(weft_receiver(int) c, weft_receiver(int) d, weft_sender(int) e)
{
    int k = weft_select(weft_on_recv(c, NULL), weft_on_recv(c, NULL), weft_on_recv(d, NULL));
    weft_send(e, k);
}

static void wait_c(weft_receiver(int) c)
{
    EXPECT_EQ(weft_recv(c), 8);
    atomic_fetch_add(&served, 1);
}

/* Go: runtime TestSelectDuplicateChannel */
TEST(conf_select, may_name_a_channel_twice_and_leaves_its_queue_whole)
{
    weft_chan(int) c = weft_make(int), d = weft_make(int), e = weft_make(int);
    weft_go(wait_c_c_d, c, d, e);
    conf_settle();
    weft_go(wait_c, c);
    conf_settle();
    weft_send(d, 7);
    EXPECT_EQ(weft_recv(e), 2);
    weft_send(c, 8);
    EXPECT(conf_until(&served, 1));
    weft_free(c);
    weft_free(d);
    weft_free(e);
}

static void recv_plain(weft_receiver(bool) c)
{
    (void)weft_recv(c);
    atomic_fetch_add(&served, 1);
}

static void recv_or_c2(weft_receiver(bool) c1, weft_receiver(bool) c2, weft_sender(bool) c3)
{
    EXPECT_EQ(weft_select(weft_on_recv(c1, NULL), weft_on_recv(c2, NULL)), 1);
    weft_send(c3, true);
    (void)weft_recv(c1);
    atomic_fetch_add(&served, 1);
}

static void send_true(weft_sender(bool) c)
{
    weft_send(c, true);
}

/* Go: test/chan/select6.go: the select that leaves a queue leaves those before and behind it there */
TEST(conf_select, leaving_a_queue_keeps_the_others_in_it)
{
    weft_chan(bool) c1 = weft_make(bool), c2 = weft_make(bool), c3 = weft_make(bool);
    weft_go(recv_plain, c1);
    conf_settle();
    weft_go(recv_or_c2, c1, c2, c3);
    conf_settle();
    weft_go(send_true, c2);
    (void)weft_recv(c3);
    weft_send(c1, true);
    weft_send(c1, true);
    EXPECT(conf_until(&served, 2));
    weft_free(c1);
    weft_free(c2);
    weft_free(c3);
}

/* Go: test/chan/select7.go: each way to receive meets each way to send */
static void recv_way(weft_receiver(int) c, int way, weft_receiver(int) never)
{
    int v = 0;
    if (way == 0)
        v = weft_recv(c);
    else if (way == 1)
        EXPECT_EQ(weft_select(weft_on_recv(c, &v)), 0);
    else
        EXPECT_EQ(weft_select(weft_on_recv(c, &v), weft_on_recv(never, NULL)), 0);
    EXPECT_EQ(v, 17);
    atomic_fetch_add(&served, 1);
}

static void send_way(weft_sender(int) c, int way, weft_sender(int) never)
{
    if (way == 0)
        weft_send(c, 17);
    else if (way == 1)
        EXPECT_EQ(weft_select(weft_on_send(c, 17)), 0);
    else
        EXPECT_EQ(weft_select(weft_on_send(c, 17), weft_on_send(never, 1)), 0);
}

TEST(conf_select, each_way_to_send_meets_each_way_to_receive)
{
    for (int i = 0; i < 9; i++) {
        weft_chan(int) c = weft_make(int), never = weft_make(int), never2 = weft_make(int);
        weft_go(recv_way, c, i / 3, never);
        weft_yield();
        send_way(c, i % 3, never2);
        EXPECT(conf_until(&served, i + 1));
        weft_free(c);
        weft_free(never);
        weft_free(never2);
    }
}

/* ---- values and cases ---- */

static int evaluated, shift;

static unsigned next_value(void)
{
    evaluated++;
    return 1U << shift;
}

static int send_both(weft_chan(unsigned) a, weft_chan(unsigned) b)
{
    for (int sent = 0;; shift++) {
        switch (weft_select(weft_on_send(a, next_value()), weft_on_send(b, next_value()), weft_on_default)) {
        case 0:
            sent++;
            a = NULL;
            break;
        case 1:
            sent++;
            b = NULL;
            break;
        default:
            return sent;
        }
    }
}

/* Go: test/chan/select.go: the values of all send cases are computed, also that of a nil channel's */
TEST(conf_select, computes_the_value_of_each_send_case)
{
    weft_chan(unsigned) a = weft_make(unsigned, 1), b = weft_make(unsigned, 1);
    EXPECT_EQ(send_both(a, b), 2);
    EXPECT_EQ(weft_recv(a) | weft_recv(b), 3);
    EXPECT_EQ(send_both(a, NULL), 1);
    EXPECT_EQ(evaluated, 10);
    weft_free(a);
    weft_free(b);
}

/* Go: test/chan/select4.go. In C the address is computed for each case; only the chosen one is written to. */
TEST(conf_select, writes_to_the_chosen_cases_variable_only)
{
    struct {
        int a;
    } x = {1};
    weft_chan(int) c = weft_make(int, 1), empty = weft_make(int);
    int untouched = 5;
    weft_send(c, 42);
    EXPECT_EQ(weft_select(weft_on_recv(empty, &untouched), weft_on_recv(c, &x.a)), 1);
    EXPECT_EQ(x.a, 42);
    EXPECT_EQ(untouched, 5);
    weft_free(c);
    weft_free(empty);
}

static void send_fives(weft_chan(int) c, weft_chan(int) quit)
{
    while (weft_select(weft_on_send(c, 5), weft_on_recv(quit, NULL)) == 0)
        ;
    atomic_fetch_add(&served, 1);
}

/* Go: test/chan/select8.go, in the block form where break is the select's */
TEST(conf_select, break_leaves_a_block_select)
{
    weft_chan(int) c = weft_make(int), quit = weft_make(int);
    bool after = false;
    weft_go(send_fives, c, quit);
    weft_select_begin
        weft_when_recv(v, c)
        {
            if (v == 5)
                break;
            after = true;
        }
    weft_select_end
    weft_select_begin
        weft_when_default
        {
            if (!after)
                break;
            after = true;
        }
    weft_select_end
    weft_select_begin
        weft_when_recv(v, c)
        {
            if (v == 5)
                break;
            after = true;
        }
        weft_when_default
        {
            if (!after)
                break;
            after = true;
        }
    weft_select_end
    EXPECT(!after);
    weft_close(quit);
    EXPECT(conf_until(&served, 1));
    weft_free(c);
    weft_free(quit);
}

/* ---- a select does not grow ---- */

static void send_ones(weft_sender(int) c, int n)
{
    for (int i = 0; i < n; i++)
        weft_send(c, 1);
}

static void recv_by_select(weft_receiver(int) c, weft_receiver(int) dummy, int n)
{
    for (int i = 0; i < n; i++)
        EXPECT_EQ(weft_select(weft_on_recv(c, NULL), weft_on_recv(dummy, NULL)), 0);
}

/* Go: test/chan/select2.go */
TEST(conf_select, twenty_thousand_selects_keep_no_memory)
{
    weft_chan(int) c = weft_make(int), dummy = weft_make(int);
    weft_go(send_ones, c, 20000);
    recv_by_select(c, dummy, 20000);
    size_t before = mallinfo2().uordblks;
    weft_go(send_ones, c, 20000);
    recv_by_select(c, dummy, 20000);
    EXPECT(mallinfo2().uordblks <= before + 100000);
    weft_free(c);
    weft_free(dummy);
}

/* Go: test/chan/doubleselect.go */
static void send_on_four(struct four f, int n)
{
    for (int i = 0; i < n; i++)
        weft_select(weft_on_send(f.c[0], i), weft_on_send(f.c[1], i), weft_on_send(f.c[2], i), weft_on_send(f.c[3], i));
    for (int k = 0; k < 4; k++)
        weft_close(f.c[k]);
}

static void merge(weft_sender(int) out, weft_receiver(int) in)
{
    weft_range(v, in)
        weft_send(out, v);
}

static void close_after(weft_waitgroup *wg, weft_sender(int) out)
{
    weft_waitgroup_wait(wg);
    weft_close(out);
}

TEST(conf_select, a_waiting_select_sends_each_value_once)
{
    enum { N = 20000 };
    static char seen[N];
    struct four f = {{weft_make(int), weft_make(int), weft_make(int), weft_make(int)}};
    weft_chan(int) all = weft_make(int);
    weft_waitgroup wg = {0};
    int n = 0;
    weft_procs(2);
    weft_go(send_on_four, f, (int)N);
    for (int k = 0; k < 4; k++)
        weft_waitgroup_go(&wg, merge, all, f.c[k]);
    weft_go(close_after, &wg, all);
    weft_range(v, all) {
        EXPECT(!seen[v]);
        seen[v] = 1;
        n++;
    }
    EXPECT_EQ(n, N);
    for (int k = 0; k < 4; k++)
        weft_free(f.c[k]);
    weft_free(all);
}

/* ---- cost ---- */

static void dequeue_ten(weft_receiver(bool) common, weft_receiver(bool) own, weft_waitgroup *wg)
{
    for (int j = 0; j < 10; j++)
        (void)weft_select(weft_on_recv(common, NULL), weft_on_recv(own, NULL));
    weft_waitgroup_done(wg);
}

/* n goroutines wait on one common channel and leave its queue ten times each, from anywhere in it; returns the process's CPU time in
 * ns. n is no multiple of 7919, a prime. */
static int64_t crowd(int n)
{
    weft_chan(bool) common = weft_make(bool), *own = calloc((size_t)n, sizeof *own);
    weft_waitgroup wg = {0};
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    weft_waitgroup_add(&wg, n);
    for (int i = 0; i < n; i++) {
        own[i] = weft_make(bool);
        weft_go(dequeue_ten, common, own[i], &wg);
    }
    for (int j = 0; j < 10; j++)
        for (int i = 0; i < n; i++)
            weft_send(own[(int64_t)i * 7919 % n], true);
    weft_waitgroup_wait(&wg);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    for (int i = 0; i < n; i++)
        weft_free(own[i]);
    weft_free(common);
    free(own);
    return (b.tv_sec - a.tv_sec) * WEFT_SEC + (b.tv_nsec - a.tv_nsec);
}

/*
 * Go: test/chanlinear.go. Eight times as many cost 8 times as much, 20 where the caches hold the few only, and 120 if
 * leaving a queue searches it; 50 is allowed. On one processor, where nobody is preempted with the queue's lock; the least
 * of several, for the first crowd faults its stacks in.
 */
TEST(conf_select, leaving_a_long_queue_does_not_search_it)
{
    int few = CONF_TSAN ? 500 : 1000;
    int64_t many_ns = INT64_MAX, few_ns = INT64_MAX;
    weft_procs(1);
    for (int tries = 0; tries < 10 && (tries == 0 || many_ns > 50 * few_ns); tries++) {
        int64_t many = crowd(8 * few), one = crowd(few);
        many_ns = many < many_ns ? many : many_ns;
        few_ns = one < few_ns ? one : few_ns;
    }
    EXPECT(many_ns <= 50 * few_ns);
}
