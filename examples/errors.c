/*
 * errors.c - how failures travel: a weft_err below 0 goes up to somebody who can do something about it.
 *
 * 0 or more is success, below 0 is -errno or one of the WEFT_E* codes; results come through pointers, written on success
 * only. Panics are for bugs, not for this.
 *
 * Build    cc errors.c $(pkg-config --cflags --libs weft) -o errors
 */
#include <stdio.h>
#include <weft/weft.h>

/* The first byte that a server says. */
static weft_err first_byte(weft_ctx *ctx, const char *network, const char *addr, char *ret_byte)
{
    weft_conn *conn;
    weft_err err = weft_dial(ctx, network, addr, &conn);
    if (err < 0)
        return err;
    ssize_t n = weft_conn_read(ctx, conn, ret_byte, 1);
    weft_conn_close(conn);
    return n < 0 ? (weft_err)n : n == 0 ? WEFT_EEOF : 0;
}

static void report(const char *what, weft_err err)
{
    const char *todo = "nothing to be done";
    switch (err) {
    case 0:
        todo = "fine";
        break;
    case WEFT_EDEADLINE:
    case -ECONNREFUSED:
        todo = "worth another try";
        break;
    case WEFT_ENETWORK:
    case WEFT_EADDR:
        todo = "look at the configuration";
        break;
    }
    printf("%s: %s (%s)\n", what, weft_strerror(err), todo);
}

int main(void)
{
    char byte, addr[WEFT_ADDR_TEXT];
    weft_listener *silent;

    if (weft_listen(&silent, "tcp", "127.0.0.1:0") < 0 || weft_listener_addr(silent, addr, sizeof addr) < 0)
        return 1;
    weft_ctx *ctx = weft_with_timeout(NULL, 20 * WEFT_MS);
    weft_defer(weft_ctx_unref, ctx);

    report("a network that does not exist", first_byte(ctx, "carrier pigeon", addr, &byte));
    report("an address without a port", first_byte(ctx, "tcp", "127.0.0.1", &byte));
    report("a server that says nothing", first_byte(ctx, "tcp", addr, &byte));
    weft_listener_close(silent);
    report("a server that is gone", first_byte(NULL, "tcp", addr, &byte));
    return 0;
}
