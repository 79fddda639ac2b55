/*
 * weft/net.h - connections, listeners, names and addresses; waiting for any descriptor.
 *
 * Every call that waits parks the goroutine, never the thread. A wait ends early by its context, by the deadline of its
 * direction, or because the object is closed: whichever comes first. A NULL context means background and costs nothing.
 *
 * Networks: "tcp" "tcp4" "tcp6" "udp" "udp4" "udp6" "unix" "unixgram". Addresses: "host:port" ("[::1]:80" for IPv6; the host
 * may be a name, an IP literal, or empty for all interfaces when listening and loopback when dialling; the port is a number or
 * "http", "https", "domain"), or a path for "unix" and "unixgram" ("@name": Linux's abstract space).
 *
 * Source  Go net. Unlike Go: read and write take a context; a second goroutine in the same direction is refused with
 *         WEFT_EBUSY where Go queues it; an object's memory ends with its last reference (weft_conn_ref).
 */
#ifndef WEFT_NET_H
#define WEFT_NET_H
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <weft/base.h>

#pragma GCC system_header

typedef struct weft_ctx weft_ctx;
typedef struct weft_conn weft_conn;
typedef struct weft_listener weft_listener;

/* Directions of weft_fd_wait, weft_conn_wait. */
enum { WEFT_READ = 1, WEFT_WRITE = 2 };
/* Most bytes of one read or write call. */
#define WEFT_IO_MAX ((size_t)1 << 30)
/* Room that the text of any address needs, with its NUL. */
#define WEFT_ADDR_TEXT 128

/* An IP address and port. */
typedef struct weft_addr {
    socklen_t len;                /* bytes of u in use; 0: no address */
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } u;
} weft_addr;

/* ---- listening ---- */

/**
 * weft_listen - bind and listen.
 *
 * @network  "tcp", "tcp4", "tcp6" or "unix".
 * @addr     address to bind; port 0 lets the kernel choose (weft_listener_addr tells). A name is resolved.
 *
 * Returns   0, or a negative weft_err; *ret_ln is written on success only.
 * Errors    WEFT_ENETWORK, WEFT_EADDR, WEFT_ENOHOST, WEFT_EDNS; -EADDRINUSE and others as the kernel gave them.
 * Parks     only while a name is resolved. An IP literal never parks.
 * Limits    backlog is the system's net.core.somaxconn. SO_REUSEADDR is set. "tcp" with an empty host or "::" takes both
 *           families. An existing unix socket file is not removed: -EADDRINUSE; weft_listener_close removes its own.
 * Source    Go net.Listen.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_listen(weft_listener **ret_ln, const char *network, const char *addr);

/* Zeroed is the default of everything. Unix sockets take backlog, rcvbuf and sndbuf only. */
struct weft_listen_opts {
    bool reuse_port;          /* SO_REUSEPORT: more listeners of this user, in this process or others, may have the same address;
                               * each must ask for it. The kernel deals new connections (datagrams: by peer) out among them */
    bool ipv6_only;           /* an empty host or "::" does not take IPv4 as well */
    bool delay;               /* leave Nagle's algorithm on for accepted connections; otherwise TCP_NODELAY is set */
    int backlog;              /* connections that wait to be accepted; 0, or more than net.core.somaxconn: that */
    int keepalive_s;          /* seconds idle before TCP keep-alive probes; 0: 15 as in Go; below 0: off */
    int rcvbuf, sndbuf;       /* SO_RCVBUF, SO_SNDBUF, which accepted connections inherit; 0: the kernel's own tuning */
};

/** weft_listen_with - weft_listen with options; opts may be NULL. Returns, errors and parks as weft_listen. */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_listen_with(weft_listener **ret_ln, const char *network, const char *addr, const struct weft_listen_opts *opts);

