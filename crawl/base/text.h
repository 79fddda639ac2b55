/*
 * text.h - a growing byte string that is always NUL-terminated once something was added.
 *
 * A zeroed struct text is empty and ready. Memory ends by text_done; text_clear keeps it for the next use.
 */
#ifndef CRAWL_TEXT_H
#define CRAWL_TEXT_H
#include <stdbool.h>
#include <stddef.h>

struct text {
    char *p;      /* NULL while nothing was ever added */
    size_t len;   /* bytes in use, without the NUL */
    size_t cap;   /* bytes of memory */
};

/** text_room - make sure that n more bytes and a NUL fit. Ends the program when memory is short. */
void text_room(struct text *t, size_t n);
void text_add(struct text *t, const void *p, size_t n);
void text_adds(struct text *t, const char *s);
void text_addc(struct text *t, char c);
void text_addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** text_clear - empty; memory is kept, but not more than keep_max bytes (0: all of it). */
void text_clear(struct text *t, size_t keep_max);
void text_done(struct text *t);
/** text_str - the string, "" when empty. */
const char *text_str(const struct text *t);

/**
 * text_add_utf8 - append bytes as valid UTF-8: each maximal invalid sequence becomes U+FFFD.
 *
 * Source    Unicode 15, chapter 3.9, "Substitution of Maximal Subparts"; WHATWG Encoding.
 */
void text_add_utf8(struct text *t, const char *p, size_t n);

/**
 * text_utf8_step - length of the well-formed character at p, 1 .. 4; or minus the length of the ill-formed piece.
 *
 * @n        bytes that there are, at least 1.
 */
int text_utf8_step(const unsigned char *p, size_t n);

#endif
