/*
 * tls_seen.c - chains of certificates that were verified a short while ago.
 *
 * Role    A client that meets the same server again without a session to resume need not go up the chain again: it does so
 *         once in ten minutes for each name, as browsers do. That the server has the key to its certificate is proved anew
 *         in each handshake, before and apart from this. Part of the SSL_CTX of clients that verify. Layer 4.
 *         docs/design/net.md has why that is the answer that going up the chain again would give.
 *
 * Invariant
 *   T9  an entry stands for: under this SSL_CTX's authorities and for this name, exactly these certificates, in this order,
 *       were found good less than ten minutes ago, by the clock on the wall and by weft_now. It counts only while each
 *       certificate of the chain that led to the authority is inside its dates, which each use looks at.
 *
 * Locks   lock: a spinlock over one entry.
 * Limits  1,024 entries, the newer of two of one place stays; chains of up to 8 certificates. A change of trust makes another
 *         SSL_CTX, so an empty table.
 * Source  SSL_CTX_set_cert_verify_callback(3); Chromium net/cert/caching_cert_verifier.h.
 */
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <time.h>
#include <weft/time.h>

#include "../../sys/sys.h"
#include "tls_int.h"

enum { SEEN_MAX = 1024, SEEN_CHAIN = 8, SEEN_DIGEST = 32 };
#define SEEN_SECONDS (WEFT__TLS_SEEN / WEFT_SEC)

struct seen_chain {
    unsigned char digest[SEEN_DIGEST];  /* [lock] of the name and the certificates */
    weft_time until;                    /* [lock] 0: none */
    time_t from, to;                    /* [lock] likewise, as time(2) counts, to not included */
};
struct weft__tls_seen {
    struct weft__lock lock;
    EVP_MD *sha;                        /* [const] */
    struct seen_chain chain[SEEN_MAX];
};

struct weft__tls_seen *weft__tls_seen_new(void)
{
    struct weft__tls_seen *s = weft__sys_alloc(sizeof *s);
    if (s)
        s->sha = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    if (s && s->sha)
        return s;
    weft__sys_free(s);
    return NULL;
}

void weft__tls_seen_free(struct weft__tls_seen *s)
{
    if (!s)
        return;
    EVP_MD_free(s->sha);
    weft__sys_free(s);
}

/* The digest of what is to be verified. False: too long, or no digest. */
static bool seen_digest(const struct weft__tls_seen *s, X509_STORE_CTX *v, const char *name, unsigned char *ret)
{
    unsigned char all[(SEEN_CHAIN + 1) * SEEN_DIGEST];
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(v);   /* with the server's own, the first */
    int n = sent ? sk_X509_num(sent) : 0;
    if (n < 1 || n > SEEN_CHAIN || sk_X509_value(sent, 0) != X509_STORE_CTX_get0_cert(v) ||
        !EVP_Digest(name, strlen(name), all, NULL, s->sha, NULL))
        return false;
    for (int i = 0; i < n; i++)
        if (!X509_digest(sk_X509_value(sent, i), s->sha, all + (i + 1) * SEEN_DIGEST, NULL))
            return false;
    return EVP_Digest(all, (size_t)(n + 1) * SEEN_DIGEST, ret, NULL, s->sha, NULL) == 1;
}

static struct seen_chain *seen_place(struct weft__tls_seen *s, const unsigned char *digest)
{
    return &s->chain[(digest[0] | (unsigned)digest[1] << 8) % SEEN_MAX];
}

time_t weft__tls_today(void)
{
    return time(NULL); /* lint: the clock that OpenSSL judges certificates by */
}

static bool seen_before(struct weft__tls_seen *s, const unsigned char *digest)
{
    struct seen_chain *c = seen_place(s, digest);
    weft_time now = weft_now();
    time_t date = weft__tls_today();
    weft__lock(&s->lock);
    bool is = c->until > now && date >= c->from && date < c->to && memcmp(c->digest, digest, SEEN_DIGEST) == 0;
    weft__unlock(&s->lock);
    return is;
}

/* As time(2) counts. False: not a date. */
static bool seen_date(const ASN1_TIME *t, time_t *ret)
{
    struct tm tm;
    if (!ASN1_TIME_to_tm(t, &tm))
        return false;
    *ret = timegm(&tm);
    return true;
}

bool weft__tls_dates_of(const X509 *cert, struct weft__tls_dates *ret)
{
    return seen_date(X509_get0_notBefore(cert), &ret->from) && seen_date(X509_get0_notAfter(cert), &ret->to);
}

bool weft__tls_chain_dates(X509_STORE_CTX *v, struct weft__tls_dates *ret)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(v);
    ret->from = weft__tls_today(); /* a clock that is put back: verified again */
    ret->to = ret->from + SEEN_SECONDS;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        struct weft__tls_dates d;
        if (!weft__tls_dates_of(sk_X509_value(chain, i), &d))
            return false;
        ret->from = d.from > ret->from ? d.from : ret->from;
        ret->to = d.to < ret->to ? d.to : ret->to;
    }
    return sk_X509_num(chain) > 0;
}

/* For how long a chain that was just verified may stand for itself: c's times. False: not at all. */
static bool seen_limits(X509_STORE_CTX *v, struct seen_chain *c)
{
    struct weft__tls_dates d;
    c->until = weft_now() + WEFT__TLS_SEEN;
    if (!weft__tls_chain_dates(v, &d))
        return false;
    c->from = d.from;
    c->to = d.to;
    return true;
}

int weft__tls_seen_verify(X509_STORE_CTX *v, void *seen)
{
    struct weft__tls_seen *s = seen;
    SSL *ssl = X509_STORE_CTX_get_ex_data(v, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct weft__tls *tls = ssl ? weft__tls_of(ssl) : NULL;
    unsigned char digest[SEEN_DIGEST];
    bool known = tls && tls->key[0] && seen_digest(s, v, tls->key, digest);
    if (known && seen_before(s, digest)) {
        X509_STORE_CTX_set_error(v, X509_V_OK);
        return 1;
    }
    int ok = X509_verify_cert(v);
    struct seen_chain fresh;
    if (ok == 1 && known && seen_limits(v, &fresh)) {
        memcpy(fresh.digest, digest, SEEN_DIGEST);
        weft__lock(&s->lock);
        *seen_place(s, digest) = fresh;
        weft__unlock(&s->lock);
    }
    return ok;
}
