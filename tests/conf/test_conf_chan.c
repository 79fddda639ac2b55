/*
 * test_conf_chan.c - channels alone, as Go's tests hold them. What comes from where: LIST.md.
 *
 * Source  Go: test/chan/{fifo,goroutines,nonblock,sendstmt,zerosize}.go, test/chancap.go, runtime TestChan,
 *         TestNonblockRecvRace, TestMultiConsumer, TestChanSendInterface.
 */
#include "conf.h"

/* Capacities that the tests of one channel go through. */
static const int caps[] = {0, 1, 2, 3, 5, 7, 16, 19, 64, 199};
#define FOR_EACH_CAP(cap_) \
    for (size_t ci_ = 0, cap_ = 0; ci_ < sizeof caps / sizeof *caps && ((cap_ = (size_t)caps[ci_]), true); ci_++)

static atomic_int passed;

static void recv_one(weft_receiver(int) c)
{
    (void)weft_recv(c);
    atomic_fetch_add(&passed, 1);
}

static void recv_ok_one(weft_receiver(int) c)
{
    (void)weft_recv_ok(c, NULL);
    atomic_fetch_add(&passed, 1);
}

/* Go: runtime TestChan, first part */
TEST(conf_chan, a_receive_from_an_empty_channel_waits)
{
    FOR_EACH_CAP(cap) {
        weft_chan(int) c = weft_make(int, (int64_t)cap);
        int v = 5;
        atomic_store(&passed, 0);
        weft_go(recv_one, c);
        weft_go(recv_ok_one, c);
        conf_settle();
        EXPECT_EQ(atomic_load(&passed), 0);
        EXPECT_EQ(weft_try_recv(c, &v), 0);
        EXPECT_EQ(weft_select(weft_on_recv_ok(c, &v, NULL), weft_on_default), 1);
        EXPECT_EQ(v, 5);
        weft_send(c, 0);
        weft_send(c, 0);
        EXPECT(conf_until(&passed, 2));
        weft_free(c);
    }
}

static void send_one(weft_sender(int) c, int v)
{
    weft_send(c, v);
    atomic_fetch_add(&passed, 1);
}

/* Go: runtime TestChan, second part */
TEST(conf_chan, a_send_to_a_full_channel_waits)
{
    FOR_EACH_CAP(cap) {
        weft_chan(int) c = weft_make(int, (int64_t)cap);
        atomic_store(&passed, 0);
        for (int i = 0; i < (int)cap; i++)
            weft_send(c, i);
        weft_go(send_one, c, (int)cap);
        conf_settle();
        EXPECT_EQ(atomic_load(&passed), 0);
        EXPECT(!weft_try_send(c, -1));
        EXPECT_EQ(weft_select(weft_on_send(c, -1), weft_on_default), 1);
        for (int i = 0; i <= (int)cap; i++)
            EXPECT_EQ(weft_recv(c), i);
        EXPECT(conf_until(&passed, 1));
        weft_free(c);
    }
}

/* Go: runtime TestChan, third part */
TEST(conf_chan, a_closed_channel_gives_what_it_holds_and_then_zeros)
{
    FOR_EACH_CAP(cap) {
        weft_chan(int) c = weft_make(int, (int64_t)cap);
        int v = 5;
        for (int i = 0; i < (int)cap; i++)
            weft_send(c, i + 1);
        weft_close(c);
        for (int i = 0; i < (int)cap; i++)
            EXPECT_EQ(weft_recv(c), i + 1);
        EXPECT_EQ(weft_recv(c), 0);
        EXPECT(!weft_recv_ok(c, &v));
        EXPECT_EQ(v, 0);
        weft_free(c);
    }
}

static void expect_end(weft_receiver(int) c)
{
    int v = 5;
    EXPECT(!weft_recv_ok(c, &v));
    EXPECT_EQ(v, 0);
    atomic_fetch_add(&passed, 1);
}

