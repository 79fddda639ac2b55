/*
 * weft/http.h - HTTP: a client with a pool of connections, a server of HTTP/1.1 and HTTP/2, and a server of folders.
 *
 * Words   A *call* is one request as the program makes it, redirects included. A *response* owns its connection until
 *         weft_http_response_free. A *handler* answers one request of a server, in the connection's goroutine.
 * Differs from Go's net/http: a response must always be freed; its headers live as long as it does; a client speaks
 *         HTTP/2 only when told so; it decodes gzip, deflate and, where they were built in, Brotli and Zstandard; proxies of
 *         the environment are used only when asked for.
 * Parks   only calls marked WEFT_PARKS; the others return at once and are for whoever owns the object at that time.
 * Source  RFC 9110, 9112, 9113, 3986; Go net/http. Parsing is llhttp's, strict, and nghttp2's.
 */
#ifndef WEFT_HTTP_H
#define WEFT_HTTP_H
#include <weft/tls.h>

#pragma GCC system_header

/* One header field. Names are compared without regard to case. */
struct weft_http_field {
    const char *name, *value;
};

/* ------------------------------------------------------------------ client */

/* Keep-alive connections, per-host pools and defaults of its calls. Any number of goroutines may share one. */
typedef struct weft_http_client weft_http_client;
/* Cookies: given to a client, it keeps what servers set and sends it back. Any number of goroutines may share one. */
typedef struct weft_http_jar weft_http_jar;
/* What came back: status, headers, and a body still to be read. Belongs to one goroutine at a time. */
typedef struct weft_http_response weft_http_response;

/* What on_redirect answers, besides a negative weft_err. */
enum { WEFT_HTTP_FOLLOW = 0, WEFT_HTTP_KEEP = 1 };

/* When a client speaks HTTP/2: where https agrees on it; and over http too, without asking, so only to servers known for it. */
enum { WEFT_HTTP2_TLS = 1, WEFT_HTTP2_ALWAYS = 2 };

/* Zero in any field means its default. */
struct weft_http_client_opts {
    int idle_per_host_max;      /* idle connections kept per host: default 100; < 0: keep none, every call dials */
    int idle_max;               /* and in total: default 1000; the longest idle one goes first */
    int conns_per_host_max;     /* connections to one host at a time, in use or idle: default no limit; calls queue */
    weft_dur idle_timeout;      /* an idle connection is closed after this: default 90 s */
    weft_dur timeout;           /* a call, from weft_http_do to the end of its body: default 10 s; < 0: none */
    int redirects_max;          /* default 10; < 0: none is followed, the 3xx response is handed over */
    const char *user_agent;     /* default "weft/" WEFT_VERSION; "" sends none; copied */
    bool no_decode;             /* ask for no content coding and hand bodies over as they come */
    size_t head_bytes_max;      /* status line and headers of a response: default 64 KiB; more: WEFT_ETOOBIG */
    uint64_t body_bytes_max;    /* body after decoding: default no limit; more: WEFT_ETOOBIG while reading */
    /* The certificates to trust and the like for https; default: the system's. The struct is copied, its strings are
     * borrowed and outlive the client. server_name is filled in per host. */
    const struct weft_tls_config *tls;
    /* Cookies for the calls of this client: lent, it outlives the client. NULL: none. A Cookie field of a call wins. */
    weft_http_jar *jar;
    /* Where requests go first: "[http://|https://|socks5://|socks5h://][user:password@]host[:port]", ports 80, 443 and 1080. https
     * goes through an HTTP proxy by CONNECT, http on connections that its hosts share: for the limits above they are one host. An
     * https:// proxy is an HTTP one over TLS, trusted as tls says. With socks5 names are resolved here, with socks5h by it. Copied. */
    const char *proxy;
    const char *no_proxy;       /* hosts that are reached without it: "example.org,10.0.0.0/8,[::1],a.b:8080" or "*"; copied */
    bool proxy_from_env;        /* with proxy NULL: http_proxy, https_proxy, all_proxy, no_proxy of the environment */
    /* Asked for each address before it is dialled, after DNS, redirects included; false: not this one. When all are
     * refused the call fails with WEFT_EDENIED. Runs in the caller's goroutine and must not park. With a proxy it is the
     * proxy's addresses that are asked about. */
    bool (*allow)(const struct sockaddr *addr, void *arg);
    /* Asked before a redirect is followed, number count (from 1). WEFT_HTTP_FOLLOW: go on; WEFT_HTTP_KEEP: hand the
     * 3xx response over; a negative weft_err: fail with it. to_url is absolute, without fragment. May park. */
    int (*on_redirect)(int count, int status, const char *from_url, const char *to_url, void *arg);
    void *arg;                  /* for allow and on_redirect */
    int http2;                  /* default: HTTP/1.1 only; WEFT_HTTP2_TLS; WEFT_HTTP2_ALWAYS. One connection per host then,
                                 * which conns_per_host_max does not count */
};

