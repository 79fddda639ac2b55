/*
 * test_conf_select_forms.c - one operation in every form: what blocks, what panics, what is chosen, is the same.
 *
 * Source  Go: test/chan/select3.go (what blocks, what panics), test/chan/select5.go (every way to write one send or
 *         receive), test/closedchan.go (closed channels by operator and by selects).
 */
#include "conf.h"

/*
 * The forms of a send and of a receive. FORM_TRY and those behind it have a default: they never wait. In Go's select5
 * the forms differ in syntax; in C they are different calls.
 */
enum form { PLAIN, SELECT, SELECT_OF_TWO, BLOCK, LIST, FORM_TRY, TRY = FORM_TRY, SELECT_DEFAULT, DEFAULT_FIRST, TWO_DEFAULT, BLOCK_DEFAULT, FORMS };

static weft_chan(int) never;    /* nobody ever sends on it or receives from it */

static bool block_send(weft_sender(int) c, int v)
{
    weft_select_begin
        weft_when_send(c, v) { return true; }
    weft_select_end
    return false;
}

static bool block_send_default(weft_sender(int) c, int v)
{
    weft_select_begin
        weft_when_default { return false; }
        weft_when_send(c, v) { return true; }
    weft_select_end
    return false;
}

/* Returns whether v was sent. */
static bool send_by(enum form f, weft_sender(int) c, int v)
{
    struct weft_case list[3] = {weft_on_recv(never, NULL), {0}, weft_on_send_ptr(c, &v)};
    switch (f) {
    case PLAIN: weft_send(c, v); return true;
    case SELECT: return weft_select(weft_on_send(c, v)) == 0;
    case SELECT_OF_TWO: return weft_select(weft_on_recv(never, NULL), weft_on_send(c, v)) == 1;
    case BLOCK: return block_send(c, v);
    case LIST: return weft_selectv(list, 3) == 2;
    case TRY: return weft_try_send(c, v);
    case SELECT_DEFAULT: return weft_select(weft_on_send(c, v), weft_on_default) == 0;
    case DEFAULT_FIRST: return weft_select(weft_on_default, weft_on_send(c, v)) == 1;
    case TWO_DEFAULT: return weft_select(weft_on_recv(never, NULL), weft_on_default, weft_on_send(c, v)) == 2;
    case BLOCK_DEFAULT: return block_send_default(c, v);
    default: return false;
    }
}

static int block_recv(weft_receiver(int) c, int *ret_v)
{
    weft_select_begin
        weft_when_recv_ok(v, ok, c)
        {
            *ret_v = v;
            return ok ? 1 : -1;
        }
    weft_select_end
    return 0;
}

static int block_recv_default(weft_receiver(int) c, int *ret_v)
{
    weft_select_begin
        weft_when_recv_ok(v, ok, c)
        {
            *ret_v = v;
            return ok ? 1 : -1;
        }
        weft_when_default { return 0; }
    weft_select_end
    return 0;
}

/* 1 a value, -1 closed and drained, 0 it would wait: as weft_try_recv. */
static int recv_by(enum form f, weft_receiver(int) c, int *ret_v)
{
    bool ok = true, got;
    struct weft_case list[3] = {weft_on_recv_ok(c, ret_v, &ok), weft_on_recv(never, NULL), {0}};
    switch (f) {
    case PLAIN: return weft_recv_ok(c, ret_v) ? 1 : -1;
    case SELECT: got = weft_select(weft_on_recv_ok(c, ret_v, &ok)) == 0; break;
    case SELECT_OF_TWO: got = weft_select(weft_on_recv(never, NULL), weft_on_recv_ok(c, ret_v, &ok)) == 1; break;
    case BLOCK: return block_recv(c, ret_v);
    case LIST: got = weft_selectv(list, 3) == 0; break;
    case TRY: return weft_try_recv(c, ret_v);
    case SELECT_DEFAULT: got = weft_select(weft_on_recv_ok(c, ret_v, &ok), weft_on_default) == 0; break;
    case DEFAULT_FIRST: got = weft_select(weft_on_default, weft_on_recv_ok(c, ret_v, &ok)) == 1; break;
    case TWO_DEFAULT:
        got = weft_select(weft_on_recv(never, NULL), weft_on_default, weft_on_recv_ok(c, ret_v, &ok)) == 2;
        break;
    case BLOCK_DEFAULT: return block_recv_default(c, ret_v);
    default: return 0;
    }
    return !got ? 0 : ok ? 1 : -1;
}

#define EACH_FORM(f) (enum form f = PLAIN; f < FORMS; f++)
#define EACH_WAITING_FORM(f) (enum form f = PLAIN; f < FORM_TRY; f++)
#define EACH_TRYING_FORM(f) (enum form f = FORM_TRY; f < FORMS; f++)

