/*
 * select_case.c - directions and types in the cases of a select, both forms.
 */
#include <weft/weft.h>

void all(weft_chan(int) both, weft_receiver(int) in, weft_sender(int) out, weft_chan(int) *p, int n);

void all(weft_chan(int) both, weft_receiver(int) in, weft_sender(int) out, weft_chan(int) *p, int n)
{
    int v = 0;
    long l = 0;
    bool ok = false;
    struct pair {
        int x, y;
    } xy = {1, 2};
    struct weft_case k = weft_on_recv(in, &v);
    k = weft_on_send(out, v);
    (void)weft_select(k, weft_on_recv_ok(both, &v, &ok), weft_on_send_ptr(both, &v), weft_on_timeout(1), weft_on_default);
    (void)p, (void)l, (void)n, (void)xy;

    (void)weft_select(weft_on_send(in, 1));             /* ERROR "cannot send on a receive-only channel" */
    (void)weft_select(weft_on_send_ptr(in, &v));        /* ERROR "cannot send on a receive-only channel" */
    (void)weft_select(weft_on_recv(out, &v));           /* ERROR "cannot receive from a send-only channel" */
    (void)weft_select(weft_on_recv_ok(out, NULL, NULL)); /* ERROR "cannot receive from a send-only channel" */
    (void)weft_select(weft_on_timeout(xy));             /* ERROR "" */
    k = weft_on_recv(out, &v);                          /* ERROR "cannot receive from a send-only channel" */
    (void)weft_select(weft_on_recv(in, &l));            /* ERROR "incompatible pointer type" */
    (void)weft_select(weft_on_recv_ok(in, &v, &v));     /* ERROR "incompatible pointer type" */
    (void)weft_select(weft_on_send(out, xy));           /* ERROR "" */
    (void)weft_select(weft_on_send_ptr(out, &l));       /* ERROR "incompatible pointer type" */
    (void)weft_select(weft_on_recv(p, NULL));           /* ERROR "this is not a channel" */
    (void)weft_select(weft_on_recv(n, &v));             /* ERROR "this is not a channel" */
    (void)weft_select(weft_on_send(p, 1));              /* ERROR "this is not a channel" */
    (void)weft_select(both);                            /* ERROR "incompatible pointer type" */
    (void)weft_select(weft_on_send(out, 1), in);        /* ERROR "incompatible pointer type" */
    (void)weft_select(out, weft_on_default);            /* ERROR "incompatible pointer type" */
    (void)weft_select(n);                               /* ERROR "without a cast|incompatible integer to pointer" */

    weft_select_begin
        weft_when_recv(x, in) { (void)x; }
        weft_when_recv(x, out) { (void)x; }             /* ERROR "cannot receive from a send-only channel" */
        weft_when_recv_ok(x, y, out) { (void)x, (void)y; } /* ERROR "cannot receive from a send-only channel" */
        weft_when_timeout(xy) {}                        /* ERROR "" */
        weft_when_send(in, 1) {}                        /* ERROR "cannot send on a receive-only channel" */
        weft_when_send(out, xy) {}                      /* ERROR "" */
        weft_when_recv(x, p) { (void)x; }               /* ERROR "this is not a channel" */
    weft_select_end
}