/*
 * The next piece of a request's body: up to n bytes into ret_buf. Returns bytes, at least 1; 0 at the end; or a negative
 * weft_err, with which the call fails. ctx ends with the call's, and when the body is of no more use: who waits for something
 * heeds it. Runs in a goroutine of its own, while the answer is waited for and read; may park.
 */
typedef ssize_t weft_http_body_fn(weft_ctx *ctx, void *arg, void *ret_buf, size_t n);

/* One request to send. Zero in any field but url means its default. Everything is borrowed for the call only; but body_read
 * and body_arg, where the server answers before it has all of the body, until weft_http_response_free. */
struct weft_http_call {
    const char *method;                     /* default "GET" */
    const char *url;                        /* absolute, http or https; user:password@ is refused; a fragment is dropped */
    const struct weft_http_field *fields;   /* sent as given; Host, User-Agent, Accept-Encoding here win over ours; with
                                             * Accept-Encoding or Range of its own the call gets the body undecoded */
    size_t fields_len;
    const void *body;                       /* sent with Content-Length; may be sent again after a redirect 307/308 */
    size_t body_len;
    weft_http_body_fn *body_read;           /* instead of body: asked for the body piece by piece. Such a call is sent once,
                                             * on a fresh connection; a redirect 307/308 is handed over, not followed */
    void *body_arg;                         /* for body_read */
    int64_t body_bytes;                     /* what body_read will give in all, sent as Content-Length; fewer: the call
                                             * fails with WEFT_EEOF. Default: unknown, sent in chunks */
    bool expect_continue;                   /* with body_read: ask first (Expect: 100-continue). The body goes when the
                                             * server says so or says nothing for 1 s; not when it answers */
    /* Ask for another protocol on a connection of its own (Connection: Upgrade, Upgrade: this). An answer 101 is handed over
     * then, for weft_http_response_hijack; any other is as ever. With GET and no body; never HTTP/2. An HTTP proxy is passed by CONNECT. */
    const char *upgrade;
    weft_dur timeout;                       /* default: the client's; < 0: none */
    char *reterr_text;                      /* on failure: the reason in words, NUL-terminated, cut to reterr_size */
    size_t reterr_size;
    /* Fields behind the body, with body_read and no body_bytes, else WEFT_EINVAL; borrowed as body_arg. Names are looked at when the
     * call begins (as weft_http_reply_trailer's), values once body_read has returned 0: NULL is left out; control characters, or over
     * 16 KiB in all, fail the call as body_read would. A Trailer field that announces them is the caller's to add. */
    const struct weft_http_field *trailers;
    size_t trailers_len;
};

/* Where the time of the last hop went, ns. dns, connect and tls are 0 on a connection that was open already. */
struct weft_http_times {
    weft_dur dns;               /* looking the name up; 0 for an address */
    weft_dur connect;           /* TCP, and what a proxy wanted to know */
    weft_dur tls;               /* handshake */
    weft_dur first_byte;        /* from the request's first byte sent (on a kept connection: from the call's start) to the
                                 * response's first byte received */
    weft_dur total;             /* whole call so far, redirects included */
    bool reused;                /* the connection was open already */
};

/**
 * weft_http_client_new - make a client.
 *
 * @opts        NULL or zeroed: defaults.
 * @ret_client  the client; the caller frees it.
 *
 * Returns   0; WEFT_ENOMEM; WEFT_EINVAL.
 * Parks     never.
 * Source    Go http.Client and http.Transport.
 */
WEFT_API WEFT_MUST_USE
weft_err weft_http_client_new(const struct weft_http_client_opts *opts, weft_http_client **ret_client);

/**
 * weft_http_client_free - end a client and close its idle connections. NULL is fine.
 *
 * Responses that are still out keep working; the last of them frees what is left.
 */
WEFT_API void weft_http_client_free(weft_http_client *client);

/** weft_http_client_close_idle - close the connections that nobody uses now. Go CloseIdleConnections. */
WEFT_API void weft_http_client_close_idle(weft_http_client *client);

