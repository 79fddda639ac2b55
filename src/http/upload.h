/* upload.h - a request's body that is sent while its answer is read. Layer 5. */
#ifndef WEFT_HTTP_UPLOAD_H
#define WEFT_HTTP_UPLOAD_H
#include <weft/sync.h>

#include "client_int.h"

/* One under way; ends with weft__upload_end only. */
struct weft__upload {
    weft_ctx *ctx;                         /* [const] the sender's: ends with the call's, or with the upload */
    struct weft_http_response *r;          /* [const] whose it is; it stays until the sender is through */
    struct weft__body body;                /* [const] read NULL: from rest */
    weft_err (*send)(struct weft__upload *u, bool *ret_own);   /* [const] all of the body; *ret_own: the error is the reader's */
    void (*wake)(struct weft__upload *u, weft_err err);        /* [const] ends the wait for the answer, for that reason */
    weft_chan(char) over;                  /* a value once the sender is through */
    weft_mutex lock;
    const char *rest;                      /* [lock] memory that is still to be sent */
    size_t rest_len;                       /* [lock] */
    char *copy;                            /* [lock] where rest is, once it is ours; malloc'ed */
    weft_err err;                          /* [lock] why it failed */
    bool own;                              /* [lock] the reader failed, not the connection */
};

/* Send a body from a goroutine of its own, on r's connection; r->upload from then on. For HTTP/1 send and wake are NULL.
 * WEFT_ENOMEM. */
WEFT_PARKS weft_err weft__upload_start(weft_ctx *ctx, struct weft_http_response *r, const struct weft__body *body, const char *rest,
                                       size_t rest_len, weft_err (*send)(struct weft__upload *u, bool *ret_own),
                                       void (*wake)(struct weft__upload *u, weft_err err));
/* The call is to return before the body has gone: what memory is left of it is copied. 0 or WEFT_ENOMEM. */
WEFT_PARKS weft_err weft__upload_keep(struct weft_http_response *r);
/* Why it failed for a reason that the answer cannot tell, or 0. *ret_what: words for whose reason it is. */
WEFT_PARKS weft_err weft__upload_failed(const struct weft_http_response *r, const char **ret_what);
/* The end; r->upload is NULL then. With patient the last bytes are given a moment to go. True: all was sent. */
WEFT_PARKS bool weft__upload_end(struct weft_http_response *r, bool patient);

#endif
