/*
 * rob.c - whose queue a worker without work robs, and whose it leaves alone.
 *
 * Role    Answers one question for runq.c: is robbing v a gain? A stolen goroutine costs the thief some cache misses of 0.4 us, a
 *         claim both sides 3 us and more, and what stolen goroutines share with those that stay costs as much again and
 *         again. What v does for long is stolen. Where it starts or queues one each policy.quick_ns ("quick"), it depends:
 *         stages of a pipeline go on well side by side, workers at one channel do not. So that is tried: all quick ones
 *         are left alone for a while, then robbed for a while, and who gets more done counts. Near idle.c (I8). Layer 2.
 * Rule    One count for all processors. Started and queued goroutines stand for what gets done: where both ways have been
 *         measured, a program has as many of them this way as that, within some per cent (docs/perf/limits.md).
 * Invariants
 *   RB1  rob is read and written under its lock; who does not get the lock at once robs nobody this time.
 *   RB2  a p is left alone until rob.until and the monitor's look after that at most (I8): the present tick may be a long one.
 * Limits  The words that thieves share of one v (watch_*, robbed_at) may be mixed up between them: that moves the moment of a
 *         theft, no more. Rates are those of the last milliseconds: a program that changes sooner is judged by chance.
 */
#include "sched_int.h"

enum { ROB_FEW = 32, ROB_MANY = 512, ROB_GAIN = 4 /* robbing is to get a quarter more done */ };

#define ROB_WATCH_MIN (2 * WEFT_US)     /* shorter says nothing about how quick a p is */
#define ROB_WATCH_MAX (500 * WEFT_US)   /* longer ago was another time */
#define ROB_GAP (20 * WEFT_US)          /* between two thefts of few */
#define ROB_GAP_MANY (300 * WEFT_US)    /* from one whose goroutine readies others, and goes on */
#define ROB_AGAIN (10 * WEFT_MS)        /* after this it is another time for the quick ones, too */
#define ROB_TRIAL_MIN (100 * WEFT_US)   /* how long robbing is tried if it goes badly, */
#define ROB_TRIAL (200 * WEFT_US)       /* if it does not, */
#define ROB_WINDOW WEFT_MS              /* and when it is looked at again then */
#define ROB_FREE (16 * WEFT_MS)         /* then the other way is measured again */

enum rob_how { ROB_AS_IT_COMES, ROB_NOT, ROB_FREELY };

static struct {
    struct weft__lock lock;
    _Atomic enum rob_how how;           /* [lock for writes] with the quick ones */
    weft_time since;                    /* [lock, as the rest] beginning of the present count */
    uint32_t acts;                      /* what all had started and queued then */
    weft_time until;                    /* end of this way at the latest */
    weft_dur patience;                  /* how long they were left alone last */
    weft_dur trial;                     /* length of the present count */
    weft_dur alone_for;                 /* the last count of those that were left alone: how long, */
    uint32_t alone_acts;                /* and how much */
} rob;

static uint32_t rob_acts_of(struct weft__p *v)
{
    return atomic_load_explicit(&v->tick, memory_order_relaxed) + atomic_load_explicit(&v->tail, memory_order_relaxed);
}

static uint32_t rob_acts(void)
{
    int n = atomic_load_explicit(&weft__sched.ps_n, memory_order_acquire);
    uint32_t sum = 0;

    for (int i = 0; i < n; i++)
        sum += rob_acts_of(atomic_load_explicit(&weft__sched.ps[i], memory_order_acquire));
    return sum;
}

/* Since the count began. A ring that grew begins at 0 again (runq.c): nothing, then. */
static uint32_t rob_done(uint32_t acts)
{
    return (int32_t)(acts - rob.acts) > 0 ? acts - rob.acts : 0;
}

static void rob_leave_alone(struct weft__p *v)
{
    atomic_store_explicit(&v->alone_until, rob.until, memory_order_relaxed);
    atomic_store_explicit(&v->alone, 1, memory_order_relaxed); /* I8 */
}

/* Nobody robs the quick ones: how much gets done? Each time in a row lasts twice as long. */
static void rob_count_alone(weft_time now)
{
    weft_dur max = weft__policy.quick_patience_max;

    rob.patience = rob.patience != 0 ? rob.patience * 2 : weft__policy.quick_patience;
    if (rob.patience > max)
        rob.patience = max;
    rob.since = now;
    rob.acts = rob_acts();
    rob.until = now + rob.patience;
    atomic_store_explicit(&rob.how, ROB_NOT, memory_order_relaxed);
}