/* Go: select5 "send", "recv"; select3 */
TEST(conf_select_forms, all_send_into_a_buffer_and_receive_from_it)
{
    weft_chan(int) c = weft_make(int, 1);
    never = weft_make(int);
    for EACH_FORM(s)
        for EACH_FORM(r) {
            int v = 0, want = 100 * (int)s + (int)r + 1;
            EXPECT(send_by(s, c, want));
            EXPECT_EQ(recv_by(r, c, &v), 1);
            EXPECT_EQ(v, want);
        }
    weft_free(c);
    weft_free(never);
}

static weft_chan(int) meet;
static atomic_int met;

static void peer_sends(enum form f)
{
    weft_time end = weft_now() + 20 * WEFT_SEC;
    while (!send_by(f, meet, 7) && weft_now() < end)
        weft_yield();
    atomic_fetch_add(&met, 1);
}

/* Every form of a send meets every form of a receive on an unbuffered channel; two that both try cannot meet. */
TEST(conf_select_forms, all_meet_each_other_without_a_buffer)
{
    int pairs = 0;
    meet = weft_make(int);
    never = weft_make(int);
    for EACH_FORM(s)
        for EACH_FORM(r) {
            int v = 0, got;
            weft_time end = weft_now() + 20 * WEFT_SEC;
            if (s >= FORM_TRY && r >= FORM_TRY)
                continue;
            weft_go(peer_sends, s);
            while ((got = recv_by(r, meet, &v)) == 0 && weft_now() < end)
                weft_yield();
            EXPECT_EQ(got, 1);
            EXPECT_EQ(v, 7);
            EXPECT(conf_until(&met, ++pairs));
        }
    weft_free(meet);
    weft_free(never);
}

/* Go: select5 "nonblock"; select3: selects with a default do not block */
TEST(conf_select_forms, those_with_a_default_leave_an_unready_channel)
{
    weft_chan(int) empty = weft_make(int, 1), full = weft_make(int, 1), sync = weft_make(int), nil = NULL;
    int v = 5;
    never = weft_make(int);
    weft_send(full, 1);
    for EACH_TRYING_FORM(f) {
        EXPECT_EQ(recv_by(f, empty, &v), 0);
        EXPECT_EQ(recv_by(f, sync, &v), 0);
        EXPECT_EQ(recv_by(f, nil, &v), 0);
        EXPECT(!send_by(f, full, 2));
        EXPECT(!send_by(f, sync, 2));
        EXPECT(!send_by(f, nil, 2));
    }
    EXPECT_EQ(v, 5);
    EXPECT_EQ(weft_select(weft_on_default), 0);
    weft_free(empty);
    weft_free(full);
    weft_free(sync);
    weft_free(never);
}

/* Go: select3: what always blocks. A deadlock report is the proof: nobody but this goroutine is there. */
static weft_chan(int) chan_never(void)
{
    never = weft_make(int);
    return never;
}

#define DEADLOCK "all goroutines are asleep - deadlock!"
DEATH(conf_select_forms, a_send_on_nil_blocks, 2, DEADLOCK) { weft_send((weft_chan(int))NULL, 7); }
DEATH(conf_select_forms, a_receive_from_nil_blocks, 2, DEADLOCK) { (void)weft_recv((weft_chan(int))NULL); }
DEATH(conf_select_forms, a_receive_without_a_sender_blocks, 2, DEADLOCK) { (void)weft_recv(chan_never()); }
DEATH(conf_select_forms, a_select_without_cases_blocks, 2, DEADLOCK) { (void)weft_selectv(NULL, 0); }
DEATH(conf_select_forms, a_block_select_without_cases_blocks, 2, DEADLOCK)
{
    weft_select_begin
    weft_select_end
}
DEATH(conf_select_forms, a_select_that_receives_from_nil_blocks, 2, DEADLOCK)
{
    (void)weft_select(weft_on_recv((weft_chan(int))NULL, NULL));
}
DEATH(conf_select_forms, a_select_that_sends_on_nil_blocks, 2, DEADLOCK)
{
    (void)weft_select(weft_on_send((weft_chan(int))NULL, 7));
}
DEATH(conf_select_forms, a_select_of_nil_both_ways_blocks, 2, DEADLOCK)
{
    weft_chan(int) nil = NULL;
    (void)weft_select(weft_on_recv(nil, NULL), weft_on_send(nil, 7));
}
DEATH(conf_select_forms, a_select_without_a_sender_blocks, 2, DEADLOCK)
{
    (void)weft_select(weft_on_recv(chan_never(), NULL));
}
DEATH(conf_select_forms, a_select_does_not_meet_itself, 2, DEADLOCK)
{
    weft_chan(int) c = chan_never();
    (void)weft_select(weft_on_send(c, 1), weft_on_recv(c, NULL));
}

