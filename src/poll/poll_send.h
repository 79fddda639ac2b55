/*
 * poll_send.h - many small sends in one system call: for src/http, where answers leave together.
 */
#ifndef WEFT_POLL_POLL_SEND_H
#define WEFT_POLL_POLL_SEND_H
#include <stddef.h>
#include <stdint.h>

enum { WEFT__SENDERS = 16, WEFT__SEND_MAX = 64 };

struct weft__sender;

/* The sender of that number, the caller's until it gives it back; or NULL: none can be had, or not now. Does not wait. */
struct weft__sender *weft__sender_take(unsigned which);
/* n bytes to be sent on a socket, WEFT__SEND_MAX times at most; all of it stays as it is until run. */
void weft__sender_add(struct weft__sender *s, int fd, const void *data, size_t n);
/* Tries all that was added, none of which waits: for each in its order the bytes that went, or -errno, -EAGAIN where nothing could. */
const int32_t *weft__sender_run(struct weft__sender *s);
void weft__sender_give(struct weft__sender *s);

#endif
