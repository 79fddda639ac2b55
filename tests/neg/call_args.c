/*
 * call_args.c - arguments and functions that weft_go, weft_defer and weft_try do not take.
 */
#include <weft/weft.h>

struct pair {
    long a, b;
};
struct line {
    long v[8];
} __attribute__((aligned(64)));

void takes_int(int n);
void takes_text(const char *s);
void takes_pair(struct pair p);
void takes_line(struct line l);
struct pair gives_pair(void);
void all(struct pair p, struct line l);

void all(struct pair p, struct line l)
{
    weft_go(takes_pair, p);
    weft_try(takes_text, 0);
    (void)l;

    weft_go(takes_int);                 /* ERROR "too few arguments" */
    weft_go(takes_int, 1, 2);           /* ERROR "too many arguments" */
    weft_go(takes_int, p);              /* ERROR "incompatible type" */
    weft_go(takes_text, p);             /* ERROR "incompatible type" */
    weft_defer(takes_pair, 1);          /* ERROR "incompatible type" */
    weft_try(takes_text, 1.5);          /* ERROR "incompatible type" */
    weft_go(gives_pair);                /* ERROR "must return void or a scalar" */
    weft_defer(gives_pair);             /* ERROR "must return void or a scalar" */
    weft_try(gives_pair);               /* ERROR "must return void or a scalar" */
#if defined(__x86_64__)
    weft_go(takes_line, l);             /* ERROR "aligned to more than 16 bytes" */
    weft_defer(takes_line, l);          /* ERROR "aligned to more than 16 bytes" */
    weft_try(takes_line, l);            /* ERROR "aligned to more than 16 bytes" */
#endif
}
