/*
 * chan_element.c - wrong element types, and things that are no channel.
 */
#include <weft/weft.h>

struct pair {
    int x, y;
};
struct later;
void use_long(weft_chan(long) c);
void use_long_in(weft_receiver(long) c);
void all(weft_chan(int) ints, weft_chan(struct pair) pairs, weft_chan(char *) words, weft_chan(int[4]) arrays, int n);

void all(weft_chan(int) ints, weft_chan(struct pair) pairs, weft_chan(char *) words, weft_chan(int[4]) arrays, int n)
{
    struct pair p = {1, 2};
    long l = 0;
    int *q = &n, **qq = &q, ***qqq = &qq;
    const char *text = "t";
    int three[3] = {0}, four[4] = {0};
    weft_send(pairs, p);
    weft_send(arrays, four);
    (void)weft_recv_ok(arrays, &four);
    (void)qqq, (void)text, (void)three;

    weft_send(ints, p);                        /* ERROR "" */
    weft_send(pairs, 5);                       /* ERROR "" */
    weft_send(words, 42);                      /* ERROR "pointer from integer|integer to pointer" */
    weft_send(words, q);                       /* ERROR "incompatible pointer type" */
    weft_send(words, text);                    /* ERROR "discards .*qualifier" */
    weft_send(ints, q);                        /* ERROR "integer from pointer|pointer to integer" */
    (void)weft_try_send(pairs, 5);             /* ERROR "" */
    (void)weft_recv_ok(ints, &l);              /* ERROR "incompatible pointer type" */
    (void)weft_try_recv(ints, &l);             /* ERROR "incompatible pointer type" */
    (void)weft_recv_ok(ints, n);               /* ERROR "pointer from integer|integer to pointer" */
    (void)weft_recv_ok(arrays, &three);        /* ERROR "incompatible pointer type" */
    n = weft_recv(pairs);                      /* ERROR "" */
    (void)weft_recv(arrays);                   /* ERROR "an array has no value in C: use weft_recv_ok" */
    use_long(ints);                            /* ERROR "incompatible pointer type" */
    use_long_in(ints);                         /* ERROR "incompatible pointer type" */
    weft_chan(long) other = ints;              /* ERROR "incompatible pointer type" */
    weft_chan(long) made = weft_make(int, 3);  /* ERROR "incompatible pointer type" */

    weft_send(n, 1);                           /* ERROR "this is not a channel" */
    weft_send(qqq, 1);                         /* ERROR "this is not a channel" */
    weft_send(qq, 1);                          /* ERROR "" */
    n = weft_recv(p);                          /* ERROR "" */
    weft_close(qqq);                           /* ERROR "this is not a channel" */
    n = (int)weft_len(qqq);                    /* ERROR "this is not a channel" */
    n = (int)weft_cap(qqq);                    /* ERROR "this is not a channel" */
    weft_free(qqq);                            /* ERROR "this is not a channel" */
    weft_range(v, qqq) { (void)v; }            /* ERROR "this is not a channel" */
    ints = qqq;                                /* ERROR "incompatible pointer type" */

    weft_chan(struct later) incomplete = NULL; /* ERROR "incomplete" */
    weft_chan(void) nothing = NULL;            /* ERROR "void" */
    (void)weft_make(struct later, 1);          /* ERROR "incomplete" */
    (void)weft_make(int, "three");             /* ERROR "invalid operands" */
    (void)weft_make(char[65537], 1);           /* ERROR "at most 65536 bytes" */
}
