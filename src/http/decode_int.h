/* decode_int.h - between decode.c (chains of decoders) and decodekinds.c (what each library wants). Layer 5. */
#ifndef WEFT_HTTP_DECODE_INT_H
#define WEFT_HTTP_DECODE_INT_H
#include "http_int.h"

#define WEFT__CODINGS_MAX 3

struct weft__decoder {
    void *next;                          /* pool link; first */
    const struct weft__coding *coding;
    struct weft__decoder *from;          /* where coded bytes come from; NULL: the wire */
    struct weft__hbuf *own;              /* with from: they come into this */
    const unsigned char *in;             /* D1 */
    size_t in_len;
    uint64_t out_bytes, limit;           /* limit 0: none */
    uint64_t in_left;                    /* bytes that may still come from the wire */
    bool begun;                          /* a byte has come */
    bool ended;                          /* the coding is at an end of its own */
    bool done;
    bool full;                           /* the last step used all the room */
    weft_err err;                        /* to be told once what came out before it has been handed over */
    const char *why;
};

/* A content coding. Its decoder begins with struct weft__decoder. */
struct weft__coding {
    const char *name;
    size_t size;
    struct weft__hpool *pool;
    bool (*make)(struct weft__decoder *d);    /* false: memory is short */
    void (*reset)(struct weft__decoder *d);   /* for another body */
    void (*end)(struct weft__decoder *d);     /* gives back what make took */
    /* Decodes of d->in into out, len bytes of room; all of in is used up when nothing came out. 0, or why not; then
     * d->why has words. */
    weft_err (*step)(struct weft__decoder *d, void *out, size_t len, size_t *ret_got);
};
extern const struct weft__coding *const weft__codings[];   /* gzip is first; NULL ends it */

#endif
