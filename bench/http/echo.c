/*
 * echo.c - the weft contestant of bench/echo.py: a goroutine per connection that reads and writes back.
 */
#include <stdio.h>
#include <weft/weft.h>

static void echo(weft_conn *conn)
{
    char buf[4096];
    ssize_t n;
    while ((n = weft_conn_read(NULL, conn, buf, sizeof buf)) > 0)
        if (weft_conn_write(NULL, conn, buf, (size_t)n) < 0)
            break;
    weft_conn_close(conn);
}

int main(void)
{
    weft_listener *ln;
    weft_conn *conn;
    char addr[WEFT_ADDR_TEXT];
    if (weft_listen(&ln, "tcp", "127.0.0.1:0") < 0 || weft_listener_addr(ln, addr, sizeof addr) < 0)
        return 1;
    printf("ready %s\n", addr);
    fflush(stdout);
    while (weft_accept(NULL, ln, &conn) == 0)
        weft_go(echo, conn);
    return 1;
}