/* Go: runtime TestChan, fourth part */
TEST(conf_chan, close_ends_the_wait_of_a_receiver)
{
    FOR_EACH_CAP(cap) {
        weft_chan(int) c = weft_make(int, (int64_t)cap);
        atomic_store(&passed, 0);
        weft_go(expect_end, c);
        conf_settle();
        EXPECT_EQ(atomic_load(&passed), 0);
        weft_close(c);
        EXPECT(conf_until(&passed, 1));
        weft_free(c);
    }
}

static void send_to(weft_sender(int) c, int n)
{
    for (int i = 0; i < n; i++)
        weft_send(c, i);
}

/* Go: runtime TestChan, fifth part */
TEST(conf_chan, values_come_whole_and_in_order)
{
    FOR_EACH_CAP(cap) {
        weft_chan(int) c = weft_make(int, (int64_t)cap);
        int v = -1;
        weft_go(send_to, c, 100);
        for (int i = 0; i < 100; i++)
            EXPECT_EQ(weft_recv(c), i);
        weft_go(send_to, c, 100);
        for (int i = 0; i < 100; i++) {
            EXPECT(weft_recv_ok(c, &v));
            EXPECT_EQ(v, i);
        }
        weft_free(c);
    }
}

enum { CROWD = 4, EACH = 1000 };
static atomic_int tally[EACH];

static void count_from(weft_receiver(int) c, weft_waitgroup *wg)
{
    for (int i = 0; i < EACH; i++)
        atomic_fetch_add(&tally[weft_recv(c)], 1);
    weft_waitgroup_done(wg);
}

/* Go: runtime TestChan, sixth part */
TEST(conf_chan, four_senders_and_four_receivers_lose_nothing)
{
    weft_procs(4);
    FOR_EACH_CAP(cap) {
        weft_chan(int) c = weft_make(int, (int64_t)cap);
        weft_waitgroup wg = {0};
        for (int i = 0; i < EACH; i++)
            atomic_store(&tally[i], 0);
        for (int i = 0; i < CROWD; i++) {
            weft_waitgroup_go(&wg, send_to, c, EACH);
            weft_waitgroup_add(&wg, 1);
            weft_go(count_from, c, &wg);
        }
        weft_waitgroup_wait(&wg);
        for (int i = 0; i < EACH; i++)
            EXPECT_EQ(atomic_load(&tally[i]), CROWD);
        weft_free(c);
    }
}

/* Go: runtime TestChan, last part; test/chancap.go */
TEST(conf_chan, len_and_cap_count_values_and_room)
{
    FOR_EACH_CAP(cap) {
        weft_chan(int) c = weft_make(int, (int64_t)cap);
        EXPECT_EQ(weft_len(c), 0);
        EXPECT_EQ(weft_cap(c), cap);
        for (size_t i = 0; i < cap; i++) {
            weft_send(c, 7);
            EXPECT_EQ(weft_len(c), i + 1);
        }
        EXPECT_EQ(weft_cap(c), cap);
        weft_free(c);
    }
}

static void make_of(int64_t n)
{
    weft_free(weft_make(int, n));
}

/* Go: test/chancap.go; test/makechan.go, what is left of it at run time */
TEST(conf_chan, a_capacity_out_of_range_panics)
{
    EXPECT_PANIC("makechan: size out of range", make_of, -1);
    EXPECT_PANIC("makechan: size out of range", make_of, INT64_MIN);
    EXPECT_PANIC("makechan: size out of range", make_of, (int64_t)1 << 59);
    EXPECT_PANIC("makechan: size out of range", make_of, INT64_MAX);
}

static void try_recv_once(weft_receiver(int) c, weft_waitgroup *wg)
{
    EXPECT(weft_try_recv(c, NULL) != 0);
    weft_waitgroup_done(wg);
}

/* Go: runtime TestNonblockRecvRace: with a value or closed, a channel is ready at every instant */
TEST(conf_chan, a_try_beside_close_and_receive_always_finds_it_ready)
{
    for (int i = 0; i < 5000; i++) {
        weft_chan(int) c = weft_make(int, 1);
        weft_waitgroup wg = {0};
        weft_send(c, 1);
        weft_waitgroup_add(&wg, 1);
        weft_go(try_recv_once, c, &wg);
        weft_close(c);
        (void)weft_recv(c);
        weft_waitgroup_wait(&wg);
        weft_free(c);
    }
}

