/*
 * conn_int.h - a connection's inside: for conn.c, dial.c, listen.c and tls/.
 */
#ifndef WEFT_NET_CONN_INT_H
#define WEFT_NET_CONN_INT_H
#include "fd.h"

struct weft__tls; /* tls/tls_conn.c */
struct weft_tls_config;

struct weft_conn {
    struct weft__fd f;             /* first: weft__fd.gone gets its address */
    _Atomic uint32_t holders;      /* [F2] references of users */
    bool datagram;                 /* [const] */
    bool http;                     /* [READING + WRITING] where a handshake should have begun came a request of plain HTTP */
    struct weft__tls *tls;         /* [READING + WRITING] NULL until the handshake is done */
    char *tls_error;               /* [READING or WRITING] words for weft_tls_error; malloc'ed or NULL */
};

/* A connection around an open non-blocking socket; on error the socket is closed. */
weft_err weft__conn_new(int fd, bool tcp, bool datagram, weft_conn **ret_conn);

/* The same; on error fd is still the caller's. */
weft_err weft__conn_around(int fd, bool tcp, bool datagram, weft_conn **ret_conn);
/* weft__fd_enter, unless ctx has ended: then its error. */
static inline weft_err weft__conn_enter(weft_ctx *ctx, weft_conn *conn, uint32_t dirs)
{
    weft_err err = weft__unlikely(ctx != NULL) ? weft_ctx_err(ctx) : 0;
    return err ? err : weft__fd_enter(&conn->f, dirs);
}

/* For src/http: a read right after weft_conn_wait, which spares a look at the clock; and one try each to read and to
 * write, which never park. try_read answers -EAGAIN when there is nothing; try_write the bytes that went,
 * 0 when none could. */
WEFT_PARKS ssize_t weft__conn_read_soon(weft_conn *conn, void *ret_buf, size_t n);
ssize_t weft__conn_try_read(weft_conn *conn, void *ret_buf, size_t n);
ssize_t weft__conn_try_write(weft_conn *conn, const void *buf, size_t n);

/*
 * For src/http, of a connection that has one user at a time, who alone may close it (hop.c C2): the same without entering, four
 * atomic instructions less for each. What one user leaves, the next one sees by the lock of the pool between them. The first
 * waits until something can be read; try_read and try_write are for one without TLS.
 */
WEFT_PARKS weft_err weft__conn_own_wait(weft_ctx *ctx, weft_conn *conn);
static inline ssize_t weft__conn_own_try_read(weft_conn *conn, void *ret_buf, size_t n)
{
    return weft__fd_try_read(&conn->f, ret_buf, n);
}
static inline ssize_t weft__conn_own_try_write(weft_conn *conn, const void *buf, size_t n)
{
    ssize_t put = weft__sock_send(conn->f.fd, buf, n);
    return put == -EAGAIN ? 0 : put;
}
static inline void weft__conn_own_deadline(weft_conn *conn, weft_time at)
{
    weft__pd_set_deadline(conn->f.pd, WEFT__DIR_READ | WEFT__DIR_WRITE, at);
}

/* For src/http: nothing has come that was not read, neither bytes nor an end. A look; false too while another reads. With TLS what
 * has come is taken to see whether it is the peer's word or only TLS's own: not silent, it is of no more use. */
bool weft__conn_silent(weft_conn *conn);
/* May something have come since the last wait for reading? Asks the poller's memory only. */
static inline bool weft__conn_told(weft_conn *conn)
{
    return weft__pd_told(conn->f.pd, WEFT__DIR_READ) || weft__pd_ended(conn->f.pd);
}

/* For src/http: as weft_conn_wait(NULL, conn, WEFT_READ), and where that would park 1: no goroutine is kept, the read
 * direction stays taken, and start->fn runs when the wait is over, which calls weft__conn_started first, for the answer. */
weft_err weft__conn_wait_start(weft_conn *conn, struct weft__starter *start);
weft_err weft__conn_started(weft_conn *conn);
/* weft__conn_started, and where it answers 0 weft__conn_try_read. */
ssize_t weft__conn_started_read(weft_conn *conn, void *ret_buf, size_t n);

/* listen.c, for src/http: the peers speak first. A connection of ln is then accepted when its first bytes are here, of a silent
 * peer after a second: one wake-up instead of two, and no wait. Not for sockets that somebody else made and may share. */