/**
 * weft_http_get - GET a URL; weft_http_do with a method, fields and a body.
 *
 * @ctx      cancels the call until its head is there; the body calls take their own. NULL: background.
 * @client   NULL: one with default options, shared by the process.
 * @url      absolute http or https URL.
 * @ret_resp the response after redirects, whatever its status; free it with weft_http_response_free.
 *
 * Returns   0 once status and headers have arrived, or a negative weft_err.
 * Errors    WEFT_EADDR (url), WEFT_EDEADLINE, WEFT_ECANCELED, WEFT_ENOHOST, WEFT_EDNS, WEFT_EDENIED (allow),
 *           WEFT_ETLS, WEFT_ECERT, WEFT_EPROTO (not HTTP, or framing that two readers may read differently),
 *           WEFT_ETOOBIG (headers), WEFT_EREDIRECT (more than redirects_max), WEFT_EEOF (ended inside the head),
 *           WEFT_EUNSUPPORTED (a redirect to another scheme), -ECONNREFUSED and others as the kernel gave them.
 * Parks     until the head of the last response is there.
 * Limits    An idempotent call (GET HEAD PUT DELETE OPTIONS TRACE) whose pooled connection turns out to be dead before
 *           a byte of response is sent once more on a fresh one. 301, 302, 303 turn POST into GET; a body is repeated
 *           for 307 and 308. Authorization and Cookie fields are dropped when a redirect leaves the host.
 * Costs     one write and, for a small response, one read on a pooled connection; no allocation once warm. While it
 *           waits for the answer a call holds no buffer.
 * Source    Go http.Client Get, Do.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_http_get(weft_ctx *ctx, weft_http_client *client, const char *url, weft_http_response **ret_resp);
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_http_do(weft_ctx *ctx, weft_http_client *client, const struct weft_http_call *call,
                      weft_http_response **ret_resp);

/** weft_http_status, weft_http_version - the status, 100 .. 999; the version: 10, 11 or 20 for HTTP/1.0, 1.1 and 2. */
WEFT_API int weft_http_status(const weft_http_response *resp);
WEFT_API int weft_http_version(const weft_http_response *resp);

/**
 * weft_http_header - value of the first header field of that name; NULL if there is none.
 *
 * Without leading and trailing blanks, NUL-terminated (a field with a NUL inside is refused), bytes as they came.
 * Content-Encoding and Content-Length are as sent, also when the body is decoded. Lives as long as the response.
 */
WEFT_API const char *weft_http_header(const weft_http_response *resp, const char *name);
/** weft_http_header_at - field number i in the order received; false past the last. */
WEFT_API bool weft_http_header_at(const weft_http_response *resp, size_t i, struct weft_http_field *ret_field);

/**
 * weft_http_trailer - value of the first field of that name behind a chunked body; NULL if there is none.
 *
 * There once the body has been read to its end. weft_http_trailer_at: number i in the order received, false past the
 * last. Live as long as the response. Names and values together at most 16 KiB; more: WEFT_EPROTO from the body.
 */
WEFT_API const char *weft_http_trailer(const weft_http_response *resp, const char *name);
/** weft_http_trailer_at - trailer number i; returns false past the last. */
WEFT_API bool weft_http_trailer_at(const weft_http_response *resp, size_t i, struct weft_http_field *ret_field);

/** weft_http_content_length - bytes of the body on the wire as the header says; -1 if it does not. */
WEFT_API int64_t weft_http_content_length(const weft_http_response *resp);
/** weft_http_url - the URL that answered, after redirects. weft_http_redirects - how many there were. */
WEFT_API const char *weft_http_url(const weft_http_response *resp);
WEFT_API int weft_http_redirects(const weft_http_response *resp);
/** weft_http_times - durations of the call so far. */
WEFT_API void weft_http_times(const weft_http_response *resp, struct weft_http_times *ret_times);
/** weft_http_wire_bytes - bytes read from the connection for the last hop so far: head, framing and coded body. */
WEFT_API uint64_t weft_http_wire_bytes(const weft_http_response *resp);
/** weft_http_error_text - why the last body call of this response failed, in words; "" if none did. */
WEFT_API const char *weft_http_error_text(const weft_http_response *resp);

/**
 * weft_http_decoded - does the body come as it is meant to be read: coded in no way, or decoded?
 *
 * Returns   false when it has a Content-Encoding that is not undone: an unknown one, or one that the caller sees to itself;
 *           the same before and after the body was read.
 * Parks     never.
 */
WEFT_API bool weft_http_decoded(const weft_http_response *resp);

