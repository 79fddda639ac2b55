/*
 * h2guard.c - a peer that makes work and gets nothing done is told to calm down, and its connection ends.
 *
 * Role    Two purses of tokens per connection: one for streams that are reset, by the peer or because of it (rapid reset,
 *         CVE-2023-44487, CVE-2025-8671), one for frames that ask for attention and move no request on: PING, SETTINGS,
 *         PRIORITY, DATA that is empty or only padding (CVE-2019-9512, 9513, 9515, 9518). What nghttp2 skips unseen, as frames
 *         of unknown type, costs next to nothing. Heads have limits of their own: so many CONTINUATION frames (CVE-2024-27316), so many
 *         bytes once unpacked.
 * Near    h2session.c calls it for each frame. Layer 5.
 *
 * Limits  resets 500 and 100 a second, small frames 1,000 and 200 a second; requests and body give small tokens back. 16
 *         CONTINUATION frames. A clock is read only when a purse is empty.
 * Source  RFC 9113 10.5; the CVEs named above; Go net/http2.
 */
#include <weft/time.h>

#include "h2_int.h"

#define RESETS 500
#define RESETS_PER_S 100
#define SMALL 1000
#define SMALL_PER_S 200
#define CONTINUATIONS 16

static bool bucket_take(struct weft__h2_bucket *b, uint32_t cap, uint32_t per_s)
{
    if (b->at == 0) {
        b->at = weft_now();
        b->left = cap;
    }
    if (b->left == 0) {
        weft_time now = weft_now();
        uint64_t fresh = (uint64_t)(now - b->at) / (uint64_t)(WEFT_SEC / per_s);
        b->left = fresh < cap ? (uint32_t)fresh : cap;
        b->at = now;
    }
    if (b->left == 0)
        return false;
    b->left--;
    return true;
}

bool weft__h2_guard_reset(struct weft__h2 *c)
{
    if (!bucket_take(&c->resets, RESETS, RESETS_PER_S))
        c->calm = NGHTTP2_ENHANCE_YOUR_CALM;
    return !c->calm;
}

void weft__h2_guard_credit(struct weft__h2 *c)
{
    c->small.left += c->small.left < SMALL;
}

bool weft__h2_guard_frame(struct weft__h2 *c, const nghttp2_frame_hd *hd)
{
    bool small = hd->type == NGHTTP2_PING || hd->type == NGHTTP2_SETTINGS;
    switch (hd->type) {
    case NGHTTP2_HEADERS:
        c->continuations = c->bomb = 0;
        break;
    case NGHTTP2_CONTINUATION:
        if (++c->continuations > CONTINUATIONS)
            c->calm = NGHTTP2_ENHANCE_YOUR_CALM;
        break;
    case NGHTTP2_DATA:
        /* up to 256 bytes may be padding only; what is more gives its token back */
        small = (hd->length == 0 || (hd->flags & NGHTTP2_FLAG_PADDED && hd->length <= 256)) && !(hd->flags & NGHTTP2_FLAG_END_STREAM);
        break;
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_WINDOW_UPDATE:
    case NGHTTP2_GOAWAY:
        break;
    default:
        small = true;
    }
    if (small && !(hd->flags & NGHTTP2_FLAG_ACK && hd->type == NGHTTP2_SETTINGS) && !bucket_take(&c->small, SMALL, SMALL_PER_S))
        c->calm = NGHTTP2_ENHANCE_YOUR_CALM;
    return !c->calm;
}
