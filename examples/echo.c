/*
 * echo.c - a TCP echo server and three clients in one program.
 *
 * The server has one goroutine per connection; nothing here blocks a thread. The last client is impatient: its deadline
 * passes while it waits for an answer that nobody sends, and its connection goes on after that.
 *
 * Build    cc echo.c $(pkg-config --cflags --libs weft) -o echo
 */
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

static void serve_one(weft_conn *conn)
{
    char buf[1024];
    ssize_t n;
    while ((n = weft_conn_read(NULL, conn, buf, sizeof buf)) > 0)
        if (weft_conn_write(NULL, conn, buf, (size_t)n) < 0)
            break;
    weft_conn_close(conn);
}

static void serve(weft_listener *ln)
{
    weft_conn *conn;
    while (weft_accept(NULL, ln, &conn) == 0)
        weft_go(serve_one, conn);
}

static weft_err visit(const char *addr, const char *words, bool impatient)
{
    char buf[64];
    weft_conn *conn;
    weft_err err = weft_dial(NULL, "tcp", addr, &conn);
    if (err)
        return err;
    if (impatient) {
        weft_conn_set_read_deadline(conn, weft_now() + 10 * WEFT_MS);
        ssize_t n = weft_conn_read(NULL, conn, buf, sizeof buf);
        printf("without a question: %s\n", weft_strerror((weft_err)n));
        weft_conn_set_read_deadline(conn, 0);
    }
    size_t len = strlen(words);
    ssize_t n = weft_conn_write(NULL, conn, words, len);
    if (n > 0)
        n = weft_conn_read_full(NULL, conn, buf, len);
    if (n > 0)
        printf("echo: %.*s\n", (int)n, buf);
    weft_conn_close(conn);
    return n < 0 ? (weft_err)n : 0;
}

int main(void)
{
    static const char *const words[] = {"warp", "weft", "shuttle"};
    weft_listener *ln;
    char addr[WEFT_ADDR_TEXT];
    weft_err err = weft_listen(&ln, "tcp", "127.0.0.1:0");
    if (!err && weft_listener_addr(ln, addr, sizeof addr) > 0) {
        weft_go(serve, ln);
        for (int i = 0; i < 3 && !err; i++)
            err = visit(addr, words[i], i == 2);
        weft_listener_close(ln);
    }
    if (err)
        fprintf(stderr, "echo: %s\n", weft_strerror(err));
    return err != 0;
}
