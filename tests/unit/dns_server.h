/*
 * dns_server.h - a DNS server for tests: a goroutine on loopback that the resolver is told to ask.
 */
#ifndef DNS_SERVER_H
#define DNS_SERVER_H
#include <arpa/inet.h>

#include "../../src/net/dns/dns_search.h"
#include "dns_put.h"
#include "net_pair.h"

/* ---- a small server: what it answers depends on the first label ---- */

enum { DNS_ROOM = 4 << 20 };

struct dns_server {
    weft_conn *conn;
    char addr[WEFT_ADDR_TEXT];
    _Atomic int asked_a, asked_all;   /* questions for A; all */
    _Atomic(weft_dur) delay;          /* before each answer */
    weft_chan(int) held;              /* closed: names "held" are answered now, and what is late of "late4" and "late6" */
    bool stream;                      /* it speaks over a stream */
    bool roomy;                       /* its socket holds all that a test sends at once */
    _Atomic int ttl, absent_ttl, absent_min;  /* absent_ttl: of the SOA record that comes with "nxsoa"; its last number */
    weft_chan(int) done;
    weft_waitgroup late;
};

/* Turns a question into its answer in place: its size, 0 for silence. */
static inline size_t dns_reply(struct dns_server *s, unsigned char *m, size_t n)
{
    static const unsigned char a1[] = {127, 0, 0, 1}, a2[] = {127, 0, 0, 2}, six[16] = {[15] = 1};
    size_t end = 12;
    while (end < n && m[end])
        end += m[end] + 1u;
    end += 5;
    if (end > n)
        return 0;
    int type = m[end - 3];
    const char *label = (const char *)m + 13;
    atomic_fetch_add(&s->asked_all, 1);
    if (type == 1)
        atomic_fetch_add(&s->asked_a, 1);
    m[2] = 0x84, m[3] = 0x00;                    /* an answer, authoritative */
    m[6] = m[7] = m[8] = m[9] = m[10] = m[11] = 0;
    if (strncmp(label, "silent", 6) == 0)
        return 0;
    if (strncmp(label, "nxsoa", 5) == 0) {
        end += put_soa(m + end, s->absent_ttl, s->absent_min);
        m[9] = 1;
    }
    if (strncmp(label, "big", 3) == 0 && !s->stream)
        m[2] |= 2;                               /* cut: to be asked for over a stream */
    else if (strncmp(label, "nx", 2) == 0)
        m[3] = 3;
    else if (strncmp(label, "fail", 4) == 0)
        m[3] = 2;
    else if (strncmp(label, "empty", 5) == 0)
        ;
    else if (type == 1) {
        end += put_record(m + end, 1, s->ttl, a1, 4);
        end += put_record(m + end, 1, s->ttl, a2, 4);
        m[7] = 2;
    } else if (type == 28 && (strncmp(label, "six", 3) == 0 || strncmp(label, "late", 4) == 0)) {
        end += put_record(m + end, 28, s->ttl, six, 16);
        m[7] = 1;
    }
    return end;
}

struct late {
    struct dns_server *s;
    weft_addr to;
    size_t n;
    unsigned char m[512];
};

static inline void dns_answer_late(struct late *l)
{
    (void)weft_recv_ok(l->s->held, NULL);
    weft_conn_write_to(NULL, l->s->conn, l->m, l->n, &l->to);
    weft_waitgroup_done(&l->s->late);
    free(l);
}

/* Is this answer one that comes late? Then a goroutine of its own sends it. */
static inline bool dns_late(struct dns_server *s, const unsigned char *m, size_t n, size_t question, const weft_addr *to)
{
    bool late = (strncmp((const char *)m + 13, "late4", 5) == 0 && m[question - 3] == 1) ||
                (strncmp((const char *)m + 13, "late6", 5) == 0 && m[question - 3] == 28);
    struct late *l = late ? malloc(sizeof *l) : NULL;
    if (!l)
        return false;
    *l = (struct late){.s = s, .to = *to, .n = n};
    memcpy(l->m, m, n);
    weft_waitgroup_add(&s->late, 1);
    weft_go(dns_answer_late, l);
    return true;
}

static inline void dns_serve(struct dns_server *s)
{
    unsigned char m[1024];
    weft_addr from;
    ssize_t n;
    while ((n = weft_conn_read_from(NULL, s->conn, m, 512, &from)) > 0) {
        size_t out = dns_reply(s, m, (size_t)n);
        if (s->delay)
            weft_sleep(s->delay);
        if (strncmp((char *)m + 13, "held", 4) == 0)
            (void)weft_recv(s->held);
        if (out && !dns_late(s, m, out, (size_t)n, &from))
            weft_conn_write_to(NULL, s->conn, m, out, &from);
    }
    weft_send(s->done, (int)n);
}

/* Answers questions on streams, each in a piece of its own, until the listener is closed. */
static inline void dns_serve_stream(weft_listener *ln)
{
    struct dns_server s = {.ttl = 300, .stream = true};
    weft_conn *c;
    while (weft_accept(NULL, ln, &c) == 0) {
        unsigned char m[1024];
        while (weft_conn_read_full(NULL, c, m, 2) == 2) {
            size_t n = (size_t)m[0] << 8 | m[1];
            if (n > 512 || weft_conn_read_full(NULL, c, m + 2, n) != (ssize_t)n)
                break;
            n = dns_reply(&s, m + 2, n);
            m[0] = (unsigned char)(n >> 8);
            m[1] = (unsigned char)n;
            if (weft_conn_write(NULL, c, m, n + 2) < 0)
                break;
        }
        weft_conn_close(c);
    }
}

static inline struct dns_server *dns_start(const struct weft_resolver_opts *more)
{
    struct dns_server *s = calloc(1, sizeof *s);
    struct weft_resolver_opts o = more ? *more : (struct weft_resolver_opts){0};
    s->ttl = 300;
    s->done = weft_make(int, 1);
    s->held = weft_make(int);
    if (!o.try_timeout)
        o.try_timeout = 60 * WEFT_SEC; /* no question is asked twice because the machine is slow: they are counted */
    REQUIRE(weft_listen_packet(&s->conn, "udp", "127.0.0.1:0") == 0);
    REQUIRE(weft_conn_local(s->conn, s->addr, sizeof s->addr) > 0);
    int room = DNS_ROOM;
    setsockopt(weft_conn_fd(s->conn), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    s->roomy = getsockopt(weft_conn_fd(s->conn), SOL_SOCKET, SO_RCVBUF, &room, &(socklen_t){sizeof room}) == 0 && room >= DNS_ROOM;
    o.servers = s->addr;
    weft_conn_ref(s->conn);
    weft_go(dns_serve, s);
    REQUIRE(weft_resolver_configure(&o) == 0);
    return s;
}

static inline void dns_stop(struct dns_server *s)
{
    weft_waitgroup_wait(&s->late);
    weft_conn_close(s->conn);
    EXPECT_EQ(weft_recv(s->done), WEFT_ECLOSED);
    weft_conn_unref(s->conn);
    weft_free(s->done);
    weft_free(s->held);
    free(s);
}

#endif