/**
 * weft_http_body_next - the next piece of the body, decoded, without a copy.
 *
 * @ctx       cancels the wait.
 * @ret_piece start of the piece; valid until the next call on resp.
 *
 * Returns   bytes in the piece, at least 1; 0 at the end; or a negative weft_err, the same again from then on.
 * Errors    WEFT_EEOF (ended early), WEFT_ETOOBIG (body_bytes_max), WEFT_EPROTO (bad chunk or coding), WEFT_EDEADLINE
 *           (the call's timeout), WEFT_ECANCELED, and those of the connection.
 * Parks     until there is something.
 * Limits    gzip, deflate, br, zstd (the last two where they were built in) and up to three of them one inside the other
 *           are decoded; a body with any other is handed over as it comes: see the field. What was decoded before a fault
 *           comes first, then the error.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_http_body_next(weft_ctx *ctx, weft_http_response *resp, const void **ret_piece);

/**
 * weft_http_body_read - copy what is there of the body, decoded, at least one byte.
 *
 * @ctx      cancels the wait.
 * @ret_buf  room for len bytes.
 *
 * Returns   bytes, 1 .. len; 0 at the end; or a negative weft_err as weft_http_body_next.
 * Parks     as weft_http_body_next.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_http_body_read(weft_ctx *ctx, weft_http_response *resp, void *ret_buf, size_t len);

/**
 * weft_http_body_read_all - the rest of the body in memory.
 *
 * @max      more than this: WEFT_ETOOBIG, and nothing is handed over. 0 means no limit but body_bytes_max.
 * @ret_buf  malloc'ed, one NUL byte behind the end; the caller frees it. Never NULL on success.
 * @ret_len  bytes without that NUL.
 *
 * Returns   0, or a negative weft_err as weft_http_body_next, or WEFT_ENOMEM.
 * Parks     until the whole body has come.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_http_body_read_all(weft_ctx *ctx, weft_http_response *resp, size_t max, char **ret_buf, size_t *ret_len);

/**
 * weft_http_response_free - end a response. NULL is fine.
 *
 * The connection goes back to the pool when the body was read to its end, or when the rest has arrived already; else
 * it is closed. Waits for the peer where it has answered in full and not yet taken all of the request's body: 50 ms at most.
 * Then body_read is asked no more; one that is in the middle of a piece is waited for.
 */
WEFT_API void weft_http_response_free(weft_http_response *resp);

/**
 * weft_http_response_hijack - take the connection of an answer 101 to a call with upgrade, to speak that protocol on it.
 *
 * @ret_conn  the caller's, to close; without deadlines. It counts no more among the client's.
 * @ret_read  bytes that were read already behind the answer, ret_len of them; they live as long as the response.
 * @ret_len   bytes, may be 0.
 *
 * Returns   0; WEFT_EINVAL (no such answer, or done before). Parks     never. The response is still to be freed.
 * Source    Go http.Response Body of a 101.
 */
WEFT_API WEFT_MUST_USE
weft_err weft_http_response_hijack(weft_http_response *resp, weft_conn **ret_conn, const void **ret_read, size_t *ret_len);

/* ---- cookies ---- */

/**
 * weft_http_jar_new - an empty cookie jar.
 *
 * @ret_jar  the jar; the caller frees it, after the clients that it was given to.
 *
 * Returns   0; WEFT_ENOMEM.
 * Parks     never; the first Domain attribute that any jar meets reads the system's list of public suffixes, a file.
 * Limits    4,096 bytes of name and value; 180 cookies a domain, 3,000 in all: the one unused for longest goes. Built
 *           without libpsl a jar takes every domain of two labels or more for a site's own.
 * Source    RFC 6265; of its revision the prefixes __Secure- and __Host-, and that Secure comes from https only. SameSite is
 *           not looked at: there is no page here that other sites' requests come from.
 */
WEFT_API WEFT_MUST_USE
weft_err weft_http_jar_new(weft_http_jar **ret_jar);
/** weft_http_jar_free - NULL is fine. */
WEFT_API void weft_http_jar_free(weft_http_jar *jar);
/** weft_http_jar_set - take a Set-Cookie value as from a response of url. Returns 0, also when the rules refuse it; errors of
 * the URL: WEFT_EADDR, WEFT_EUNSUPPORTED, WEFT_ENOMEM. Does not park. */
WEFT_API weft_err weft_http_jar_set(weft_http_jar *jar, const char *url, const char *set_cookie);
/** weft_http_jar_get - the Cookie value for a request to url into ret_buf, n bytes of room. Returns its length, 0 for none;
 * WEFT_ETOOBIG; errors of the URL. Does not park. */
