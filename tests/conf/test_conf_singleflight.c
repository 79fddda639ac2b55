/*
 * test_conf_singleflight.c - one call for all who ask meanwhile, as Go's tests hold it. What comes from where: LIST_x.md.
 *
 * Source  Go x/sync/singleflight: singleflight_test.go.
 */
#include "conf.h"

static char bar[] = "bar";

static weft_err give_bar(void *arg, void **out)
{
    (void)arg;
    *out = bar;
    return 0;
}

static weft_err fail(void *arg, void **out)
{
    (void)arg, (void)out;
    return -EIO;
}

TEST(conf_singleflight, do_gives_fns_result)
{
    weft_singleflight g = {0};
    void *out = NULL;
    bool shared = true;
    EXPECT_EQ(weft_singleflight_do(&g, "key", give_bar, NULL, &out, &shared), 0);
    EXPECT(out == bar);
    EXPECT(!shared);
}

TEST(conf_singleflight, do_gives_fns_error)
{
    weft_singleflight g = {0};
    void *out = NULL;
    EXPECT_EQ(weft_singleflight_do(&g, "key", fail, NULL, &out, NULL), -EIO);
    EXPECT(!out);
}

TEST(conf_singleflight, chan_delivers_the_result)
{
    weft_singleflight g = {0};
    weft_receiver(struct weft_singleflight_result) ch = weft_singleflight_chan(&g, "key", give_bar, NULL);
    struct weft_singleflight_result r = weft_recv(ch);
    EXPECT(r.out == bar);
    EXPECT_EQ(r.err, 0);
    weft_free(ch);
}

struct flight {
    weft_singleflight g;
    weft_waitgroup here, done;
    weft_chan(int) go_on;
    atomic_int calls, good, left;
};

static weft_err slow_bar(void *arg, void **out)
{
    struct flight *f = arg;
    atomic_fetch_add(&f->calls, 1);
    (void)weft_recv(f->go_on);
    weft_sleep(5 * WEFT_MS);
    *out = bar;
    return 0;
}

static void ask_slow(struct flight *f)
{
    void *out = NULL;
    weft_waitgroup_done(&f->here);
    EXPECT_EQ(weft_singleflight_do(&f->g, "key", slow_bar, f, &out, NULL), 0);
    atomic_fetch_add(&f->good, out == bar);
}

TEST(conf_singleflight, those_who_ask_meanwhile_do_not_call)
{
    enum { N = 10 };
    struct flight f = {.go_on = weft_make(int)};
    weft_waitgroup_add(&f.here, N);
    for (int i = 0; i < N; i++)
        weft_waitgroup_go(&f.done, ask_slow, &f);
    weft_waitgroup_wait(&f.here);
    conf_settle();
    weft_close(f.go_on);
    weft_waitgroup_wait(&f.done);
    EXPECT_EQ(atomic_load(&f.good), N);
    EXPECT_EQ(atomic_load(&f.calls), 1);
    weft_free(f.go_on);
}

struct gated {
    weft_chan(int) started, go_on, over;
    char *value;
};

static weft_err gated_call(void *arg, void **out)
{
    struct gated *c = arg;
    if (c->started)
        weft_close(c->started);
    (void)weft_recv(c->go_on);
    if (c->over)
        weft_close(c->over);
    *out = c->value;
    return 0;
}

static void do_gated(weft_singleflight *g, struct gated *c)
{
    (void)weft_singleflight_do(g, "key", gated_call, c, NULL, NULL);
}

TEST(conf_singleflight, after_forget_the_next_one_leads)
{
    static char one[] = "1", two[] = "2", three[] = "3";
    weft_singleflight g = {0};
    weft_waitgroup wg = {0};
    struct gated first = {weft_make(int), weft_make(int), weft_make(int), one};
    struct gated second = {NULL, weft_make(int), NULL, two}, third = {NULL, second.go_on, NULL, three};

    weft_waitgroup_go(&wg, do_gated, &g, &first);
    (void)weft_recv(first.started);
    weft_singleflight_forget(&g, "key");
    weft_receiver(struct weft_singleflight_result) ch2 = weft_singleflight_chan(&g, "key", gated_call, &second);
    weft_close(first.go_on);
    (void)weft_recv(first.over);
    weft_waitgroup_wait(&wg);                      /* the end of the first does not forget the second */
    weft_receiver(struct weft_singleflight_result) ch3 = weft_singleflight_chan(&g, "key", gated_call, &third);
    weft_close(second.go_on);
    EXPECT(weft_recv(ch2).out == two);
    EXPECT(weft_recv(ch3).out == two);
    weft_free(ch2);
    weft_free(ch3);
    weft_free(first.started);
    weft_free(first.go_on);
    weft_free(first.over);
    weft_free(second.go_on);
}

