/*
 * test_conf_flow.c - programs made of many small goroutines: sieves of primes, power series.
 *
 * Each program is endless; when the test has seen enough it closes `quit`, and every goroutine ends itself where it
 * waits. So the tests also hold that nobody is left behind.
 *
 * Source  Go: test/chan/sieve1.go, sieve2.go, powser1.go.
 */
#include "conf.h"

static weft_chan(char) quit;
static weft_waitgroup all;    /* every goroutine of the program */

static void put(weft_sender(int) c, int v)
{
    if (weft_select(weft_on_send(c, v), weft_on_recv(quit, NULL)) == 1)
        weft_goexit();
}

static int take(weft_receiver(int) c)
{
    int v;
    if (weft_select(weft_on_recv(c, &v), weft_on_recv(quit, NULL)) == 1)
        weft_goexit();
    return v;
}

static void finish(void)
{
    weft_close(quit);
    weft_waitgroup_wait(&all);
    weft_free(quit);
}

static const int primes_to_97[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97};
enum { N_PRIMES = sizeof primes_to_97 / sizeof *primes_to_97 };

static void expect_primes(weft_receiver(int) c)
{
    for (int i = 0; i < N_PRIMES; i++)
        EXPECT_EQ(weft_recv(c), primes_to_97[i]);
}

/* ---- a filter for each prime (sieve1) ---- */

static void naturals(weft_sender(int) out)
{
    for (int i = 2;; i++)
        put(out, i);
}

static weft_chan(int) made[64];
static int n_made;

static weft_chan(int) new_chan(int cap)
{
    weft_chan(int) c = weft_make(int, cap);
    made[n_made++] = c;
    return c;
}

static void free_made(void)
{
    while (n_made > 0)
        weft_free(made[--n_made]);
}

static void filter(weft_receiver(int) in, weft_sender(int) out, int prime)
{
    for (;;) {
        int i = take(in);
        if (i % prime)
            put(out, i);
    }
}

static void chain_of_filters(weft_sender(int) out)
{
    weft_chan(int) c = new_chan(0);
    weft_waitgroup_go(&all, naturals, c);
    for (;;) {
        int prime = take(c);
        put(out, prime);
        weft_chan(int) next = new_chan(0);
        weft_waitgroup_go(&all, filter, c, next, prime);
        c = next;
    }
}

TEST(conf_flow, a_chain_of_filters_gives_the_primes)
{
    weft_chan(int) out = weft_make(int);
    quit = weft_make(char);
    weft_waitgroup_go(&all, chain_of_filters, out);
    expect_primes(out);
    finish();
    free_made();
    weft_free(out);
}

/* ---- composites merged and struck out (sieve2) ---- */

static void odds_from_5(weft_sender(int) out)
{
    for (int n = 5;; n += 2)
        put(out, n);
}

static void odd_multiples(weft_sender(int) out, int p)
{
    for (int n = p * p;; n += 2 * p)
        put(out, n);
}

/* Takes from in whatever comes and gives it to out in order: whoever sends on in never waits for out. */
static void unbounded(weft_chan(int) in, weft_chan(int) out)
{
    int *kept = NULL;
    size_t from = 0, to = 0;
    for (;;) {
        int v;
        int k = weft_select(weft_on_recv(in, &v), weft_on_send(from < to ? out : NULL, from < to ? kept[from] : 0), weft_on_recv(quit, NULL));
        if (k == 2)
            break;
        if (k == 1) {
            from++;
            continue;
        }
        kept = realloc(kept, (to + 1) * sizeof *kept);
        REQUIRE(kept);
        kept[to++] = v;
    }
    free(kept);
}