WEFT_API int weft_http_jar_get(weft_http_jar *jar, const char *url, char *ret_buf, size_t n);
/**
 * weft_http_jar_load, _save - a jar from and to the text of a Netscape cookie file, as curl and wget have it.
 *
 * @text     NUL-terminated; lines that are none are passed over.
 * @ret_text malloc'ed, NUL-terminated; the caller frees it. Cookies without an end are in it, with the time 0.
 * @ret_len  bytes of it without that NUL.
 *
 * Returns   0; WEFT_ENOMEM. Parks     never.
 */
WEFT_API weft_err weft_http_jar_load(weft_http_jar *jar, const char *text);
WEFT_API WEFT_MUST_USE weft_err weft_http_jar_save(weft_http_jar *jar, char **ret_text, size_t *ret_len);

/* ------------------------------------------------------------------ server */

typedef struct weft_http_server weft_http_server;
typedef struct weft_http_request weft_http_request;  /* lives during the handler's call */
typedef struct weft_http_writer weft_http_writer;    /* likewise */

/* Answers one request. Runs in the connection's goroutine, with HTTP/2 in one of its own; may park. Returning ends the
 * response. A panic in it becomes a 500, or closes the connection (the stream) when the head is out already. */
typedef void weft_http_handler(weft_http_request *rq, weft_http_writer *w, void *arg);

/* Zero in any field but handler means its default. */
struct weft_http_server_opts {
    weft_http_handler *handler;
    void *arg;                   /* for handler */
    /* Told of a panic in handler, with its message. Default: message and stack go to stderr. The client sees a 500. */
    void (*on_panic)(weft_http_request *rq, const char *message, void *arg);
    size_t head_bytes_max;       /* request line and headers: default 64 KiB; more: 431 */
    uint64_t body_bytes_max;     /* request body: default 16 MiB; more: 413 */
    weft_dur head_timeout;       /* a request's first byte to the end of its headers: default 10 s */
    weft_dur idle_timeout;       /* between requests: default 60 s */
    weft_dur io_timeout;         /* one wait for the peer inside a body, either way: default 30 s */
    int conns_max;               /* connections at a time: default no limit; more wait in the kernel's queue */
    const struct weft_tls_config *tls; /* serve https with this certificate; copied, its strings borrowed */
    bool no_http2;               /* HTTP/1.1 only */
    int streams_max;             /* HTTP/2: requests of one connection at a time: default 250; more are refused */
    bool accept_silent;          /* accept connections as they come, not with their first bytes: a client that has said nothing yet
                                  * counts for conns_max and idle_timeout then, and shutdown closes it */
};

/**
 * weft_http_server_new - make a server. opts is copied.
 *
 * Returns   0; WEFT_EINVAL (no handler); WEFT_ENOMEM.
 */
WEFT_API WEFT_MUST_USE
weft_err weft_http_server_new(const struct weft_http_server_opts *opts, weft_http_server **ret_server);

/**
 * weft_http_serve - accept connections on ln and answer their requests until shutdown.
 *
 * HTTP/2 where the client begins with its preface, or both sides agree on "h2" in the handshake of TLS; a tls config with
 * an alpn of its own decides what is offered. Handlers need not know. Requests are answered at the same time then; one
 * goroutine may read a request while another one writes the answer.
 *
 * @ctx      cancelling it stops accepting, as shutdown does, without waiting for anybody.
 * @ln       listener; closed when this returns. Several may be served at a time. Without accept_silent a client that says nothing
 *           is accepted after 1 s; one that speaks first when the listener is closed gets -ECONNRESET, as one that was not accepted.
 *
 * Returns   0 after weft_http_server_shutdown or cancel; or an error as weft_accept gave it for good.
 * Parks     all the time. A goroutine per connection.
 * Source    Go http.Server Serve.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_http_serve(weft_ctx *ctx, weft_http_server *server, weft_listener *ln);

/**
 * weft_http_server_shutdown - stop: no new connection, idle ones closed, requests under way finish.
 *
 * @ctx      limits the wait; when it ends, the connections that are left are closed at once.
 *
 * Returns   0 when all ended by themselves; WEFT_EDEADLINE or WEFT_ECANCELED.
 * Parks     until no connection is left and no weft_http_serve accepts any more: the server may be freed then.
 * Source    Go http.Server Shutdown, then Close.
 */
WEFT_API WEFT_PARKS
weft_err weft_http_server_shutdown(weft_ctx *ctx, weft_http_server *server);

/** weft_http_server_free - after shutdown, or, without one, once each weft_http_serve has returned. NULL is fine. */
WEFT_API void weft_http_server_free(weft_http_server *server);

/* The request. Strings live until the handler returns. */
/** weft_http_request_ctx - the context of this request, lent: cancelled when the client goes away, resets the stream, or
 * shutdown closes the connection; ends with the handler. */