/**
 * weft_listener_take_fd - a listener around a socket that listens already: inherited, or from systemd (fd 3).
 *
 * @fd       made non-blocking. Owned by the listener from then on; after an error still the caller's.
 *
 * Returns   0 and *ret_ln; WEFT_EUNSUPPORTED (no listening stream socket), WEFT_ENOMEM, -EBADF and others. Does not park.
 * Owns      the caller closes *ret_ln; a unix socket's file is not removed. Source: Go net.FileListener.
 */
WEFT_API WEFT_MUST_USE
weft_err weft_listener_take_fd(int fd, weft_listener **ret_ln);

/**
 * weft_accept - wait for the next connection.
 *
 * @ctx      cancels the wait. @ln one goroutine at a time may accept (a second one gets WEFT_EBUSY).
 *
 * Returns   0 and *ret_conn, which the caller closes; or WEFT_ECANCELED, WEFT_EDEADLINE (ctx), WEFT_ECLOSED (the
 *           listener was closed, even during the call), WEFT_EBUSY, -EMFILE and others. A connection that died in the
 *           queue is skipped, as in Go.
 * Parks     until a connection comes. TCP_NODELAY is on.
 * Source    Go net.Listener Accept.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_accept(weft_ctx *ctx, weft_listener *ln, weft_conn **ret_conn);

/** weft_listener_set_deadline - accepts past the instant `at` (weft_now's clock; 0 none) end with WEFT_EDEADLINE. */
WEFT_API weft_err weft_listener_set_deadline(weft_listener *ln, weft_time at);

/**
 * weft_listener_addr - the bound address as text, "127.0.0.1:40213" or a path.
 *
 * @ret_buf  room for n bytes.
 *
 * Returns   bytes written without the NUL, or WEFT_ETOOBIG when n is short (WEFT_ADDR_TEXT always suffices).
 */
WEFT_API int weft_listener_addr(weft_listener *ln, char *ret_buf, size_t n);

/**
 * weft_listener_close - stop listening; a goroutine in weft_accept wakes with WEFT_ECLOSED.
 *
 * Returns   0, or WEFT_ECLOSED if it was closed before.
 * Owns      ends ln. An accept loop that looks once more gets WEFT_ECLOSED: memory of the last 1,024 closed listeners
 *           stays readable for that.
 */
WEFT_API weft_err weft_listener_close(weft_listener *ln);

/* ---- dialling ---- */

/* Zeroed is the default of everything. */
struct weft_dial_opts {
    /* Asked about each address after name resolution and before a socket is made; false refuses it: WEFT_EDENIED when
     * no address is left. It must not park. NULL allows all. */
    bool (*allow)(const struct sockaddr *addr, void *arg);
    void *allow_arg;
    weft_dur timeout;         /* for the whole call, name resolution included; 0: only the context limits it */
    const char *local_addr;   /* "ip:port" to bind first; port 0: the kernel's choice; NULL: not bound. Unix: a path, which stays */
    bool delay;               /* leave Nagle's algorithm on; otherwise TCP_NODELAY is set */
    int keepalive_s;          /* seconds idle before TCP keep-alive probes; 0: 15 as in Go; below 0: off */
    int rcvbuf, sndbuf;       /* SO_RCVBUF, SO_SNDBUF; 0: the kernel's own tuning */
    weft_dur *ret_resolve;    /* how long the name took to resolve, ns; written, unless NULL, when a name was looked up */
};

/**
 * weft_dial - connect.
 *
 * @ctx      limits resolution and connecting together.
 * @network  "tcp", "tcp4", "tcp6", "unix"; or "udp", "udp4", "udp6", "unixgram": a socket that talks to one peer.
 * @addr     the peer. The addresses of a name are tried IPv6 and IPv4 by turns, the next one 250 ms after the last or
 *           when one fails; the first connection wins and the other tries end (RFC 8305).
 *
 * Returns   0 and *ret_conn, which the caller closes; else the error of the first address that failed.
 * Errors    WEFT_ENETWORK, WEFT_EADDR, WEFT_ENOHOST, WEFT_EDNS; WEFT_ECANCELED, WEFT_EDEADLINE; -ECONNREFUSED,
 *           -ENETUNREACH, -ETIMEDOUT and others as the kernel gave them.
 * Parks     until connected. With several addresses, a goroutine for each try under way. Source: Go net.Dialer DialContext.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_dial(weft_ctx *ctx, const char *network, const char *addr, weft_conn **ret_conn);

/** weft_dial_with - weft_dial with options; opts may be NULL. Adds WEFT_EDENIED (opts->allow refused every address). */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_dial_with(weft_ctx *ctx, const char *network, const char *addr, const struct weft_dial_opts *opts,
                        weft_conn **ret_conn);