enum { WORKERS = 23, ITEMS = 40000 };
static const int primes[] = {2, 3, 7, 11, 13, 17, 19, 23, 27, 31};

static void pass_on(weft_receiver(int) q, weft_sender(int) r, int w, weft_waitgroup *wg)
{
    weft_range(v, q) {
        if (primes[w % 10] == v)
            weft_yield();
        weft_send(r, v);
    }
    weft_waitgroup_done(wg);
}

static void feed(weft_chan(int) q, weft_chan(int) r, weft_waitgroup *wg)
{
    for (int i = 0; i < ITEMS; i++)
        weft_send(q, primes[i % 10]);
    weft_close(q);
    weft_waitgroup_wait(wg);
    weft_close(r);
}

/* Go: runtime TestMultiConsumer */
TEST(conf_chan, twenty_three_workers_pass_on_every_item)
{
    weft_chan(int) q = weft_make(int, WORKERS * 3), r = weft_make(int, WORKERS * 3);
    weft_waitgroup wg = {0};
    long n = 0, sum = 0, want = 0;
    for (int w = 0; w < WORKERS; w++) {
        weft_waitgroup_add(&wg, 1);
        weft_go(pass_on, q, r, w, &wg);
    }
    weft_go(feed, q, r, &wg);
    weft_range(v, r) {
        n++;
        sum += v;
    }
    for (int i = 0; i < ITEMS; i++)
        want += primes[i % 10];
    EXPECT_EQ(n, ITEMS);
    EXPECT_EQ(sum, want);
    weft_free(q);
    weft_free(r);
}

/* Go: test/chan/fifo.go */
TEST(conf_chan, a_buffer_is_a_queue)
{
    weft_chan(int) c = weft_make(int, 10);
    for (int i = 0; i < 10; i++)
        weft_send(c, i);
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(weft_recv(c), i);
    weft_free(c);
}

static void link_of_chain(weft_receiver(int) c, int want, weft_receiver(char) before, weft_sender(char) after)
{
    (void)weft_recv(before);
    EXPECT_EQ(weft_recv(c), want);
    weft_send(after, 1);
}

/* Go: test/chan/fifo.go: receivers that each wait for the one before take the values in turn */
TEST(conf_chan, a_chain_of_receivers_takes_values_in_turn)
{
    weft_chan(int) c = weft_make(int);
    weft_chan(char) turn[11];
    for (int i = 0; i <= 10; i++)
        turn[i] = weft_make(char);
    for (int i = 0; i < 10; i++)
        weft_go(link_of_chain, c, i, turn[i], turn[i + 1]);
    weft_send(turn[0], 1);
    for (int i = 0; i < 10; i++)
        weft_send(c, i);
    (void)weft_recv(turn[10]);
    weft_free(c);
    for (int i = 0; i <= 10; i++)
        weft_free(turn[i]);
}

static void hand_left(weft_sender(int) left, weft_chan(int) right)
{
    weft_send(left, weft_recv(right));
    weft_free(right);
}

/* Go: test/chan/goroutines.go */
TEST(conf_chan, a_value_goes_through_thousands_of_goroutines)
{
    weft_chan(int) leftmost = weft_make(int), left = leftmost;
    for (int i = 0; i < (CONF_TSAN ? 5000 : 10000); i++) {
        weft_chan(int) right = weft_make(int);
        weft_go(hand_left, left, right);
        left = right;
    }
    weft_send(left, 7);
    EXPECT_EQ(weft_recv(leftmost), 7);
    weft_free(leftmost);
}

/*
 * Go: test/chan/nonblock.go: with a partner that comes in its own time, a try succeeds sooner or later, and the value
 * is right. T is the element type; same is how two of them are compared.
 */
