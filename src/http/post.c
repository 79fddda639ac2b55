/*
 * post.c - finished answers leave together, once those who are ready have had their turn.
 *
 * Role    A server with many connections answers one request right after another: what user space runs for a request is
 *         out of the caches after each send, and a peer on this machine, which the sender has to wake, falls asleep between two
 *         answers. So a small finished answer waits in its exchange until the goroutines that were ready before it have run,
 *         and all of them then leave one after another, from one goroutine, in one system call where that can be had
 *         (poll/poll_send.c; docs/perf/limits.md).
 * Near    serveconn.c, which posts and is called back; hop.c, Turns: the same of a client's requests. Layer 5.
 *
 * Invariants
 *   B1  an exchange in a box belongs to the box, with its connection; who takes it out goes on with it.
 *   B2  a box that is not empty has a goroutine in a run queue, or about to be put there, that empties it (queued).
 *   B3  while answers are in a sender (poll/poll_send.c) who sends is inside their connections (WRITING): none of these descriptors is
 *       closed, and perhaps another's, meanwhile. What did not go as a whole that way is tried once more by its own send.
 *
 * Turns   Where the others compute for long an answer would only be late. Each turn of a box, from its first answer to its
 *         emptying, is timed; after two in a row that were longer than TURN_SHARE for each answer none are posted for 256 times as
 *         long, 10 s at most. Then one long turn is enough. And the turns that find this out are short themselves: where the oldest
 *         answer has waited for BOX_WAIT_MAX, who brings the next sends all, as who brings the last.
 * Locks   one per box, for list operations and a look at the clock.
 * Limits  BOX_MAX answers in a box: who brings the last sends them all. An answer waits for BOX_WAIT_MAX and what one more handler
 *         takes, or for who else was ready before it. Boxes are chosen by run queue, which is a hint only: not by thread, as another
 *         one goes on with the queue when a handler computes for long.
 * Failure none: what cannot be posted is sent by its own goroutine.
 */
#include <weft/go.h>
#include <weft/time.h>

#include "../net/conn_int.h"
#include "../poll/poll_send.h"
#include "server_int.h"

enum { BOXES = WEFT__SENDERS, BOX_MAX = WEFT__SEND_MAX, TOGETHER_MIN = 2, TURN_PAUSE_FOR = 256 };
#define TURN_SHARE (25 * WEFT_US)
#define TURN_PAUSE_MAX (10 * WEFT_SEC)
#define BOX_WAIT_MAX WEFT_MS

struct post_box {
    _Alignas(64) struct weft__lock lock;
    bool queued;                   /* [lock] B2 */
    bool was_long;                 /* [lock] the last turn */
    uint32_t len;                  /* [lock] */
    struct weft__exch *first, *last; /* [lock] */
    weft_time since;               /* [lock] when the first of them came */
    weft_time from;                /* [lock] until then none are taken */
};

static struct post_box boxes[BOXES];

/* Lock held: how long was this turn? */
static void box_judge(struct post_box *b)
{
    weft_time now = weft__now_later();
    weft_dur d = now - b->since;
    bool is = d > TURN_SHARE * b->len;
    if (is && b->was_long)
        b->from = now + (d < TURN_PAUSE_MAX / TURN_PAUSE_FOR ? d * TURN_PAUSE_FOR : TURN_PAUSE_MAX);
    b->was_long = is;
}

/* Lock held. */
static struct weft__exch *box_take(struct post_box *b)
{
    struct weft__exch *first = b->first;
    if (first)
        box_judge(b);
    b->first = b->last = NULL;
    b->len = 0;
    return first;
}

/* B3. Ends with the first that cannot go that way, as it has TLS or is closed. */
static void post_together(struct weft__sender *s, struct weft__exch *x)
{
    struct weft__exch *y = x;
    for (; y && !y->sc->conn->tls && weft__fd_enter(&y->sc->conn->f, WEFT__FD_WRITING) == 0; y = y->post_next) {
        if (y->post_next)
            __builtin_prefetch(y->post_next->w.out);
        weft__sender_add(s, y->sc->conn->f.fd, y->w.out->data + y->w.post_at, y->w.post_end - y->w.post_at);
    }
    if (y == x)
        return;
    for (const int32_t *put = weft__sender_run(s); x != y; x = x->post_next, put++) {
        x->w.post_at += *put > 0 ? (uint32_t)*put : 0;
        weft__fd_leave(&x->sc->conn->f, WEFT__FD_WRITING);
    }
}

static void post_send(struct weft__exch *x, uint32_t len, unsigned which)
{
    struct weft__sender *s = len >= TOGETHER_MIN ? weft__sender_take(which) : NULL;
    if (s) {
        post_together(s, x);
        weft__sender_give(s);
    }
    while (x) {
        struct weft__exch *next = x->post_next;
        if (next)
            __builtin_prefetch(next->w.out);
        weft__serve_posted(x->sc);
        x = next;
    }
}

static void box_empty(struct post_box *b)
{
    weft__lock(&b->lock);
    b->queued = false;
    uint32_t len = b->len;
    struct weft__exch *first = box_take(b);
    weft__unlock(&b->lock);
    post_send(first, len, (unsigned)(b - boxes));
}

/* Lock held. */
static void box_add(struct post_box *b, struct weft__exch *x)
{
    x->post_next = NULL;
    if (b->last)
        b->last->post_next = x;
    else
        b->first = x;
    b->last = x;
    b->len++;
}

bool weft__post(struct weft__exch *x)
{
    struct weft__exch *all = NULL;
    uint32_t queue = weft__ready_before();
    if (queue == 0)
        return false;
    struct post_box *b = &boxes[queue % BOXES];
    weft__lock(&b->lock);
    weft_time now = weft__now_later();
    if (b->len == 0 && (b->since = now) < b->from) {
        weft__unlock(&b->lock);
        return false;
    }
    box_add(b, x);
    bool start = !b->queued;
    b->queued = true;
    uint32_t len = b->len;
    if (len == BOX_MAX || now - b->since >= BOX_WAIT_MAX)
        all = box_take(b);
    weft__unlock(&b->lock);
    if (start)
        weft_go(box_empty, b);
    post_send(all, all ? len : 0, (unsigned)(b - boxes));
    return true;
}
