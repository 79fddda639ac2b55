/*
 * http_int.h - what the files of src/http share: buffers, heads, bodies, URLs.
 *
 * A *buffer* is 32 KiB from a pool; who holds one has work under way, an idle connection has none. A *head* is a table of
 * offsets into the buffer that it arrived in. Layer 5.
 */
#ifndef WEFT_HTTP_HTTP_INT_H
#define WEFT_HTTP_HTTP_INT_H
#include <llhttp.h>
#include <weft/http.h>

#include "../base/assert.h"
#include "../base/lock.h"

/* ---- buffers: httpbuf.c ---- */

#define WEFT__HBUF_BYTES 32768   /* most pages in one read; memory that is not touched costs nothing */

struct weft__hbuf {
    struct weft__hbuf *next;   /* [own] free list */
    size_t cap;                /* [const] bytes of data; those of another size than the pool's go back to malloc */
    char data[];
};
/* cap at least the given one; 0 is the pool's size. NULL when memory is short. */
struct weft__hbuf *weft__hbuf_get(size_t cap);
void weft__hbuf_put(struct weft__hbuf *b);
/* A buffer twice as large with the first len bytes of *b, which is given back. False when memory is short. */
bool weft__hbuf_grow(struct weft__hbuf **b, size_t len);

/* Objects of one size that are used again: responses, exchanges, decoders. Keeps up to keep_max. */
struct weft__hpool {
    struct weft__lock lock;
    void *head;                /* [lock] linked through the first word */
    uint32_t len, keep_max;    /* [lock], [const] */
};
void *weft__hpool_get(struct weft__hpool *p);
/* False when the pool is full: the caller frees x. */
bool weft__hpool_put(struct weft__hpool *p, void *x);

/* ---- heads: head.c ---- */

struct weft__hfield {
    uint32_t name, name_len, value, value_len;   /* offsets into the buffer */
};
#define WEFT__HEAD_FIELDS 32

struct weft__head {
    llhttp_t p;                    /* first: callbacks find the head by it */
    struct weft__hbuf *buf;        /* bytes from buf->data on */
    uint32_t parsed;               /* bytes given to the parser */
    uint32_t end;                  /* once complete: offset of the first byte after the head */
    uint32_t target, target_len;   /* request target */
    uint32_t fields_len, fields_cap;
    bool complete, in_value, in_body, nomem, message_done;
    bool scanned, expects;         /* scanned: headscan.c cut it, and hosts and expects hold */
    uint32_t hosts, host_at;       /* Host fields; the place of the last one */
    struct weft__hfield *fields;   /* near, or malloc'ed when there are more */
    struct weft__hfield near[WEFT__HEAD_FIELDS];
    /* while a chunked body is decoded in place */
    char *out;
    uint64_t out_len;
    struct weft__trailers *trailers;   /* fields behind a chunked body; NULL: none came, or nobody keeps them */
    bool keep_trailers;                /* set behind weft__head_init by who wants them */
};
#define WEFT__TRAILERS_MAX 16384   /* bytes of names and values; more: the body is refused */

/* Trailers as text: name, NUL, value, NUL, and so on. */
struct weft__trailers {
    uint32_t len, cap, count;
    bool in_value;
    char text[];
};
/* One more, for HTTP/2. False: too many, or memory is short. */
bool weft__trailer_add(struct weft__head *h, const char *name, size_t nn, const char *value, size_t nv);
/* May a field of that name come behind a body (RFC 9110 6.5.1)? */
bool weft__trailer_allowed(const char *name);
/* Trailer number i; false past the last. */
bool weft__trailer_at(const struct weft__trailers *t, size_t i, struct weft_http_field *ret_field);

void weft__head_init(struct weft__head *h, llhttp_type_t type, struct weft__hbuf *buf);
void weft__head_done(struct weft__head *h);
/* Cut a whole request head of common form in buf->data[start .. len): headscan.c. False: the buffer is as it was, and
 * weft__head_init with weft__head_parse must do it. A head that was scanned needs no init. */
bool weft__head_scan(struct weft__head *h, struct weft__hbuf *buf, size_t start, size_t len);
/* The same for the head of a response that stands at the start of buf. */
bool weft__head_scan_response(struct weft__head *h, struct weft__hbuf *buf, size_t len);
/* H2: NULs behind names, values and target. */
void weft__head_terminate(struct weft__head *h);
/* Is s a token, as names of fields and methods are? */
bool weft__http_is_token(const char *s);
/* Parse buf->data[parsed .. len). 1: complete; 0: more is needed; WEFT_EPROTO, WEFT_ENOMEM. */
int weft__head_parse(struct weft__head *h, size_t len);
/* Why the parser refused, in words. */
const char *weft__head_reason(const struct weft__head *h);
const char *weft__head_find(const struct weft__head *h, const char *name);
bool weft__head_at(const struct weft__head *h, size_t i, struct weft_http_field *ret_field);
/* Is word one of the comma separated words of the value? Without regard to case. */
bool weft__http_has_word(const char *value, const char *word);
/* May name and value stand in a head as they are? */
bool weft__http_field_ok(const char *name, const char *value);
/* The same; their lengths when true. */
bool weft__http_field_cut(const char *name, const char *value, size_t *ret_name_len, size_t *ret_value_len);

