/*
 * charset.h - the encoding of a page, and its bytes as UTF-8.
 */
#ifndef CRAWL_CHARSET_H
#define CRAWL_CHARSET_H
#include "../base/text.h"
#include <lexbor/encoding/base.h>

/**
 * charset_find - what encoding a page is in: byte order mark, then the Content-Type header, then <meta> within the first
 * 1,024 bytes, then UTF-8.
 *
 * @content_type  the header's value or NULL.
 * @ret_skip      bytes of the byte order mark.
 *
 * Source    WHATWG HTML "determining the character encoding". Unlike it, the last resort is UTF-8, not windows-1252.
 */
lxb_encoding_t charset_find(const char *content_type, const char *body, size_t len, size_t *ret_skip);

/** charset_decode - append the bytes as UTF-8; what cannot be decoded becomes U+FFFD. */
void charset_decode(lxb_encoding_t encoding, const char *body, size_t len, struct text *out);

#endif