WEFT_API weft_ctx *weft_http_request_ctx(weft_http_request *rq);
/** weft_http_request_method - the method as it came: "GET". */
WEFT_API const char *weft_http_request_method(const weft_http_request *rq);
/** weft_http_request_target - as it came: "/a%20b?x=1". _path: without the query, not decoded. _query: behind '?', or NULL. */
WEFT_API const char *weft_http_request_target(const weft_http_request *rq);
WEFT_API const char *weft_http_request_path(const weft_http_request *rq);
WEFT_API const char *weft_http_request_query(const weft_http_request *rq);
/** weft_http_request_version - the version: 10, 11 or 20 for HTTP/1.0, 1.1 and 2. */
WEFT_API int weft_http_request_version(const weft_http_request *rq);
/** weft_http_request_header, _header_at - as weft_http_header and weft_http_header_at. */
WEFT_API const char *weft_http_request_header(const weft_http_request *rq, const char *name);
WEFT_API bool weft_http_request_header_at(const weft_http_request *rq, size_t i, struct weft_http_field *ret_field);
/** weft_http_request_content_length - 0 when there is no body, -1 when its length is not stated. */
WEFT_API int64_t weft_http_request_content_length(const weft_http_request *rq);
/**
 * weft_http_request_read - read of the request's body; sends "100 Continue" first where the client waits for it.
 *
 * @ret_buf  room for len bytes.
 *
 * Returns   bytes, 1 .. len; 0 at the end; WEFT_ETOOBIG past body_bytes_max; WEFT_EEOF, WEFT_EPROTO, WEFT_EDEADLINE and others.
 * Parks     until some have come.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_http_request_read(weft_http_request *rq, void *ret_buf, size_t len);
/**
 * weft_http_request_trailer - value of the first field of that name behind the request's body; NULL if there is none.
 *
 * There once weft_http_request_read has returned 0. Fields that may not come so late (framing, routing, credentials, content: what
 * weft_http_reply_trailer refuses) are left out. Names and values together at most 16 KiB; more: WEFT_EPROTO from the read.
 * Source    RFC 9110 6.5; Go http.Request Trailer.
 */
WEFT_API const char *weft_http_request_trailer(const weft_http_request *rq, const char *name);
/** weft_http_request_trailer_at - trailer number i of the request; returns false past the last. */
WEFT_API bool weft_http_request_trailer_at(const weft_http_request *rq, size_t i, struct weft_http_field *ret_field);

/* The answer. Without a call it is "200 OK" with an empty body. */
/** weft_http_reply_status - before the first byte of body; 200 .. 599. Later calls change nothing. */
WEFT_API void weft_http_reply_status(weft_http_writer *w, int status);
/**
 * weft_http_reply_field - add a header field, before the first byte of body. Copied.
 *
 * Content-Length may be given here or by weft_http_reply_length. Date, Connection and Transfer-Encoding are the server's;
 * Connection may say "close". HTTP/2 leaves Keep-Alive, Proxy-Connection and Upgrade out, and closes by GOAWAY.
 * Returns   0; WEFT_EINVAL (control characters, or too late); WEFT_ETOOBIG (fields past 7 KiB).
 */
WEFT_API weft_err weft_http_reply_field(weft_http_writer *w, const char *name, const char *value);
/**
 * weft_http_reply_inform - an answer 1xx before the answer: 103 (Early Hints) with Link fields, 102; as often as wanted.
 *
 * @status   102 .. 199: 100 is sent by weft_http_request_read, 101 by weft_http_reply_flush.
 * @fields   fields_len of them, lent for the call; they are sent at once and are none of the answer's: give those again.
 *
 * Returns   0, also where an HTTP/1.0 client is sent nothing; WEFT_EINVAL (status, control characters, a field about framing or the
 *           connection, or too late); WEFT_ETOOBIG (fields past 7 KiB); WEFT_ENOMEM; or as weft_http_reply_write.
 * Parks     while the send buffer is full.
 * Source    RFC 9110 15.2, RFC 8297; Go http.ResponseWriter WriteHeader, which sends the fields of the answer.
 */