/* ---- connections ---- */

/**
 * weft_conn_read - read what has arrived, at least one byte.
 *
 * @ctx      cancels the wait; NULL means wait without limit.
 * @conn     open connection; one reader at a time (a second one gets WEFT_EBUSY).
 * @ret_buf  room for n bytes.
 * @n        0 .. WEFT_IO_MAX bytes (more is cut); 0 returns 0 at once.
 *
 * Returns   bytes read, 1 .. n; 0 when the peer has finished sending; or a negative weft_err. On "udp": one datagram,
 *           cut to n.
 * Errors    WEFT_ECANCELED, WEFT_EDEADLINE (ctx or read deadline; the connection stays usable); WEFT_ECLOSED (closed on
 *           this side, even during the call); WEFT_EBUSY; -ECONNRESET and others as the kernel gave them; on TLS also
 *           WEFT_ETLS, and WEFT_EEOF when the peer ended without saying so.
 * Parks     until data, end, cancel, deadline or close.
 * Calls     any thread. Safe beside weft_conn_write and weft_conn_close.
 * Costs     one recv(2) when data waits; parks without trying when the last read has emptied the socket. No allocation.
 * Source    Go net.Conn Read; RFC 9293 3.9.1.3. Tests: test_conn.c.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_conn_read(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n);

/** weft_conn_read_full - read exactly n bytes. Returns n; WEFT_EEOF when the peer ended before, 0 when before the first. */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_conn_read_full(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n);

/**
 * weft_conn_write - write all n bytes.
 *
 * @conn     one writer at a time (a second one gets WEFT_EBUSY).
 *
 * Returns   n, or a negative weft_err; then an unknown part was sent and a stream is of no more use.
 * Errors    as weft_conn_read; -EPIPE, -ECONNRESET when the peer is gone (no SIGPIPE). -EMSGSIZE on "udp".
 * Parks     while the send buffer is full.
 * Source    Go net.Conn Write.
 */
WEFT_API WEFT_PARKS
ssize_t weft_conn_write(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n);

/** weft_conn_writev - write all bytes of the pieces, in order, in as few system calls as can be. Returns the sum, or an error. */
WEFT_API WEFT_PARKS
ssize_t weft_conn_writev(weft_ctx *ctx, weft_conn *conn, const struct iovec *iov, int iov_count);

