/*
 * strerror.c - weft_err in words.
 *
 * Role    One table for the WEFT_E* codes, the C library for -errno. Layer 0.
 */
#include <string.h>
#include <weft/base.h>

static const char *const err_text[] = {
    [-5001 - WEFT_ECANCELED] = "context canceled",
    [-5001 - WEFT_EDEADLINE] = "deadline exceeded",
    [-5001 - WEFT_ECLOSED] = "closed",
    [-5001 - WEFT_EBUSY] = "in use by another goroutine",
    [-5001 - WEFT_ENOMEM] = "out of memory",
    [-5001 - WEFT_EADDR] = "malformed address",
    [-5001 - WEFT_ENETWORK] = "unknown network",
    [-5001 - WEFT_ENOHOST] = "no such host",
    [-5001 - WEFT_EDNS] = "name servers did not answer",
    [-5001 - WEFT_ETLS] = "TLS failure",
    [-5001 - WEFT_ECERT] = "certificate not accepted",
    [-5001 - WEFT_EPROTO] = "protocol violation by the peer",
    [-5001 - WEFT_ETOOBIG] = "limit exceeded",
    [-5001 - WEFT_EREDIRECT] = "too many redirects",
    [-5001 - WEFT_EEOF] = "unexpected end of stream",
    [-5001 - WEFT_EUNSUPPORTED] = "not supported",
    [-5001 - WEFT_EDENIED] = "refused by policy",
    [-5001 - WEFT_EINVAL] = "invalid argument",
    [-5001 - WEFT_ELIMIT] = "limit reached",
};

const char *weft_strerror(weft_err err)
{
    if (err >= 0)
        return "ok";
    if (err <= -5001 && (size_t)(-5001 - err) < sizeof err_text / sizeof *err_text)
        return err_text[-5001 - err];
    if (err > -4096) {
        const char *s = strerrordesc_np(-err); /* static, no locale, any thread */
        return s ? s : "unknown error";
    }
    return "unknown error";
}
