/*
 * fuzz.h - what the fuzz targets share: checks, pieces of the input, a connection that exists in memory only.
 *
 * A target is one fuzz_NAME.c with LLVMFuzzerTestOneInput. It is built twice: with libFuzzer by `make fuzz`, and with
 * replay.c in every build, so that `make test` runs the seeds. Each input is one call; nothing of it may stay behind.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : fuzz_failed(#c, __FILE__, __LINE__))
_Noreturn void fuzz_failed(const char *what, const char *file, int line);

/* What is left of an input. */
struct fuzz_in {
    const uint8_t *p;
    size_t n;
};

/* The next byte; 0 at the end. */
static inline uint8_t fuzz_byte(struct fuzz_in *in)
{
    if (!in->n)
        return 0;
    in->n--;
    return *in->p++;
}

/* The next n bytes, or fewer, as a NUL-terminated text in a block of just that size: a read past its end is seen. */
static inline char *fuzz_text(struct fuzz_in *in, size_t n, size_t *ret_len)
{
    size_t len = n < in->n ? n : in->n;
    char *s = malloc(len + 1);
    CHECK(s);
    if (len)
        memcpy(s, in->p, len);
    s[len] = '\0';
    in->p += len;
    in->n -= len;
    if (ret_len)
        *ret_len = len;
    return s;
}

/* Up to the next stop byte, or to the end: as fuzz_text, without the stop byte. */
static inline char *fuzz_until(struct fuzz_in *in, char stop, size_t *ret_len)
{
    const uint8_t *at = in->n ? memchr(in->p, stop, in->n) : NULL;
    char *s = fuzz_text(in, at ? (size_t)(at - in->p) : in->n, ret_len);
    (void)fuzz_byte(in);
    return s;
}

/*
 * A connection in memory. Reads take from in, in pieces whose sizes follow from split; 0 is all that the reader has room
 * for. The end of in is the end of the connection. Writes vanish, and are counted. For code that calls weft_conn_read,
 * weft_conn_read_full and weft_conn_write only: the linker leads those here (--wrap), and other connections on.
 */
struct memconn {
    const uint8_t *in;
    size_t len, pos, written;
    uint32_t split;
};
/* One at a time; NULL ends it. */
weft_conn *memconn_use(struct memconn *m);

/* Whole exchanges with a listener of the process itself, on a socket. */
/* Sends len bytes in pieces as memconn's, ends the sending direction, and reads all that comes: malloc'ed. */
char *fuzz_exchange(const char *network, const char *addr, const uint8_t *bytes, size_t len, uint32_t split, size_t *ret_len);
/* The size of the next piece: 1 .. room. */
size_t fuzz_piece(uint32_t *split, size_t room);

#endif