/**
 * weft_conn_readv - weft_conn_read into several pieces of memory, which fill in order.
 *
 * @iov_count  0 .. 1024 pieces.
 *
 * Returns   bytes read, at least 1 and at most the sum; else as weft_conn_read. WEFT_EINVAL: iov_count is out of range.
 * Parks     as weft_conn_read. TLS fills the first piece that has room only.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_conn_readv(weft_ctx *ctx, weft_conn *conn, const struct iovec *iov, int iov_count);

/**
 * weft_conn_send_file - send a part of a file without copying it through the program (sendfile(2)).
 *
 * @fd       a regular file, open for reading; its position is neither used nor moved.
 * @at       offset of the first byte.
 * @n        bytes at most; SIZE_MAX: to the file's end.
 *
 * Returns   bytes sent: n, or fewer where the file ends before; or a negative weft_err as weft_conn_write, and those of pread(2).
 * Parks     while the send buffer is full. What is not in the page cache is waited for in the kernel.
 * Limits    over TLS, and from files that sendfile does not take, bytes are copied in pieces of 16 KiB.
 * Source    Go net.TCPConn ReadFrom.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_conn_send_file(weft_ctx *ctx, weft_conn *conn, int fd, uint64_t at, size_t n);

/**
 * weft_conn_splice - move bytes from one stream to another without copying them through the program (splice(2)), as a proxy does.
 *
 * @dst, @src  connections; one reader of src and one writer of dst at a time.
 * @n        bytes at most; SIZE_MAX: until src ends.
 *
 * Returns   bytes moved: n, or fewer where src has ended; or a negative weft_err: then an unknown part was moved, and what had
 *           been read of src may be lost. WEFT_EUNSUPPORTED: datagrams.
 * Parks     while src has nothing and while dst takes nothing. Takes turns: it does not hold a processor while data flows.
 * Costs     two system calls for what src has, up to 256 KiB at a time; five for the pipe of the call.
 * Limits    where either side is TLS, bytes are copied in pieces of 16 KiB.
 * Source    Go net.TCPConn ReadFrom and WriteTo.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_conn_splice(weft_ctx *ctx, weft_conn *dst, weft_conn *src, size_t n);

/**
 * weft_conn_wait - park until the connection may be readable (WEFT_READ) or writable (WEFT_WRITE), holding no buffer.
 *
 * Returns   0: try (it may still park: a wake can be spurious); or an error as weft_conn_read. For an idle connection:
 *           wait first, then take a buffer from a pool and read. One direction per call.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_conn_wait(weft_ctx *ctx, weft_conn *conn, int direction);

/**
 * weft_conn_close - close; goroutines inside read or write wake with WEFT_ECLOSED.
 *
 * Returns   0; WEFT_ECLOSED if another holder of a reference closed it before.
 * Parks     no. A TLS connection sends its farewell if that works without waiting.
 * Owns      drops the caller's reference: the pointer is dead for whoever has no reference of his own. Calls that are
 *           inside at that moment are safe. NULL is allowed.
 */
WEFT_API weft_err weft_conn_close(weft_conn *conn);

/**
 * weft_conn_ref, weft_conn_unref - one more user whose pointer outlives somebody else's weft_conn_close.
 *
 * Calls on a closed connection answer WEFT_ECLOSED. weft_conn_unref drops a reference without closing; the last one
 * closes what is open. weft_conn_close counts as one unref.
 */
WEFT_API weft_conn *weft_conn_ref(weft_conn *conn);
WEFT_API void weft_conn_unref(weft_conn *conn);

/** weft_conn_close_write - half close: the peer reads the end, reading goes on. Returns 0; not a stream: WEFT_EUNSUPPORTED. */
WEFT_API WEFT_PARKS weft_err weft_conn_close_write(weft_conn *conn);

/**
 * weft_conn_set_deadline, _read_deadline, _write_deadline - limit present and future waits.
 *
 * @at       an instant of weft_now; 0 for none; in the past: calls fail at once, those that wait wake.
 *
 * Returns   0 or WEFT_ECLOSED. Operations past the instant end with WEFT_EDEADLINE; a later deadline makes the
 *           connection usable again. Does not park. Source: Go net.Conn SetDeadline.
 */
WEFT_API weft_err weft_conn_set_deadline(weft_conn *conn, weft_time at);
WEFT_API weft_err weft_conn_set_read_deadline(weft_conn *conn, weft_time at);
WEFT_API weft_err weft_conn_set_write_deadline(weft_conn *conn, weft_time at);

/** weft_conn_local, weft_conn_remote - addresses as text: bytes without the NUL, or an error (WEFT_ETOOBIG: n is short). */
WEFT_API int weft_conn_local(weft_conn *conn, char *ret_buf, size_t n);
WEFT_API int weft_conn_remote(weft_conn *conn, char *ret_buf, size_t n);

