/*
 * chan_direction.c - what the type of a channel's view forbids.
 */
#include <weft/weft.h>

void use_both(weft_chan(int) c);
void use_receiver(weft_receiver(int) c);
void use_sender(weft_sender(int) c);
void all(weft_chan(int) both, weft_receiver(int) in, weft_sender(int) out);

void all(weft_chan(int) both, weft_receiver(int) in, weft_sender(int) out)
{
    int v = 0;
    use_receiver(both);
    use_sender(both);
    weft_send(both, v);
    weft_send(out, v);
    v = weft_recv(in);
    (void)weft_recv_ok(in, &v);
    (void)weft_try_send(out, v);
    (void)weft_try_recv(in, &v);
    weft_close(out);

    weft_send(in, 1);                          /* ERROR "cannot send on a receive-only channel" */
    (void)weft_try_send(in, 1);                /* ERROR "cannot send on a receive-only channel" */
    v = weft_recv(out);                        /* ERROR "cannot receive from a send-only channel" */
    (void)weft_recv_ok(out, &v);               /* ERROR "cannot receive from a send-only channel" */
    (void)weft_recv_ok(out, NULL);             /* ERROR "cannot receive from a send-only channel" */
    (void)weft_try_recv(out, &v);              /* ERROR "cannot receive from a send-only channel" */
    weft_range(x, out) { (void)x; }            /* ERROR "cannot receive from a send-only channel" */
    weft_close(in);                            /* ERROR "cannot close a receive-only channel" */
    weft_defer(weft_close, in);                /* ERROR "discards .*qualifier" */

    use_both(in);                              /* ERROR "discards .*qualifier" */
    use_both(out);                             /* ERROR "discards .*qualifier" */
    use_sender(in);                            /* ERROR "discards .*qualifier" */
    use_receiver(out);                         /* ERROR "discards .*qualifier" */
    both = in;                                 /* ERROR "discards .*qualifier" */
    both = out;                                /* ERROR "discards .*qualifier" */
    in = out;                                  /* ERROR "discards .*qualifier" */
    weft_go(use_sender, in);                   /* ERROR "discards .*qualifier" */
}