/* Odd composites in rising order, from the multiples of the primes that come in. */
static void merge_multiples(weft_receiver(int) primes, weft_sender(int) composites)
{
    struct {
        weft_chan(int) c;
        int head;
    } src[16];
    int n = 0, top = 0;    /* top: a prime's multiples are needed once all below its square are out */
    for (;;) {
        int least = 0;
        for (int i = 1; i < n; i++)
            if (src[i].head < src[least].head)
                least = i;
        if (n == 0 || src[least].head >= top) {
            int p = take(primes);
            REQUIRE(n < 16);
            src[n].c = new_chan(10);
            weft_waitgroup_go(&all, odd_multiples, src[n].c, p);
            src[n].head = take(src[n].c);
            top = (p + 2) * (p + 2);
            n++;
            continue;
        }
        int v = src[least].head;
        put(composites, v);
        for (int i = 0; i < n; i++)
            if (src[i].head == v)
                src[i].head = take(src[i].c);
    }
}

static void strike_out(weft_receiver(int) composites, weft_receiver(int) candidates, weft_sender(int) back, weft_sender(int) out)
{
    int p = take(candidates);
    for (;;) {
        int c = take(composites);
        for (; p < c; p = take(candidates)) {
            put(back, p);
            put(out, p);
        }
        if (p == c)
            p = take(candidates);
    }
}

TEST(conf_flow, a_sieve_that_feeds_itself_gives_the_primes)
{
    weft_chan(int) out = new_chan(10), composites = new_chan(50), primes = new_chan(10), back = new_chan(10), odds = new_chan(50);
    quit = weft_make(char);
    weft_send(out, 2);
    weft_send(out, 3);
    weft_send(primes, 3);
    weft_waitgroup_go(&all, merge_multiples, primes, composites);
    weft_waitgroup_go(&all, odds_from_5, odds);
    weft_waitgroup_go(&all, unbounded, back, primes);
    weft_waitgroup_go(&all, strike_out, composites, odds, back, out);
    expect_primes(out);
    finish();
    free_made();
}

/* ---- power series (powser1): a stream gives a coefficient when it is asked for one ---- */

struct rat {
    int64_t num, den;
};

struct series {
    weft_chan(char) req;
    weft_chan(struct rat) dat;
    struct series *next;
};

static weft_mutex series_lock;
static struct series *series_all;

static struct series *series_new(void)
{
    struct series *s = calloc(1, sizeof *s);
    REQUIRE(s);
    s->req = weft_make(char);
    s->dat = weft_make(struct rat);
    weft_mutex_lock(&series_lock);
    s->next = series_all;
    series_all = s;
    weft_mutex_unlock(&series_lock);
    return s;
}

static void series_free_all(void)
{
    for (struct series *s; (s = series_all);) {
        series_all = s->next;
        weft_free(s->req);
        weft_free(s->dat);
        free(s);
    }
}

static struct rat rat_of(int64_t num, int64_t den)
{
    int64_t a = num < 0 ? -num : num, b = den < 0 ? -den : den;
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    if (den < 0)
        a = -a;
    return (struct rat){num / a, den / a};
}

static struct rat rat_mul(struct rat a, struct rat b)
{
    struct rat x = rat_of(a.num, b.den), y = rat_of(b.num, a.den);    /* first, so that it does not overflow */
    return rat_of(x.num * y.num, x.den * y.den);
}

static struct rat rat_add(struct rat a, struct rat b)
{
    int64_t g = a.den / rat_of(a.den, b.den).num;
    return rat_of(a.num * (b.den / g) + b.num * (a.den / g), a.den / g * b.den);
}

static const struct rat zero = {0, 1}, one = {1, 1}, minus_one = {-1, 1};

static void asked(struct series *s)
{
    if (weft_select(weft_on_recv(s->req, NULL), weft_on_recv(quit, NULL)) == 1)
        weft_goexit();
}

static void answer(struct series *s, struct rat v)
{
    if (weft_select(weft_on_send(s->dat, v), weft_on_recv(quit, NULL)) == 1)
        weft_goexit();
}