/** weft_conn_fd - the descriptor, lent: do not close it, do not make it blocking. WEFT_ECLOSED when closed. */
WEFT_API int weft_conn_fd(weft_conn *conn);

/**
 * weft_conn_take_fd - a connection around a connected socket that something else made: socketpair(2), an inherited one.
 *
 * @fd       made non-blocking. Owned by the connection from then on; after an error still the caller's.
 *
 * Returns   0 and *ret_conn; WEFT_EUNSUPPORTED (no TCP, UDP or unix socket), WEFT_ENOMEM, -ENOTSOCK and others. Does not park.
 * Owns      the caller closes *ret_conn. Other descriptors: weft_file_take_fd (io.h). Source: Go net.FileConn.
 */
WEFT_API WEFT_MUST_USE
weft_err weft_conn_take_fd(int fd, weft_conn **ret_conn);

/* Who is at the other end of a unix socket: as the kernel saw it when it connected (or listened). */
struct weft_peer_cred {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};
/** weft_conn_peer_cred - SO_PEERCRED. Returns 0 and *ret_cred; not a unix stream: WEFT_EUNSUPPORTED; WEFT_ECLOSED. Does not park. */
WEFT_API WEFT_MUST_USE
weft_err weft_conn_peer_cred(weft_conn *conn, struct weft_peer_cred *ret_cred);

/* ---- datagrams without a fixed peer ---- */

/**
 * weft_listen_packet, weft_listen_packet_with - a bound "udp" or "unixgram" socket for weft_conn_read_from and _write_to.
 *
 * @opts     may be NULL; of it count reuse_port, ipv6_only, rcvbuf, sndbuf.
 *
 * Returns   as weft_listen. Parks as it does. Owns: the caller closes *ret_conn, and removes the file of a "unixgram".
 * Source    Go net.ListenPacket.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_listen_packet(weft_conn **ret_conn, const char *network, const char *addr);
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_listen_packet_with(weft_conn **ret_conn, const char *network, const char *addr, const struct weft_listen_opts *opts);

/** weft_conn_read_from - one datagram into ret_buf and its sender (ret_from may be NULL; a unix sender's len is 0): its bytes, cut to
 * n. 0 is an empty one. Parks until one comes. */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_conn_read_from(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n, weft_addr *ret_from);

/** weft_conn_write_to - send one datagram to an address. Returns n, or an error as weft_conn_write. */
WEFT_API WEFT_PARKS
ssize_t weft_conn_write_to(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n, const weft_addr *to);

/* One datagram of a batch. */
struct weft_packet {
    void *buf;                    /* read: room for n bytes; write: the datagram */
    size_t n;
    size_t got;                   /* read: bytes put into buf */
    bool cut;                     /* read: it was longer than n; the rest is lost */
    weft_addr addr;               /* read: the sender, written (len 0: a unix one); write: where to, len 0: the peer it is connected to */
};

/**
 * weft_conn_read_batch - the datagrams that have come, several per system call (recvmmsg(2)).
 *
 * @packets  their buffers; got, cut and addr of as many as came are written.
 * @count    1 .. 64 of them (more are not used).
 *
 * Returns   how many came, 1 .. count; or as weft_conn_read. WEFT_EINVAL: count; WEFT_EUNSUPPORTED: a stream.
 * Parks     until there is one; never for more.
 * Costs     one recvmmsg. Allocates beyond 8.
 * Source    x/net ipv4.PacketConn ReadBatch.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
int weft_conn_read_batch(weft_ctx *ctx, weft_conn *conn, struct weft_packet *packets, int count);

/**
 * weft_conn_write_batch - send datagrams, several per system call (sendmmsg(2)).
 *
 * @count    1 .. 64 of them (more are not sent).
 *
 * Returns   how many were sent: fewer than count only where the next one failed, whose error the next call gives; or the error of
 *           the first, as weft_conn_write. WEFT_EINVAL: count; WEFT_EUNSUPPORTED: a stream.
 * Parks     while the send buffer is full. Costs one sendmmsg; allocates beyond 8. Source: x/net ipv4.PacketConn WriteBatch.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
int weft_conn_write_batch(weft_ctx *ctx, weft_conn *conn, const struct weft_packet *packets, int count);

/**
 * weft_conn_read_from_unix, weft_conn_write_to_unix - weft_conn_read_from and _write_to between "unixgram" sockets, by path.
 *
 * @ret_buf  room for n bytes.
 * @ret_path  NULL, or room for WEFT_ADDR_TEXT bytes: the sender's address as text; "" where it is not bound.
 * @path      a path or "@name".
 *
 * Returns   as weft_conn_read_from and _write_to; WEFT_EADDR; WEFT_EUNSUPPORTED: another kind of socket. -EAGAIN: the receiver's
 *           queue is full (Linux does not tell when there is room again; a dialled "unixgram" parks instead).
 * Parks     until a datagram is there; while the send buffer is full.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_conn_read_from_unix(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n, char *ret_path);
WEFT_API WEFT_PARKS
ssize_t weft_conn_write_to_unix(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n, const char *path);

/* ---- addresses and names ---- */

