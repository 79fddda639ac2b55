/*
 * charset.c - which encoding a page has, and decoding it by lexbor.
 *
 * Role    Links are mostly ASCII, but a path with letters of another alphabet is requested as percent-encoded UTF-8,
 *         so the page is UTF-8 before its links are looked for.
 * Near    pagelinks.c reads the result; canon.c needs the encoding itself for queries.
 * Limits  <meta> is looked for in the first 1,024 bytes, as the standard says. UTF-16 declared by <meta> is UTF-8.
 * Failure an encoding of unknown name counts as not given.
 */
#include "charset.h"
#include "../base/mem.h"
#include <lexbor/encoding/encoding.h>
#include <lexbor/html/encoding.h>
#include <strings.h>

#define CHARSET_PRESCAN 1024
#define CHARSET_PIECE 4096

/* The value of "charset=" in a Content-Type, quotes dropped; NULL if there is none. */
static const char *charset_param(const char *content_type, size_t *ret_len)
{
    const char *p = content_type ? strcasestr(content_type, "charset") : NULL;
    if (!p)
        return NULL;
    p += strlen("charset");
    p += strspn(p, " \t");
    if (*p++ != '=')
        return NULL;
    p += strspn(p, " \t\"'");
    *ret_len = strcspn(p, " \t\"';,");
    return *ret_len ? p : NULL;
}

static lxb_encoding_t charset_meta(const char *body, size_t len)
{
    lxb_html_encoding_t em;
    lxb_encoding_t found = LXB_ENCODING_AUTO;
    if (lxb_html_encoding_init(&em) != LXB_STATUS_OK)
        mem_check(NULL);
    size_t name_len = 0;
    const lxb_char_t *data = (const lxb_char_t *)body;
    const lxb_char_t *name = lxb_html_encoding_prescan(&em, data, data + len, &name_len);
    if (name) {
        const lxb_encoding_data_t *d = lxb_encoding_data_by_pre_name(name, name_len);
        if (d)
            found = d->encoding;
    }
    lxb_html_encoding_destroy(&em, false);
    if (found == LXB_ENCODING_UTF_16LE || found == LXB_ENCODING_UTF_16BE)
        found = LXB_ENCODING_UTF_8;
    return found;
}

lxb_encoding_t charset_find(const char *content_type, const char *body, size_t len, size_t *ret_skip)
{
    *ret_skip = 0;
    if (len >= 3 && !memcmp(body, "\xef\xbb\xbf", 3)) {
        *ret_skip = 3;
        return LXB_ENCODING_UTF_8;
    }
    if (len >= 2 && (!memcmp(body, "\xff\xfe", 2) || !memcmp(body, "\xfe\xff", 2))) {
        *ret_skip = 2;
        return body[0] == '\xff' ? LXB_ENCODING_UTF_16LE : LXB_ENCODING_UTF_16BE;
    }
    size_t name_len;
    const char *name = charset_param(content_type, &name_len);
    const lxb_encoding_data_t *d = name ? lxb_encoding_data_by_pre_name((const lxb_char_t *)name, name_len) : NULL;
    if (d)
        return d->encoding;
    lxb_encoding_t meta = charset_meta(body, len < CHARSET_PRESCAN ? len : CHARSET_PRESCAN);
    return meta == LXB_ENCODING_AUTO ? LXB_ENCODING_UTF_8 : meta;
}

/* Append code points, with the decoder's U+FFFD already among them. */
static void charset_write(const lxb_codepoint_t *cps, size_t n, struct text *out)
{
    text_room(out, n * 4);
    for (size_t i = 0; i < n; i++) {
        lxb_char_t *end = (lxb_char_t *)out->p + out->len;
        int8_t w = lxb_encoding_encode_utf_8_single(NULL, &end, end + 4, cps[i]);
        if (w > 0)
            out->len += (size_t)w;
    }
    out->p[out->len] = 0;
}

void charset_decode(lxb_encoding_t encoding, const char *body, size_t len, struct text *out)
{
    const lxb_encoding_data_t *d = lxb_encoding_data(encoding);
    lxb_codepoint_t *cps = mem_check(malloc(CHARSET_PIECE * sizeof *cps));
    lxb_encoding_decode_t dec;
    const lxb_char_t *p = (const lxb_char_t *)body, *end = p + len;
    lxb_status_t status = LXB_STATUS_OK;

    if (!d || lxb_encoding_decode_init(&dec, d, cps, CHARSET_PIECE) != LXB_STATUS_OK)
        mem_check(NULL);
    (void)lxb_encoding_decode_replace_set(&dec, LXB_ENCODING_REPLACEMENT_BUFFER, LXB_ENCODING_REPLACEMENT_BUFFER_LEN);
    do {
        const lxb_char_t *before = p;
        status = d->decode(&dec, &p, end);
        size_t used = lxb_encoding_decode_buf_used(&dec);
        charset_write(cps, used, out);
        lxb_encoding_decode_buf_used_set(&dec, 0);
        if (p == before && !used)
            break;                         /* no progress: nothing more will come */
    } while (status == LXB_STATUS_SMALL_BUFFER);
    if (lxb_encoding_decode_finish(&dec) == LXB_STATUS_OK)
        charset_write(cps, lxb_encoding_decode_buf_used(&dec), out);
    free(cps);
}