/* Asks all n at one time and takes the answers as they come. */
static void get_n(struct series *const *in, struct rat *ret_v, int n)
{
    weft_chan(char) req[2] = {NULL, NULL};
    weft_chan(struct rat) dat[2] = {NULL, NULL};
    for (int i = 0; i < n; i++)
        req[i] = in[i]->req;
    for (int left = 2 * n; left > 0; left--) {
        int k = weft_select(weft_on_send(req[0], 1), weft_on_send(req[1], 1), weft_on_recv(dat[0], &ret_v[0]),
                            weft_on_recv(dat[1], &ret_v[n - 1]), weft_on_recv(quit, NULL));
        if (k == 4)
            weft_goexit();
        if (k < 2) {
            req[k] = NULL;
            dat[k] = in[k]->dat;
        } else {
            dat[k - 2] = NULL;
        }
    }
}

static struct rat get(struct series *s)
{
    struct rat v;
    get_n(&s, &v, 1);
    return v;
}

static void do_ones(struct series *out)
{
    for (;;) {
        asked(out);
        answer(out, one);
    }
}

static void do_copy(struct series *in, struct series *out)
{
    for (;;) {
        asked(out);
        answer(out, get(in));
    }
}

static void do_add(struct series *a, struct series *b, struct series *out)
{
    struct rat v[2];
    for (;;) {
        asked(out);
        get_n((struct series *[]){a, b}, v, 2);
        answer(out, rat_add(v[0], v[1]));
    }
}

static void do_scale(struct rat c, struct series *in, struct series *out)
{
    for (;;) {
        asked(out);
        answer(out, rat_mul(c, get(in)));
    }
}

static void do_diff(struct series *in, struct series *out)
{
    asked(out);
    (void)get(in);
    for (int i = 1;; i++) {
        answer(out, rat_mul((struct rat){i, 1}, get(in)));
        asked(out);
    }
}

static void do_integral(struct rat c, struct series *in, struct series *out)
{
    asked(out);
    answer(out, c);
    for (int i = 1;; i++) {
        asked(out);
        answer(out, rat_mul(rat_of(1, i), get(in)));
    }
}

/* in(c x^n) */
static void do_substitute(struct series *in, struct rat c, int n, struct series *out)
{
    for (struct rat power = one;; power = rat_mul(power, c)) {
        asked(out);
        answer(out, rat_mul(get(in), power));
        for (int i = 1; i < n; i++) {
            asked(out);
            answer(out, zero);
        }
    }
}

/* Both outputs give all that in gives, each at its own pace; a question to in is never waited for with the door shut. */
static void do_split(struct series *in, struct series *const *pair)
{
    struct series *out[2] = {pair[0], pair[1]};
    struct rat kept[64];
    int n = 0, at[2] = {0, 0};
    bool want[2] = {false, false}, open_question = false;
    for (struct rat v;;) {
        bool ask = !open_question && ((want[0] && at[0] == n) || (want[1] && at[1] == n));
        int k = weft_select(weft_on_recv(want[0] ? NULL : out[0]->req, NULL), weft_on_recv(want[1] ? NULL : out[1]->req, NULL),
                            weft_on_send(ask ? in->req : NULL, 1), weft_on_recv(open_question ? in->dat : NULL, &v),
                            weft_on_recv(quit, NULL));
        if (k == 4)
            weft_goexit();
        if (k < 2)
            want[k] = true;
        open_question = k == 2 || (open_question && k != 3);
        if (k == 3) {
            REQUIRE(n < 64);
            kept[n++] = v;
        }
        for (int i = 0; i < 2; i++)
            if (want[i] && at[i] < n) {
                want[i] = false;
                answer(out[i], kept[at[i]++]);
            }
    }
}

#define NEW_SERIES(fn, ...)                                      \
    __extension__({                                              \
        struct series *new_ = series_new();                      \
        weft_waitgroup_go(&all, fn, __VA_ARGS__, new_);          \
        new_;                                                    \
    })