static weft_err panics(void *arg, void **out)
{
    (void)out;
    if (arg)
        (void)weft_recv(((struct flight *)arg)->go_on);
    weft_panic("no such luck");
}

static void do_panicking(struct flight *f, struct flight *gate)
{
    (void)weft_singleflight_do(&f->g, "key", panics, gate, NULL, NULL);
}

static void do_and_recover(struct flight *f, struct flight *gate)
{
    const char *msg = weft_try(do_panicking, f, gate);
    atomic_fetch_add(&f->good, msg && strcmp(msg, "no such luck") == 0);
    weft_waitgroup_done(&f->done);
}

TEST(conf_singleflight, a_panic_of_fn_is_everybodys)
{
    enum { N = 5 };
    struct flight f = {.go_on = weft_make(int)};
    weft_waitgroup_add(&f.done, 2 * N);
    for (int i = 0; i < N; i++)
        weft_go(do_and_recover, &f, (struct flight *)NULL);
    for (int i = 0; i < N; i++)
        weft_go(do_and_recover, &f, &f);
    conf_settle();
    weft_close(f.go_on);
    weft_waitgroup_wait(&f.done);
    EXPECT_EQ(atomic_load(&f.good), 2 * N);
    weft_free(f.go_on);
}

static weft_err exits(void *arg, void **out)
{
    struct flight *f = arg;
    (void)out;
    (void)weft_recv(f->go_on);
    weft_goexit();
}

static void do_exiting(struct flight *f)
{
    weft_defer(weft_waitgroup_done, &f->done);
    const char *msg = weft_try(weft_singleflight_do, &f->g, "key", exits, f, NULL, NULL);
    weft_test_fail(__FILE__, __LINE__, "came back: %s", msg ? msg : "returned");
}

TEST(conf_singleflight, goexit_in_fn_is_everybodys)
{
    enum { N = 5 };
    struct flight f = {.go_on = weft_make(int)};
    weft_waitgroup_add(&f.done, N);
    for (int i = 0; i < N; i++)
        weft_go(do_exiting, &f);
    conf_settle();
    weft_close(f.go_on);
    weft_waitgroup_wait(&f.done);
    weft_free(f.go_on);
}

static void wait_for_chan(weft_singleflight *g)
{
    weft_receiver(struct weft_singleflight_result) ch = weft_singleflight_chan(g, "", panics, NULL);
    (void)weft_recv(ch);
}

DEATH(conf_singleflight, a_panic_under_chan_ends_the_process, 2, "panic: no such luck")
{
    weft_singleflight g = {0};
    (void)weft_try(wait_for_chan, &g);
    weft_test_fail(__FILE__, __LINE__, "came back");
}

DEATH(conf_singleflight, a_panic_under_do_that_chan_shares_ends_the_process, 2, "panic: no such luck")
{
    struct flight f = {.go_on = weft_make(int)};
    weft_waitgroup_add(&f.done, 1);
    weft_go(do_and_recover, &f, &f);
    conf_settle();
    weft_receiver(struct weft_singleflight_result) ch = weft_singleflight_chan(&f.g, "key", panics, &f);
    weft_close(f.go_on);
    (void)weft_recv(ch);
    weft_test_fail(__FILE__, __LINE__, "came back");
}

static weft_err value_of(void *arg, void **out)
{
    struct gated *c = arg;
    (void)weft_recv(c->go_on);
    *out = c->value;
    return 0;
}

/* Go: ExampleGroup */
TEST(conf_singleflight, two_channels_share_the_first_call)
{
    static char one[] = "func 1", two[] = "func 2";
    weft_singleflight g = {0};
    struct gated a = {NULL, weft_make(int), NULL, one}, b = {NULL, a.go_on, NULL, two};
    weft_receiver(struct weft_singleflight_result) c1 = weft_singleflight_chan(&g, "key", value_of, &a);
    weft_receiver(struct weft_singleflight_result) c2 = weft_singleflight_chan(&g, "key", value_of, &b);
    weft_close(a.go_on);
    struct weft_singleflight_result r1 = weft_recv(c1), r2 = weft_recv(c2);
    EXPECT(r2.shared);
    EXPECT(r1.out == one && r2.out == one);
    weft_free(c1);
    weft_free(c2);
    weft_free(a.go_on);
}