WEFT_API WEFT_PARKS
weft_err weft_http_reply_inform(weft_http_writer *w, int status, const struct weft_http_field *fields, size_t fields_len);
/** weft_http_reply_length - bytes of body to come; less or more than that breaks the connection. Not needed for small bodies. */
WEFT_API void weft_http_reply_length(weft_http_writer *w, uint64_t len);
/**
 * weft_http_reply_write - send a piece of body; a body up to 8 KiB leaves with its head in one write at the end.
 *
 * @buf, len bytes; borrowed for the call.
 *
 * Larger ones without a length are sent in chunks (HTTP/1.0: until close). With HEAD nothing is sent. HTTP/2: up to 32 KiB
 * wait for the end; more is sent as the client's window allows.
 * Returns   0, or an error as weft_conn_write's when the peer is gone or too slow (WEFT_EDEADLINE): the handler may stop.
 * Parks     while the send buffer is full.
 */
WEFT_API WEFT_PARKS
weft_err weft_http_reply_write(weft_http_writer *w, const void *buf, size_t len);
/**
 * weft_http_reply_trailer - a field behind the body, for answers in chunks and of HTTP/2; until the handler returns. Copied.
 *
 * Returns   0; WEFT_EINVAL (bad text, or a field that may not come so late: framing, routing, content); WEFT_EUNSUPPORTED
 *           (HTTP/1.0, a stated length or no body: there is no place for it); WEFT_ETOOBIG (4 KiB in all); WEFT_ENOMEM.
 */
WEFT_API weft_err weft_http_reply_trailer(weft_http_writer *w, const char *name, const char *value);
/** weft_http_reply_sent_status, weft_http_reply_sent_bytes - the status as it stands, the bytes of body so far; for logs. */
WEFT_API int weft_http_reply_sent_status(const weft_http_writer *w);
WEFT_API uint64_t weft_http_reply_sent_bytes(const weft_http_writer *w);
/** weft_http_reply_flush - send now what is buffered. Returns and parks as weft_http_reply_write. */
WEFT_API WEFT_PARKS weft_err weft_http_reply_flush(weft_http_writer *w);
/** weft_http_reply_text - a whole small answer: status, content type, NUL-terminated text. Returns as weft_http_reply_write. */
WEFT_API WEFT_PARKS
weft_err weft_http_reply_text(weft_http_writer *w, int status, const char *content_type, const char *text);

/**
 * weft_http_hijack - take the connection over from the server, in a handler, to speak another protocol on it.
 *
 * Before it either nothing was written: then the answer is the caller's to write, too; or weft_http_reply_status with 101, fields,
 * and weft_http_reply_flush. The request's body has been read to its end. After it nothing can be replied. Until the handler
 * returns the connection counts for conns_max, a shutdown waits for it, and one whose time is up closes it.
 *
 * @ret_conn  the caller's, to close; without deadlines; it may outlive the handler.
 * @ret_read  bytes that were read already behind the request, ret_len of them; they live until the handler returns.
 * @ret_len   bytes, may be 0.
 *
 * Returns   0; WEFT_EUNSUPPORTED (HTTP/2); WEFT_EINVAL (too late, or the body is not read); or as weft_http_reply_write.
 * Parks     while answers to earlier requests leave.
 * Source    Go http.Hijacker.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_http_hijack(weft_http_writer *w, weft_conn **ret_conn, const void **ret_read, size_t *ret_len);

/* One server-sent event. Fields that are NULL or 0 are left out; nothing at all is a comment, to keep a connection alive. */
struct weft_http_event {
    const char *id, *event;      /* one line each */
    const char *data;            /* any number of lines */
    weft_dur retry;              /* the client's pause before it connects again */
};
/**
 * weft_http_sse_begin - answer with events from here on; weft_http_sse_send - one event, sent at once.
 *
 * The stream ends when the handler returns; the client then connects again, with the id of the last event in Last-Event-ID
 * (weft_http_request_header), unless it is answered 204. A handler that waits between events does so under weft_http_request_ctx,
 * which ends when the client is gone; an event without any field, every 15 s or so, keeps proxies from closing a quiet stream.
 *
 * Returns   0; WEFT_EINVAL (a line break in id or event); WEFT_ENOMEM; or as weft_http_reply_write: the client is gone.
 * Parks     while the send buffer is full.
 * Source    HTML Living Standard, server-sent events.
 */
WEFT_API WEFT_PARKS weft_err weft_http_sse_begin(weft_http_writer *w);
WEFT_API WEFT_PARKS weft_err weft_http_sse_send(weft_http_writer *w, const struct weft_http_event *event);

/* ------------------------------------------------------------------ mux */

typedef struct weft_http_mux weft_http_mux;

/**
 * weft_http_mux_new - choose handlers by method, host and path; weft_http_mux_handler is its handler, the mux the arg.
 *
 * Requests that nothing matches get 404, or 405 with Allow when only the method does not fit. Paths with "//", "." or ".."
 * are redirected to the clean one, and "/x" to "/x/" where only that is known (301, or 308 for methods other than GET).
 *
 * Returns   0; WEFT_ENOMEM. Source: Go 1.22 http.ServeMux.
 */