/** weft_addr_parse - "1.2.3.4:80" or "[::1]:80", literals only. Returns 0, or WEFT_EADDR. */
WEFT_API weft_err weft_addr_parse(weft_addr *ret_addr, const char *text);
/** weft_addr_text - the reverse: bytes without the NUL, or WEFT_ETOOBIG. */
WEFT_API int weft_addr_text(const weft_addr *addr, char *ret_buf, size_t n);

/**
 * weft_resolve - the addresses of a host name.
 *
 * @host     a name, or an IP literal (answered at once). "localhost" and names of /etc/hosts need no server.
 * @ret      room for max addresses, port 0, best first; max 1 .. 64.
 *
 * Returns   how many there are, 1 .. max; WEFT_ENOHOST (no such name, or no address), WEFT_EDNS (no useful answer),
 *           WEFT_ECANCELED, WEFT_EDEADLINE.
 * Parks     until answered; never blocks a thread. Goroutines that ask for one name at one time share one query.
 * Limits    answers are kept for their TTL, "no such name" as its SOA record says or 10 s, both 1 s .. 1 h; failures not
 *           at all; 10,000 names.
 * Source    Go net.Resolver LookupIPAddr; RFC 1034, 2308. c-ares asks, as /etc/resolv.conf says.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
int weft_resolve(weft_ctx *ctx, const char *host, weft_addr *ret, int max);

/* Zeroed is the default. The environment's WEFT_DNS ("127.0.0.1:5353,...") sets servers too. */
struct weft_resolver_opts {
    const char *servers;      /* "ip:port,ip:port"; NULL: WEFT_DNS, else /etc/resolv.conf */
    weft_dur try_timeout;     /* first try's patience; 0: 2 s; doubles with each round */
    int tries;                /* 0: 3 */
    uint32_t cache_max;       /* names kept; 0: 10,000 */
};
/** weft_resolver_configure - set the process's resolver and forget what it knew. Queries under way end as they were. May park.
 * Returns 0, WEFT_EADDR (servers), WEFT_EDNS or WEFT_ENOMEM. */
WEFT_API WEFT_PARKS weft_err weft_resolver_configure(const struct weft_resolver_opts *opts);

/* ---- any descriptor ---- */

/**
 * weft_fd_wait - park until a descriptor is ready.
 *
 * @fd       anything poll(2) takes: socket, pipe, eventfd, terminal. A regular file is ready at once.
 * @mask     WEFT_READ, WEFT_WRITE or both.
 *
 * Returns   the directions that are ready (error and hang-up count as both); WEFT_ECANCELED, WEFT_EDEADLINE; -EBADF.
 * Limits    do not close fd meanwhile. Several goroutines may wait on one fd.
 * Costs     one poll(2) when ready, four system calls when it has to wait.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
int weft_fd_wait(weft_ctx *ctx, int fd, int mask);

#endif