/* ---- closed channels ---- */

static void expect_closed(weft_chan(int) c)
{
    for EACH_FORM(f) {
        for (int i = 0; i < 3; i++) {
            int v = 5;
            EXPECT_EQ(recv_by(f, c, &v), -1);
            EXPECT_EQ(v, 0);
        }
        EXPECT_PANIC("send on closed channel", send_by, f, c, 1);
        EXPECT_EQ(weft_recv(c), 0);
    }
}

/* Go: test/closedchan.go test1; select3 */
TEST(conf_select_forms, a_closed_channel_gives_zeros_and_refuses_sends)
{
    weft_chan(int) c = weft_make(int);
    never = weft_make(int);
    weft_close(c);
    expect_closed(c);
    weft_free(c);
    weft_free(never);
}

/* Go: test/closedchan.go testasync1..4: the value that was there before the close comes first, whatever the form */
TEST(conf_select_forms, a_closed_channel_gives_its_values_first)
{
    never = weft_make(int);
    for EACH_FORM(f) {
        weft_chan(int) c = weft_make(int, 2);
        int v = 5;
        weft_send(c, 1);
        weft_close(c);
        EXPECT_EQ(recv_by(f, c, &v), 1);
        EXPECT_EQ(v, 1);
        expect_closed(c);
        weft_free(c);
    }
    weft_free(never);
}

static void close_it(weft_chan(int) c)
{
    weft_close(c);
}

/* Go: test/closedchan.go, its end */
TEST(conf_select_forms, closing_nil_or_closed_panics)
{
    weft_chan(int) c = weft_make(int);
    EXPECT_PANIC("close of nil channel", close_it, NULL);
    weft_close(c);
    EXPECT_PANIC("close of closed channel", close_it, c);
    weft_free(c);
}

static void waits_to_send(enum form f)
{
    EXPECT_PANIC("send on closed channel", send_by, f, meet, 1);
    atomic_fetch_add(&met, 1);
}

static void waits_to_recv(enum form f)
{
    int v = 5;
    EXPECT_EQ(recv_by(f, meet, &v), -1);
    EXPECT_EQ(v, 0);
    atomic_fetch_add(&met, 1);
}

/* A close reaches those that wait already, in each form: senders panic, receivers get the zero value. */
TEST(conf_select_forms, a_close_reaches_those_that_wait)
{
    int n = 0;
    never = weft_make(int);
    for EACH_WAITING_FORM(f)
        for (int sends = 0; sends < 2; sends++) {
            meet = weft_make(int);
            if (sends)
                weft_go(waits_to_send, f);
            else
                weft_go(waits_to_recv, f);
            conf_settle();
            weft_close(meet);
            EXPECT(conf_until(&met, ++n));
            weft_free(meet);
        }
    weft_free(never);
}

/* ---- evaluation ---- */

static int chans_computed, values_computed;

static weft_chan(int) compute_chan(weft_chan(int) c)
{
    chans_computed++;
    return c;
}

static int compute_value(int v)
{
    values_computed++;
    return v;
}

/* Go: select5 "recvOrder", "sendOrder": all operands are computed once, before the choice. C leaves their order open. */
TEST(conf_select_forms, operands_are_computed_once_even_if_another_case_is_chosen)
{
    weft_chan(int) a = weft_make(int, 1), b = weft_make(int);
    int v = 0;
    never = NULL;
    weft_send(compute_chan(a), compute_value(1));
    EXPECT_EQ(weft_recv(compute_chan(a)), 1);
    EXPECT(weft_try_send(compute_chan(a), compute_value(2)));
    EXPECT_EQ(weft_try_recv(compute_chan(a), &v), 1);
    EXPECT_EQ(chans_computed, 4);
    EXPECT_EQ(values_computed, 2);
    EXPECT_EQ(weft_select(weft_on_send(compute_chan(a), compute_value(3)), weft_on_send(compute_chan(b), compute_value(4)),
                          weft_on_recv(compute_chan(b), &v), weft_on_send(compute_chan(NULL), compute_value(5))), 0);
    EXPECT_EQ(chans_computed, 8);
    EXPECT_EQ(values_computed, 5);
    weft_select_begin
        weft_when_recv(got, compute_chan(a)) { v = got; }
        weft_when_send(compute_chan(b), compute_value(6)) { v = -1; }
    weft_select_end
    EXPECT_EQ(v, 3);
    EXPECT_EQ(chans_computed, 10);
    EXPECT_EQ(values_computed, 6);
    weft_free(a);
    weft_free(b);
}
