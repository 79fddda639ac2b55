/*
 * prop_chan.c - random programs over channels, held against what must be true of any of them: every value sent is received
 * once, and the values of one sender keep their order on each channel. Only the simulation runs this (src/sim).
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "../../src/sim/sim.h"
#include "../include/weft_test.h"

enum { CHANS = 3, SENDERS = 3, RECEIVERS = CHANS, PER = 12 };

struct net {
    weft_chan(uint64_t) ch[CHANS];
    weft_waitgroup senders, receivers;
    _Atomic int got[SENDERS][PER];
};

static uint32_t draw(uint32_t n)
{
    return (uint32_t)(weft__sim_random() % n);
}

static uint64_t value(int chan, int sender, int seq)
{
    return (uint64_t)chan << 32 | (uint64_t)sender << 16 | (uint64_t)seq;
}

static void sender(struct net *n, int who)
{
    for (int seq = 0; seq < PER; seq++) {
        int a = (int)draw(CHANS), b = (a + 1) % CHANS;
        uint64_t va = value(a, who, seq), vb = value(b, who, seq);
        switch (draw(4)) {
        case 0:
            weft_send(n->ch[a], va);
            break;
        case 1:
            while (!weft_try_send(n->ch[a], va))
                weft_yield();
            break;
        case 2:
            weft_select(weft_on_send(n->ch[a], va), weft_on_send(n->ch[b], vb));
            break;
        default:
            while (weft_select(weft_on_send(n->ch[a], va), weft_on_send(n->ch[b], vb), weft_on_timeout(20 * WEFT_US)) == 2)
                ;
        }
    }
}

/* Marks v as received; last: what this receiver saw last of each sender on each channel. */
static void note(struct net *n, int chan, uint64_t v, int last[CHANS][SENDERS])
{
    int who = (int)(v >> 16 & 0xff), seq = (int)(v & 0xffff);

    REQUIRE((int)(v >> 32) == chan && who < SENDERS && seq < PER);
    EXPECT_EQ(atomic_fetch_add(&n->got[who][seq], 1), 0);
    EXPECT(seq > last[chan][who]);
    last[chan][who] = seq;
}

/* From one channel, waiting; or from any, never waiting for one alone, or nobody might serve the others. */
static void receiver(struct net *n, int only)
{
    int last[CHANS][SENDERS], open = (1 << CHANS) - 1;

    memset(last, -1, sizeof last);
    if (only >= 0) {
        for (uint64_t v; weft_recv_ok(n->ch[only], &v);)
            note(n, only, v, last);
        return;
    }
    while (open) {
        int a = (int)draw(CHANS), r = 1;
        uint64_t v = 0, w = 0;
        bool ok = true;
        if (!(open & 1 << a))
            continue;
        switch (draw(3)) {
        case 0:
            r = weft_select(weft_on_recv_ok(n->ch[a], &v, &ok), weft_on_timeout(20 * WEFT_US)) == 1 ? 0 : ok ? 1 : -1;
            break;
        case 1:
            r = weft_try_recv(n->ch[a], &v);
            if (r == 0)
                weft_yield();
            break;
        default: {
            int b = (a + 1) % CHANS; /* a closed one is ready, and says so */
            int k = weft_select(weft_on_recv_ok(n->ch[a], &v, &ok), weft_on_recv_ok(n->ch[b], &w, &ok), weft_on_timeout(20 * WEFT_US));
            if (k == 1)
                a = b, v = w;
            r = k == 2 ? 0 : ok ? 1 : -1;
        }
        }
        if (r < 0)
            open &= ~(1 << a);
        else if (r > 0)
            note(n, a, v, last);
    }
}

TEST(prop_chan, every_value_arrives_once_and_in_order)
{
    static struct net n;
    bool each_its_own = draw(2);

    for (int i = 0; i < CHANS; i++)
        n.ch[i] = weft_make(uint64_t, draw(4));
    for (int i = 0; i < SENDERS; i++)
        weft_waitgroup_go(&n.senders, sender, &n, i);
    for (int i = 0; i < RECEIVERS; i++)
        weft_waitgroup_go(&n.receivers, receiver, &n, each_its_own ? i : -1);
    weft_waitgroup_wait(&n.senders);
    for (int i = 0; i < CHANS; i++)
        weft_close(n.ch[i]);
    weft_waitgroup_wait(&n.receivers);
    for (int s = 0; s < SENDERS; s++)
        for (int k = 0; k < PER; k++)
            EXPECT_EQ(atomic_load(&n.got[s][k]), 1);
    for (int i = 0; i < CHANS; i++)
        weft_free(n.ch[i]);
}

/* One channel, buffered or not; a waker that may go away at once. */
static void hand_over(weft_chan(int) in, weft_chan(int) out)
{
    for (int v; weft_recv_ok(in, &v);)
        weft_send(out, v + 1);
    weft_close(out);
}

TEST(prop_chan, a_pipeline_keeps_all_in_order)
{
    weft_chan(int) c[5];

    for (int i = 0; i < 5; i++)
        c[i] = weft_make(int, draw(3));
    for (int i = 0; i < 4; i++)
        weft_go(hand_over, c[i], c[i + 1]);
    for (int sent = 0, got = 0; got < 20;) {
        int v;
        switch (weft_select(weft_on_send(sent < 20 ? c[0] : NULL, sent), weft_on_recv(c[4], &v))) {
        case 0:
            if (++sent == 20)
                weft_close(c[0]);
            break;
        default:
            EXPECT_EQ(v, got + 4);
            got++;
        }
    }
    EXPECT(!weft_recv_ok(c[4], &(int){0}));
    for (int i = 0; i < 5; i++)
        weft_free(c[i]);
}

/* Selects with timeouts against senders that come just then: neither a value nor a wake-up may get lost. */
static void late_sender(weft_chan(int) c, int n)
{
    for (int i = 0; i < n; i++) {
        weft_sleep((weft_dur)draw(40) * WEFT_US);
        weft_send(c, i);
    }
}

TEST(prop_chan, timeouts_and_values_race)
{
    weft_chan(int) c = weft_make(int, draw(2)), never = weft_make(int);
    int v;

    weft_go(late_sender, c, 10);
    for (int got = 0; got < 10;) {
        int k = weft_select(weft_on_recv(never, &v), weft_on_recv(c, &v), weft_on_timeout((weft_dur)draw(40) * WEFT_US));
        EXPECT(k != 0);
        if (k == 1)
            EXPECT_EQ(v, got++);
    }
    weft_sleep(WEFT_MS);
    weft_free(c);
    weft_free(never);
}
