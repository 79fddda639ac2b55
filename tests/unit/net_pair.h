/*
 * net_pair.h - two ends of one connection, for tests.
 */
#ifndef TESTS_NET_PAIR_H
#define TESTS_NET_PAIR_H
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/weft.h>

#include "weft_test.h"

struct net_pair {
    weft_listener *ln;
    weft_conn *a, *b; /* a dialled, b was accepted */
};

__attribute__((unused)) static struct net_pair net_pair(const char *network)
{
    struct net_pair p;
    char addr[WEFT_ADDR_TEXT];
    static _Atomic int number;
    bool is_unix = strcmp(network, "unix") == 0;
    snprintf(addr, sizeof addr, "@weft-test-%d-%d", (int)getpid(), atomic_fetch_add(&number, 1));
    REQUIRE(weft_listen(&p.ln, network, is_unix ? addr : "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(p.ln, addr, sizeof addr) > 0);
    REQUIRE(weft_dial(NULL, network, addr, &p.a) == 0);
    REQUIRE(weft_accept(NULL, p.ln, &p.b) == 0);
    return p;
}

__attribute__((unused)) static void net_pair_close(struct net_pair *p)
{
    weft_conn_close(p->a);
    weft_conn_close(p->b);
    weft_listener_close(p->ln);
}

#endif
