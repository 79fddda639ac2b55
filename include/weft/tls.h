/*
 * weft/tls.h - TLS over a connection: the same weft_conn_read, write, close afterwards.
 *
 * Certificates are verified unless the caller says otherwise. OpenSSL 3 does the work; no goroutine parks inside it and
 * no thread blocks in it, except while certificate files are read the first time. The HTTP client's direct connections shake hands of
 * TLS 1.3 by themselves, with OpenSSL's cryptography and verification, and by OpenSSL where that does not fit (docs/adr/0016).
 *
 * Source  Go crypto/tls; RFC 8446, 5246, 6066 (SNI), 7301 (ALPN), 6125 (names).
 */
#ifndef WEFT_TLS_H
#define WEFT_TLS_H
#include <weft/net.h>

#pragma GCC system_header

enum { WEFT_TLS_1_2 = 0x0303, WEFT_TLS_1_3 = 0x0304 };

/* What a server wants of its clients' certificates (Go tls.ClientAuthType, in its order). */
enum weft_tls_client_auth {
    WEFT_TLS_CLIENT_NONE,     /* none is asked for */
    WEFT_TLS_CLIENT_ASK,      /* asked for and not judged */
    WEFT_TLS_CLIENT_ANY,      /* any at all, not judged: the client has its key, no more */
    WEFT_TLS_CLIENT_VERIFY,   /* one that comes is verified by ca_file or ca_dir */
    WEFT_TLS_CLIENT_REQUIRE   /* must come, and is verified */
};

/* A certificate more: PEM chain and PEM private key. */
struct weft_tls_pair {
    const char *cert_file, *key_file;
};

/*
 * Zeroed is the default of everything but server_name. Read during the call only: may be on the stack. What is expensive
 * (certificates, sessions) is kept inside by the values of the fields up to `client_auth`, 64 combinations. Files are looked
 * at again once a second at most: when one has changed, new connections use its new content, and what cannot be loaded (a
 * certificate whose key is not there yet) leaves the old one in use. The system's store is read once.
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
    const struct weft_tls_pair *more; /* server: for names that cert_file does not carry: the first of these that does */
    int more_count;           /* 0 .. 256 */
    int client_auth;          /* server: enum weft_tls_client_auth; those that verify need ca_file or ca_dir */
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

/**
 * weft_tls_server - the other side; config needs cert_file and key_file.
 *
 * A client that offers protocols (ALPN) of which none is in config->alpn is refused, as in Go; one that offers none goes on
 * without. Sessions are resumed by tickets: nothing is kept here; their keys change daily and stay good for a week, also
 * when certificate files change.
 *
 * Returns   as weft_tls_client. Limit it: a peer that says nothing holds the caller until ctx or the deadline of conn ends it.
 * Parks     until done.
 * Source    Go tls.Server; RFC 7301 3.2.
 */
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
    bool peer_cert;           /* the peer has shown a certificate (also when resumed) */
    bool peer_verified;       /* and it was verified */
    const char *cipher;
    const char *server_name;  /* server: the name that the client asked for; NULL: none */
    char alpn[32];            /* "" when none */
};
/** weft_tls_state_get - 0, or WEFT_EINVAL when conn is not TLS. */
WEFT_API weft_err weft_tls_state_get(weft_conn *conn, struct weft_tls_state *ret_state);

/**
 * weft_tls_peer_subject - who the peer's certificate is for: "CN=client 7,O=Example" (RFC 2253).
 *
 * @n        bytes of room in ret_buf; the text is cut and ended like snprintf's.
 *
 * Returns   the text's whole length; 0 when the peer has shown no certificate; WEFT_EINVAL: conn is not TLS. Whether to
 *           believe it: peer_verified of weft_tls_state_get.
 */
WEFT_API int weft_tls_peer_subject(weft_conn *conn, char *ret_buf, size_t n);

/**
 * weft_tls_peer_cert - the peer's certificate itself, in DER.
 *
 * @n        bytes of room in ret_der; nothing is written when it does not fit.
 *
 * Returns   its whole length; 0 when the peer has shown none; WEFT_EINVAL: conn is not TLS; WEFT_ENOMEM.
 * Source    Go tls.ConnectionState PeerCertificates[0].Raw.
 */
WEFT_API ssize_t weft_tls_peer_cert(weft_conn *conn, void *ret_der, size_t n);

#endif