void weft__listener_peers_first(weft_listener *ln);

/* bulk.c, for src/http: up to n bytes of a file from offset at; what went, 0 at the file's end; WEFT_EUNSUPPORTED: TLS, or a
 * descriptor that sendfile does not take. */
WEFT_PARKS ssize_t weft__conn_sendfile(weft_conn *conn, int fd, uint64_t at, size_t n);
/* For src/http: parks until the peer has ended the connection or its direction of it: 0; WEFT_ECANCELED after
 * weft__conn_wake_end, which is for the one goroutine that waits or is about to; WEFT_ECLOSED. */
WEFT_PARKS weft_err weft__conn_wait_end(weft_conn *conn);
void weft__conn_wake_end(weft_conn *conn);

/* dial.c: weft_dial_with to TCP, for who has host and port apart. */
WEFT_PARKS weft_err weft__dial_host(weft_ctx *ctx, const char *host, uint16_t port, const struct weft_dial_opts *opts,
                                    weft_conn **ret_conn);

/* addr.c */
/* "host:port" split: host copied without brackets. WEFT_EADDR. */
weft_err weft__addr_split(const char *text, char *ret_host, size_t n, uint16_t *ret_port);
/* An IP literal (zone allowed): true. */
bool weft__addr_literal(const char *host, weft_addr *ret_addr);
void weft__addr_set_port(weft_addr *a, uint16_t port);
weft_err weft__addr_unix(const char *path, struct weft__saddr *ret);
int weft__saddr_text(const struct weft__saddr *a, char *ret_buf, size_t n);

/* RFC 8305 4: the families by turns, beginning with the first address's; each family keeps its order. */
void weft__addr_interleave(weft_addr *list, int count);

/* What a network name means. */
struct weft__network {
    bool ok, is_unix, datagram;
    int family;                    /* AF_UNSPEC: both */
};
struct weft__network weft__network_of(const char *name);
/* Addresses of host:port in the network's family, allowing for an empty host. Count or an error. ret_partial as for
 * weft__resolve; NULL unless the family is AF_UNSPEC. */
WEFT_PARKS int weft__net_resolve(weft_ctx *ctx, const struct weft__network *net, const char *addr, bool passive,
                                 weft_addr *ret, int max, bool *ret_partial);

/* dns/dns_cache.c: weft_resolve; with ret_partial content, and it says so, with one family where the other one's answer is
 * 50 ms late (RFC 8305 3). */
WEFT_PARKS int weft__resolve(weft_ctx *ctx, const char *host, weft_addr *ret, int max, bool *ret_partial);

/* tls/tls_conn.c, for src/http: weft_tls_client to the port of a server that may be behind a proxy, not the proxy's: sessions are
 * kept by name and port. conn may speak TLS already, with the proxy. */
WEFT_PARKS weft_err weft__tls_client_to(weft_ctx *ctx, weft_conn *conn, const struct weft_tls_config *config, uint16_t port,
                                        weft_conn **ret_conn);
/* tls/tls_own.c, for src/http: the same by our own client of TLS 1.3, whoever asks writes first. 0; WEFT__TLS_DIAL: conn is used up,
 * dial again and have weft__tls_client_to; WEFT_EUNSUPPORTED: have it at once, nothing was sent; or another error. */
enum { WEFT__TLS_DIAL = 1 };
WEFT_PARKS int weft__tls_client_own(weft_ctx *ctx, weft_conn *conn, const struct weft_tls_config *config, uint16_t port);
/* tls/tls_conn.c: as weft_conn_read and so on, both directions' bits as the caller took them. */
WEFT_PARKS ssize_t weft__tls_read(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n);
WEFT_PARKS ssize_t weft__tls_write(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n);
ssize_t weft__tls_try_read(weft_conn *conn, void *ret_buf, size_t n);      /* -EAGAIN: nothing whole there */
ssize_t weft__tls_try_write(weft_conn *conn, const void *buf, size_t n);   /* what the socket takes now */
bool weft__tls_pending(weft_conn *conn);
WEFT_PARKS weft_err weft__tls_close_write(weft_conn *conn);
void weft__tls_farewell(weft_conn *conn);
void weft__tls_free(struct weft__tls *tls);

#endif