/* ---- bodies on the wire: wirebody.c ---- */

enum weft__framing { WEFT__BODY_NONE, WEFT__BODY_LENGTH, WEFT__BODY_CHUNKED, WEFT__BODY_CLOSE };

/*
 * What is left of a message on its connection.
 *   W1  data[pos .. end) of buf has been read and not yet handed out.
 *   W2  done: nothing of this message is left; what is in pos .. end belongs to the next one.
 */
struct weft__wire {
    weft_conn *conn;
    struct weft__head *head;       /* its parser decodes chunks */
    struct weft__hbuf *buf;
    uint32_t pos, end;
    uint32_t base;                 /* bytes before it are the head's and stay */
    enum weft__framing framing;
    bool done, in_own_buf;         /* in_own_buf: buf is not the head's, to be given back */
    uint64_t left;                 /* LENGTH: bytes to come, those in the buffer included */
    uint64_t wire_bytes, plain_bytes;
    const char *why;               /* words for the last error */
    struct weft__h2_stream *h2;    /* HTTP/2: the body comes from there; else NULL */
};
/* The framing of a complete head's body. WEFT_EPROTO when it is one that readers could differ about. */
weft_err weft__wire_framing(struct weft__head *h, bool is_request, bool no_body, enum weft__framing *ret_framing,
                            uint64_t *ret_len);
/* Next piece, at most max bytes, in the buffer until the next call: bytes, 0 at the end, or an error. */
WEFT_PARKS ssize_t weft__wire_next(weft_ctx *ctx, struct weft__wire *w, size_t max, const char **ret_piece);
/* Straight to ret_buf when the buffer is empty and the framing is simple. As weft__wire_next. */
WEFT_PARKS ssize_t weft__wire_read(weft_ctx *ctx, struct weft__wire *w, void *ret_buf, size_t len);
/* Throws away what is in the buffer; true when that was the rest of the message. Does not park. */
bool weft__wire_skip_buffered(struct weft__wire *w);

/* ---- content coding: decode.c ---- */

#ifdef WEFT_HAVE_BROTLI
#define WEFT__CODING_BR ", br"
#else
#define WEFT__CODING_BR ""
#endif
#ifdef WEFT_HAVE_ZSTD
#define WEFT__CODING_ZSTD ", zstd"
#else
#define WEFT__CODING_ZSTD ""
#endif
/* What Accept-Encoding asks for. */
#define WEFT__CODINGS "gzip, deflate" WEFT__CODING_BR WEFT__CODING_ZSTD

struct weft__decoder;
/* Decoders for a Content-Encoding value; NULL when there is nothing to decode, or a coding that is not ours: then the body
 * is handed over as it comes. limit: bytes of the whole decoded body, 0 for none. 0 or WEFT_ENOMEM. */
weft_err weft__decoder_get(const char *value, uint64_t limit, struct weft__decoder **ret);
void weft__decoder_put(struct weft__decoder *d);
/* Decode the next of w into out: bytes (at least 1), 0 at the end, or an error; d->why has the words. */
WEFT_PARKS ssize_t weft__decoder_read(weft_ctx *ctx, struct weft__decoder *d, struct weft__wire *w, void *ret_buf, size_t len);
const char *weft__decoder_why(const struct weft__decoder *d);

/* ---- URLs: url.c ---- */

#define WEFT__URL_MAX 8192
#define WEFT__HOST_MAX 255   /* bytes of a host: who copies one has room for that and a NUL */

/* A URL cut into pieces: offsets into text, which is normal: lower-case scheme and host, no fragment, no user. */
struct weft__url {
    char *text;                    /* malloc'ed or near */
    uint16_t len;                  /* at most three times WEFT__URL_MAX, as all offsets here: escapes are written out */
    uint16_t port;
    uint16_t host, host_len;       /* IPv6 without brackets */
    uint16_t authority_len;        /* host and, unless it is the default, ":port", as in Host */
    uint16_t authority;
    uint16_t target;               /* path and query: the request target; never empty */
    bool https;
    char near[48];                 /* many; the others are malloc'ed: a call that waits holds one of these */
};
_Static_assert(3 * WEFT__URL_MAX < UINT16_MAX, "offsets of a URL");
/* Cut text[0 .. len), behind which a byte more can be read. WEFT_EADDR; WEFT_EUNSUPPORTED (another scheme);
 * WEFT_ENOMEM. ret_url is then untouched. */
weft_err weft__url_parse(struct weft__url *ret_url, const char *text, size_t len);
/* ref as found in a document at base. */
weft_err weft__url_resolve(struct weft__url *ret_url, const struct weft__url *base, const char *ref);
void weft__url_done(struct weft__url *u);
void weft__url_move(struct weft__url *to, struct weft__url *from);
/* RFC 3986 5.2: text of ref resolved against base into out; length or WEFT_EADDR (not absolute), WEFT_ETOOBIG. */
int weft__url_join(const char *base, const char *ref, char *out, size_t cap);

#endif