static struct series *ones(void)
{
    struct series *s = series_new();
    weft_waitgroup_go(&all, do_ones, s);
    return s;
}
static struct series *add(struct series *a, struct series *b) { return NEW_SERIES(do_add, a, b); }
static struct series *scale(struct rat c, struct series *a) { return NEW_SERIES(do_scale, c, a); }
static struct series *diff(struct series *a) { return NEW_SERIES(do_diff, a); }
static struct series *integral(struct rat c, struct series *a) { return NEW_SERIES(do_integral, c, a); }
static struct series *substitute(struct series *a, struct rat c, int n) { return NEW_SERIES(do_substitute, a, c, n); }

struct pair {
    struct series *s[2];
};

static void do_split_pair(struct series *in, struct pair p)
{
    do_split(in, p.s);
}

static struct pair split(struct series *in)
{
    struct pair p = {{series_new(), series_new()}};
    weft_waitgroup_go(&all, do_split_pair, in, p);
    return p;
}

static struct series *mul(struct series *a, struct series *b);

/* (a0 + x A) (b0 + x B) = a0 b0 + x (a0 B + b0 A) + x^2 A B */
static void do_mul(struct series *a, struct series *b, struct series *out)
{
    struct rat v[2];
    asked(out);
    get_n((struct series *[]){a, b}, v, 2);
    answer(out, rat_mul(v[0], v[1]));
    struct pair as = split(a), bs = split(b);
    struct series *w = add(scale(v[0], bs.s[0]), scale(v[1], as.s[0]));
    asked(out);
    answer(out, get(w));
    do_copy(add(w, mul(as.s[1], bs.s[1])), out);
}

static struct series *mul(struct series *a, struct series *b) { return NEW_SERIES(do_mul, a, b); }

/* e^a: its derivative is e^a a', so it is fed from its own output. */
static struct series *expo(struct series *a)
{
    struct series *z = series_new();
    struct pair p = split(z);
    weft_waitgroup_go(&all, do_integral, one, mul(p.s[0], diff(a)), z);
    return p.s[1];
}

static void expect_series(struct series *s, const struct rat *want, int n)
{
    for (int i = 0; i < n; i++) {
        struct rat v = get(s);
        EXPECT_EQ(v.num, want[i].num);
        EXPECT_EQ(v.den, want[i].den);
    }
}

static void series_end(void)
{
    finish();
    series_free_all();
}

enum { TERMS = 10 };

TEST(conf_flow, power_series_add_scale_differentiate_and_integrate)
{
    struct rat want[TERMS];
    quit = weft_make(char);
    for (int i = 0; i < TERMS; i++)
        want[i] = (struct rat){2, 1};
    expect_series(add(ones(), ones()), want, TERMS);
    for (int i = 0; i < TERMS; i++)
        want[i] = (struct rat){-2, 1};
    expect_series(scale(minus_one, add(ones(), ones())), want, TERMS);
    for (int i = 0; i < TERMS; i++)
        want[i] = minus_one;
    expect_series(add(ones(), scale(minus_one, add(ones(), ones()))), want, TERMS);
    for (int i = 0; i < TERMS; i++)
        want[i] = (struct rat){i + 1, 1};
    expect_series(diff(ones()), want, TERMS);
    expect_series(mul(ones(), ones()), want, TERMS);
    for (int i = 0; i < TERMS; i++)
        want[i] = i ? (struct rat){1, i} : zero;
    expect_series(integral(zero, ones()), want, TERMS);
    series_end();
}

/* exp(1 + x + ...) without its constant e, and the arc tangent */
TEST(conf_flow, power_series_feed_on_themselves)
{
    static const struct rat exp_want[TERMS] = {{1, 1}, {1, 1}, {3, 2}, {13, 6}, {73, 24}, {167, 40}, {4051, 720},
                                               {37633, 5040}, {43817, 4480}, {4596553, 362880}};
    struct rat atan_want[TERMS];
    quit = weft_make(char);
    expect_series(expo(ones()), exp_want, TERMS);
    for (int i = 0; i < TERMS; i++)
        atan_want[i] = i % 2 ? (struct rat){i % 4 == 1 ? 1 : -1, i} : zero;
    expect_series(integral(zero, substitute(ones(), minus_one, 2)), atan_want, TERMS);
    series_end();
}