/* Everybody robs them: how much gets done? */
static void rob_count_robbed(weft_time now)
{
    uint32_t acts = rob_acts();

    rob.alone_for = now - rob.since;
    rob.alone_acts = rob_done(acts) / ROB_GAIN * (ROB_GAIN + 1);
    rob.since = now;
    rob.acts = acts;
    rob.until = now + ROB_FREE;
    rob.trial = ROB_TRIAL;
    atomic_store_explicit(&rob.how, ROB_FREELY, memory_order_relaxed);
}

/* v is quick, and they are not robbed freely. */
static bool rob_quick(struct weft__p *v, weft_time now)
{
    bool not = atomic_load_explicit(&rob.how, memory_order_relaxed) == ROB_NOT;

    if (not && now < rob.until) {
        rob_leave_alone(v);
        return false;
    }
    if (not && now - rob.until < ROB_AGAIN) {
        rob_count_robbed(now);
        return true;
    }
    rob.patience = 0;
    rob_count_alone(now);
    rob_leave_alone(v);
    return false;
}

/* They are robbed freely. Is that still a gain? If not, who is quick shows at the next look. */
static bool rob_freely(weft_time now)
{
    weft_dur wall = now - rob.since;
    uint32_t acts = rob_acts();
    uint64_t done = (uint64_t)rob_done(acts) * (uint64_t)rob.alone_for, enough = (uint64_t)rob.alone_acts * (uint64_t)wall;

    if (wall < rob.trial && (wall < ROB_TRIAL_MIN || 2 * done >= enough))
        return true; /* too early to tell */
    if (done >= enough)
        rob.patience = 0;
    if (done >= enough && now < rob.until) {
        rob.since = now;
        rob.acts = acts;
        rob.trial = ROB_WINDOW;
        return true;
    }
    rob_count_alone(now);
    return false;
}

/* Asks one of the two under the lock. */
static bool rob_judge(struct weft__p *v, weft_time now, bool freely)
{
    if (!weft__lock_at_once(&rob.lock)) /* RB1 */
        return false;
    bool still = (atomic_load_explicit(&rob.how, memory_order_relaxed) == ROB_FREELY) == freely;
    bool yes = still && (freely ? rob_freely(now) : rob_quick(v, now));
    weft__unlock(&rob.lock);
    return yes;
}

/* Two looks at v, 2 us apart at least. *ret_quick is written with true, when it is known. */
static bool rob_watch(struct weft__p *v, weft_time now, bool *ret_quick)
{
    uint32_t acts = rob_acts_of(v), done = acts - atomic_load_explicit(&v->watch_act, memory_order_relaxed);
    weft_dur watched = now - atomic_load_explicit(&v->watch_at, memory_order_relaxed);
    bool first = atomic_load_explicit(&v->watched, memory_order_relaxed) == 0;

    if (!first && watched < ROB_WATCH_MIN)
        return false;
    first = first || watched > ROB_WATCH_MAX;
    atomic_store_explicit(&v->watched, first, memory_order_relaxed);
    atomic_store_explicit(&v->watch_at, now, memory_order_relaxed);
    atomic_store_explicit(&v->watch_act, acts, memory_order_relaxed);
    if (first)
        return false;
    if ((int32_t)done < 0)   /* its ring grew, or who was due went ahead */
        done = 0;
    *ret_quick = done >= watched / weft__policy.quick_ns;
    return true;
}

bool weft__rob_pays(struct weft__p *v, uint32_t waiting)
{
    bool quick;

    if (weft__policy.quick_ns == 0)
        return true;
    weft_time now = weft__now();
    if (atomic_load_explicit(&rob.how, memory_order_relaxed) == ROB_FREELY)
        return rob_judge(v, now, true);
    weft_dur since_theft = now - atomic_load_explicit(&v->robbed_at, memory_order_relaxed);
    if ((waiting < ROB_FEW && since_theft < ROB_GAP) || !rob_watch(v, now, &quick))
        return false;
    if (!quick)
        return true;
    if (atomic_load_explicit(&v->still, memory_order_relaxed) != 0)
        return waiting >= ROB_MANY || since_theft >= ROB_GAP_MANY;
    return rob_judge(v, now, false);
}
