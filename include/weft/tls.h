/*
 * weft/tls.h - TLS over a connection: the same weft_conn_read, write, close afterwards.
 *
 * Certificates are verified unless the caller says otherwise. OpenSSL 3 does the work; no goroutine parks inside it and
 * no thread blocks in it, except while certificate files are read the first time.
 *
 * Source  Go crypto/tls; RFC 8446, 5246, 6066 (SNI), 7301 (ALPN), 6125 (names).
 */
#ifndef WEFT_TLS_H
#define WEFT_TLS_H
#include <weft/net.h>

#pragma GCC system_header

enum { WEFT_TLS_1_2 = 0x0303, WEFT_TLS_1_3 = 0x0304 };

/*
 * Zeroed is the default of everything but server_name. Read during the call only: may be on the stack. What is expensive
 * (certificates, sessions) is kept inside by the values of the fields up to `insecure`, 64 combinations; files are read
 * once per process and combination, so a changed file needs a new path.
 */
struct weft_tls_config {
    const char *ca_file;      /* PEM bundle trusted instead of the system's store */
    const char *ca_dir;       /* hashed directory trusted instead of the system's store */
    const char *cert_file;    /* PEM chain: own certificate; a server needs one */
    const char *key_file;     /* PEM private key of cert_file */
    const char *alpn;         /* protocols offered (client) or accepted (server), best first: "h2,http/1.1" */
    int min_version;          /* 0: WEFT_TLS_1_2 */
    bool no_session_cache;    /* client: full handshakes only */
    bool insecure;            /* client: accept any certificate. For tests */
    const char *server_name;  /* client: DNS name (sent as SNI) or IP literal that the certificate must carry. NULL needs
                                 `insecure`, else WEFT_EINVAL */
};

/**
 * weft_tls_client - shake hands as the client and go on encrypted.
 *
 * @ctx      limits the handshake.
 * @conn     an open stream that nobody reads or writes now (else WEFT_EBUSY).
 * @config   see above; NULL is a zeroed one.
 *
 * Returns   0: *ret_conn takes conn over (it may be the same pointer): use and close only *ret_conn. On error conn stays
 *           the caller's, to close.
 * Errors    WEFT_ECERT (the certificate was not accepted), WEFT_ETLS, WEFT_EEOF, WEFT_EINVAL, WEFT_ECANCELED,
 *           WEFT_EDEADLINE, -ECONNRESET...; weft_tls_error(conn) has the words.
 * Parks     until done. Sessions are resumed by themselves, per server name and port.
 * Source    Go tls.Client, Conn.HandshakeContext.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_tls_client(weft_ctx *ctx, weft_conn *conn, const struct weft_tls_config *config, weft_conn **ret_conn);

/** weft_tls_server - the other side; config needs cert_file and key_file. Returns and parks as weft_tls_client. Go tls.Server. */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_tls_server(weft_ctx *ctx, weft_conn *conn, const struct weft_tls_config *config, weft_conn **ret_conn);

/** weft_tls_check - load what config names now. Returns 0, or what would fail later (-ENOENT, WEFT_ECERT, WEFT_EINVAL). */
WEFT_API WEFT_MUST_USE
weft_err weft_tls_check(const struct weft_tls_config *config);

/**
 * weft_tls_error - what went wrong last on this connection, for a person: "certificate has expired".
 *
 * Returns   text that lives until the next TLS failure or the end of conn; "" when nothing failed. Does not park.
 */
WEFT_API const char *weft_tls_error(const weft_conn *conn);

/* What was agreed. The texts live as long as the connection. */
struct weft_tls_state {
    int version;              /* WEFT_TLS_1_2, WEFT_TLS_1_3 */
    bool resumed;             /* no full handshake was needed */
    const char *cipher;
    char alpn[32];            /* "" when none */
};
/** weft_tls_state_get - 0, or WEFT_EINVAL when conn is not TLS. */
WEFT_API weft_err weft_tls_state_get(weft_conn *conn, struct weft_tls_state *ret_state);

#endif