#define CONF_NONBLOCK(suite, name, T, to_recv, to_send, same)                                \
    static void name##_receiver(weft_receiver(T) c, weft_sender(char) strobe)           \
    {                                                                                  \
        T got = weft_recv(c), want = to_recv;                                          \
        EXPECT(same(got, want));                                                       \
        weft_send(strobe, 1);                                                          \
    }                                                                                  \
    static void name##_sender(weft_sender(T) c, weft_sender(char) strobe)               \
    {                                                                                  \
        weft_send(c, to_send);                                                         \
        weft_send(strobe, 1);                                                          \
    }                                                                                  \
    TEST(suite, name)                                                                  \
    {                                                                                  \
        for (int cap = 0; cap < 2; cap++) {                                            \
            weft_chan(T) c = weft_make(T, cap);                                        \
            weft_chan(char) strobe = weft_make(char);                                  \
            T v = to_recv, want = to_send;                                             \
            weft_time end = weft_now() + CONF_LONG;                                    \
            EXPECT_EQ(weft_try_recv(c, &v), 0);                                        \
            weft_go(name##_receiver, c, strobe);                                       \
            while (!weft_try_send(c, v) && weft_now() < end)                           \
                weft_yield();                                                          \
            (void)weft_recv(strobe);                                                   \
            weft_go(name##_sender, c, strobe);                                         \
            if (cap > 0)                                                               \
                (void)weft_recv(strobe);                                               \
            while (weft_try_recv(c, &v) == 0 && weft_now() < end)                      \
                weft_yield();                                                          \
            EXPECT(same(v, want));                                                     \
            if (cap == 0)                                                              \
                (void)weft_recv(strobe);                                               \
            weft_free(c);                                                              \
            weft_free(strobe);                                                         \
        }                                                                              \
    }
#define SAME_NUMBER(a, b) ((a) == (b))
#define SAME_TEXT(a, b) (strcmp((a).text, (b).text) == 0 && (a).len == (b).len)
struct text {
    const char *text;
    size_t len;
};
CONF_NONBLOCK(conf_chan, tries_meet_a_partner_with_int32, int32_t, 123, 234, SAME_NUMBER)
CONF_NONBLOCK(conf_chan, tries_meet_a_partner_with_int64, int64_t, 123456789012, 234567890123, SAME_NUMBER)
CONF_NONBLOCK(conf_chan, tries_meet_a_partner_with_bool, bool, false, true, SAME_NUMBER)
CONF_NONBLOCK(conf_chan, tries_meet_a_partner_with_struct, struct text, ((struct text){"hello", 5}), ((struct text){"hello again", 11}), SAME_TEXT)

/* Go: test/chan/sendstmt.go */
TEST(conf_chan, a_channel_received_in_a_select_case_is_sent_to)
{
    weft_chan(weft_chan(int)) cc = weft_make(weft_chan(int), 1);
    weft_chan(int) c = weft_make(int, 1);
    weft_send(cc, c);
    EXPECT_EQ(weft_select(weft_on_send(weft_recv(cc), 2), weft_on_default), 0);
    EXPECT_EQ(weft_recv(c), 2);
    weft_free(c);
    weft_free(cc);
}

/* Go: test/chan/sendstmt.go */
TEST(conf_chan, the_value_sent_is_a_whole_expression)
{
    weft_chan(bool) c = weft_make(bool, 1);
    weft_send(c, false || true);
    EXPECT(weft_recv(c));
    weft_free(c);
}

struct nothing {
};

/* Go: test/chan/zerosize.go; runtime TestChanSendInterface, whose element is a pointer to nothing */
TEST(conf_chan, elements_without_bytes_and_pointers_to_them_travel)
{
    weft_chan(struct nothing) sync = weft_make(struct nothing), buf = weft_make(struct nothing, 1);
    weft_chan(struct nothing *) ptr = weft_make(struct nothing *, 1);
    struct nothing n, *got = NULL;
    weft_send(buf, n);
    EXPECT(!weft_try_send(buf, n));
    EXPECT(!weft_try_send(sync, n));
    EXPECT_EQ(weft_try_recv(buf, &n), 1);
    weft_send(ptr, &n);
    EXPECT_EQ(weft_select(weft_on_send(ptr, &n), weft_on_send(ptr, NULL), weft_on_default), 2);
    EXPECT_EQ(weft_try_recv(ptr, &got), 1);
    EXPECT(got == &n);
    weft_free(sync);
    weft_free(buf);
    weft_free(ptr);
}
