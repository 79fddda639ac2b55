/*
 * weft/base.h - what every other header needs: export marks, errors, time units, errno.
 *
 * Source  POSIX errno; Go time.Duration. Layer 0 of the public headers, includes the C library only.
 */
#ifndef WEFT_BASE_H
#define WEFT_BASE_H
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma GCC system_header

#ifdef __cplusplus
#error "weft is a C library: its typed macros use _Static_assert, _Generic and GNU C"
#endif

#define WEFT_VERSION "0.1.0"

/* Exported by libweft. */
#define WEFT_API __attribute__((visibility("default")))
/* May park the calling goroutine: it may wake on another thread (see errno below). */
#define WEFT_PARKS
/* The result says whether the call worked. */
#define WEFT_MUST_USE __attribute__((warn_unused_result))

/* 0 or more: success. Below 0: -errno, or one of the WEFT_E* codes below -4096. */
typedef int weft_err;

enum {
    WEFT_ECANCELED = -5001,   /* the context was cancelled */
    WEFT_EDEADLINE = -5002,   /* a deadline or timeout passed */
    WEFT_ECLOSED = -5003,     /* closed on this side */
    WEFT_EBUSY = -5004,       /* another goroutine is in the same direction of the same object */
    WEFT_ENOMEM = -5005,      /* memory is short */
    WEFT_EADDR = -5006,       /* malformed address, port or URL */
    WEFT_ENETWORK = -5007,    /* network name not known: "tcp", "unix", "udp" are */
    WEFT_ENOHOST = -5008,     /* DNS: the name does not exist or has no address */
    WEFT_EDNS = -5009,        /* DNS: the servers did not answer usefully */
    WEFT_ETLS = -5010,        /* TLS handshake or record failure; see weft_tls_error */
    WEFT_ECERT = -5011,       /* TLS: the peer's certificate was not accepted */
    WEFT_EPROTO = -5012,      /* the peer broke the protocol */
    WEFT_ETOOBIG = -5013,     /* a stated limit was passed */
    WEFT_EREDIRECT = -5014,   /* too many redirects */
    WEFT_EEOF = -5015,        /* the peer ended in the middle of something */
    WEFT_EUNSUPPORTED = -5016,/* not there yet: docs/status.md */
    WEFT_EDENIED = -5017,     /* refused by a policy the caller set */
    WEFT_EINVAL = -5018,      /* an argument out of its documented range */
    WEFT_ELIMIT = -5019       /* a configured limit is reached */
};

/**
 * weft_strerror - what a weft_err means, in words.
 *
 * @err      any value a weft call returned; positive values read "ok".
 *
 * Returns   a static string, never NULL. Does not park. Any thread.
 */
WEFT_API const char *weft_strerror(weft_err err);

/* Durations and instants, nanoseconds. Instants are monotonic (weft_now). Source: Go time. */
typedef int64_t weft_dur;
typedef int64_t weft_time;
#define WEFT_US ((weft_dur)1000)
#define WEFT_MS ((weft_dur)1000000)
#define WEFT_SEC ((weft_dur)1000000000)
#define WEFT_MIN ((weft_dur)60 * WEFT_SEC)

/*
 * errno: a goroutine may wake on another thread, and compilers keep the address that libc's
 * accessor gave before the park. This accessor is opaque and not const, so that each use asks anew.
 * Keep no &errno across a call that can park. The value is the goroutine's: 0 when it starts, and it survives a park.
 *
 * The same holds for a program's own thread-local variables, whose address compilers keep too: use one in a noinline function
 * that does not park, never on both sides of a WEFT_PARKS call. tools/parklint.py FILE.c finds both.
 */
WEFT_API int *weft_errno_location(void);
#undef errno
#define errno (*weft_errno_location())

#endif