WEFT_API WEFT_MUST_USE weft_err weft_http_mux_new(weft_http_mux **ret_mux);
/** weft_http_mux_free - once no server uses it. NULL is fine. */
WEFT_API void weft_http_mux_free(weft_http_mux *mux);
WEFT_API weft_http_handler weft_http_mux_handler;

/**
 * weft_http_mux_handle - requests that match pattern are handler's. Before the mux is served.
 *
 * @pattern  "[METHOD ][HOST]/[PATH]": "/about", "GET /items/{id}", "example.org/files/{rest...}", "/exact/{$}". {x} takes
 *           one segment, {x...} all that is left; a path that ends in '/' takes everything below it, {$} only itself.
 *           GET takes HEAD as well. Of two patterns that match a request the more specific one has it. Copied.
 *
 * Returns   0; WEFT_EINVAL (not a pattern), -EEXIST (neither of it and an older one is more specific): see
 *           weft_http_mux_error; WEFT_ENOMEM.
 * Limits    4,096 bytes, 64 segments, 16 wildcards.
 */
WEFT_API weft_err weft_http_mux_handle(weft_http_mux *mux, const char *pattern, weft_http_handler *handler, void *arg);
/** weft_http_mux_error - why the last weft_http_mux_handle was refused, in words. */
WEFT_API const char *weft_http_mux_error(const weft_http_mux *mux);

/**
 * weft_http_mux_use - middleware: filter runs before the handlers of the mux, in the order added, and calls weft_http_next
 * where the rest is to happen; without that the request is answered by it. Before the mux is served.
 *
 * Returns   0; WEFT_EINVAL (no filter); WEFT_ENOMEM.
 */
WEFT_API weft_err weft_http_mux_use(weft_http_mux *mux, weft_http_handler *filter, void *arg);
/** weft_http_next - from middleware: the next one, or the handler. Once. */
WEFT_API WEFT_PARKS void weft_http_next(weft_http_request *rq, weft_http_writer *w);

/* Where the lines of an access log go. line is called by many goroutines at a time; text ends in a line feed and a NUL. */
struct weft_http_access_log {
    void (*line)(const char *text, size_t len, void *arg);
    void *arg;
};
/**
 * weft_http_access_log - middleware: a line for each request, once its handler has returned. Its arg is a
 * struct weft_http_access_log, or NULL for stderr.
 *
 * remote - - [date] "GET /path HTTP/1.1" status body-bytes milliseconds; status 500 when the handler panicked.
 */
WEFT_API weft_http_handler weft_http_access_log;

/** weft_http_request_remote - the client's address as text: bytes without the NUL, or an error. As weft_conn_remote. */
WEFT_API int weft_http_request_remote(const weft_http_request *rq, char *ret_buf, size_t n);
/** weft_http_request_value - what the wildcard {name} of the matched pattern stands for, decoded; "" if there is none. */
WEFT_API const char *weft_http_request_value(weft_http_request *rq, const char *name);
/** weft_http_request_pattern - the pattern that matched, as given; "" if none did. */
WEFT_API const char *weft_http_request_pattern(const weft_http_request *rq);

/* ------------------------------------------------------------------ files */

/**
 * weft_http_file_server - a handler's arg that serves a folder; weft_http_file_handler is its handler.
 *
 * @root     directory; opened now. No request leaves it: "..", "%2e%2e" and symlinks to the outside answer 404.
 * @ret_files  for weft_http_file_handler's arg; weft_http_files_free gives it back once no server uses it.
 *
 * GET and HEAD; "/x/" is x/index.html; a directory without slash is redirected to one with; Content-Type by suffix; ETag
 * and Last-Modified with If-Match, If-None-Match, If-(Un)Modified-Since, If-Range; byte ranges, up to 16.
 *
 * Returns   0; -ENOENT, -ENOTDIR and others of open(2); WEFT_ENOMEM.
 * Source    Go http.FileServer.
 */
typedef struct weft_http_files weft_http_files;
WEFT_API WEFT_MUST_USE weft_err weft_http_file_server(const char *root, weft_http_files **ret_files);
WEFT_API weft_http_handler weft_http_file_handler;
/** weft_http_files_list - whether a folder without index.html is answered with a page of its names. Default: 404. Before it is served. */
WEFT_API void weft_http_files_list(weft_http_files *files, bool on);
WEFT_API void weft_http_files_free(weft_http_files *files);

#endif
