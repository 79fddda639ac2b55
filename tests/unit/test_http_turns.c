/* The client lets others run before it sends. Rule: src/http/hop.c, Turns. */
#include <stdatomic.h>
#include <sys/socket.h>
#include <weft/weft.h>

#include "../include/weft_test.h"

struct turn {
    weft_dur work;       /* what the other goroutine computes */
    atomic_bool begun, over;
    bool seen;           /* it had begun when the connection was about to be made */
};

static void other(struct turn *t)
{
    weft_time until = weft_now() + t->work;
    atomic_store(&t->begun, true);
    while (weft_now() < until)
        ;
    atomic_store(&t->over, true);
}

/* The last word before a connection. */
static bool allow_look(const struct sockaddr *addr, void *arg)
{
    struct turn *t = arg;
    (void)addr;
    t->seen = atomic_load(&t->begun);
    return false;
}

/* A call with another goroutine ready: did that begin before? */
static bool turn_given(weft_http_client *c, struct turn *t)
{
    weft_http_response *r;
    atomic_store(&t->begun, false);
    atomic_store(&t->over, false);
    weft_go(other, t);
    EXPECT_EQ(weft_http_get(NULL, c, "http://127.0.0.1:1/", &r), WEFT_EDENIED);
    while (!atomic_load(&t->over))
        weft_yield();
    return t->seen;
}

static weft_http_client *turn_client(struct turn *t)
{
    weft_http_client *c;
    struct weft_http_client_opts o = {.allow = allow_look, .arg = t};
    REQUIRE(weft_http_client_new(&o, &c) == 0);
    return c;
}

TEST(http_turns, who_is_ready_runs_before_a_connection_is_made)
{
    struct turn t = {.work = 0};
    int procs = weft_procs(1);
    bool given = false;
    /* More than once, with a client that remembers nothing: the monitor may take the processor in between, and does where the
     * first call of a function takes a millisecond (an emulator). Without the rule none is given. */
    for (int i = 0; i < 20 && !given; i++) {
        weft_http_client *c = turn_client(&t);
        given = turn_given(c, &t);
        weft_http_client_free(c);
    }
    EXPECT(given);
    weft_procs(procs);
}

/* One turn in eight is timed, as the clock's last digits fall, and the one behind a long one. */
TEST(http_turns, after_turns_that_took_long_none_are_given)
{
    struct turn t = {.work = 3 * WEFT_MS};
    int procs = weft_procs(1), given = 0;
    weft_http_client *c = turn_client(&t);
    while (given < 500 && turn_given(c, &t))
        given++;
    EXPECT(given < 500);
    weft_http_client_free(c);
    weft_procs(procs);
}
