/*
 * sharded.c - four listeners on one port: the kernel deals the connections out, and each accept loop has its own queue.
 *
 * One listener is enough for most servers. Several are for tens of thousands of new connections a second, and for processes that
 * take each other's place without a gap: the new one listens before the old one stops.
 *
 * Build    cc sharded.c $(pkg-config --cflags --libs weft) -o sharded
 */
#include <stdio.h>
#include <weft/weft.h>

enum { LISTENERS = 4, VISITS = 200 };

static void serve(weft_listener *ln, int *ret_count)
{
    weft_conn *conn;
    while (weft_accept(NULL, ln, &conn) == 0) {
        ++*ret_count;
        weft_conn_write(NULL, conn, "hello", 5);
        weft_conn_close(conn);
    }
}

int main(void)
{
    struct weft_listen_opts opts = {.reuse_port = true};
    weft_listener *ln[LISTENERS];
    weft_waitgroup wg = {0};
    char addr[WEFT_ADDR_TEXT] = "127.0.0.1:0", buf[8];
    int count[LISTENERS] = {0}, sum = 0, greeted = 0;
    for (int i = 0; i < LISTENERS; i++) {
        if (weft_listen_with(&ln[i], "tcp", addr, &opts) < 0 || weft_listener_addr(ln[i], addr, sizeof addr) < 0)
            return 1;
        weft_waitgroup_go(&wg, serve, ln[i], &count[i]);
    }
    for (int i = 0; i < VISITS; i++) {
        weft_conn *conn;
        if (weft_dial(NULL, "tcp", addr, &conn) < 0)
            return 1;
        greeted += weft_conn_read_full(NULL, conn, buf, 5) == 5;
        weft_conn_close(conn);
    }
    for (int i = 0; i < LISTENERS; i++)
        weft_listener_close(ln[i]);
    weft_waitgroup_wait(&wg);
    for (int i = 0; i < LISTENERS; i++)
        sum += count[i];
    printf("%d visits, %d greetings, accepted by %d listeners\n", sum, greeted, LISTENERS);
    return 0;
}
