/*
 * tls_session.c - sessions that a client may resume, by "name:port".
 *
 * Role    A table for each SSL_CTX of clients, of which it is a part (ex_data). OpenSSL hands sessions in as they come
 *         (TLS 1.3: tickets after the handshake); tls_conn.c takes them out. Layer 4.
 *
 * Invariant
 *   T3  A session is offered only under the SSL_CTX and the name that it was made under: a certificate that was not
 *       verified (insecure) is never the base of a resumption that counts as verified. Nor is one that has expired since.
 *
 * Locks   sessions->lock: a spinlock over four slots.
 * Limits  4,096 sessions, 4 slots a set: a fifth key of a set displaces one.
 * Source  SSL_CTX_sess_set_new_cb(3); Go crypto/tls clientHandshake, loadSession: the same look at the dates.
 */
#include <string.h>

#include "../../sys/sys.h"
#include "tls_int.h"

enum { TLS_SETS = 1024, TLS_WAYS = 4 };

struct tls_session {
    char *key;                          /* [lock] malloc'ed */
    SSL_SESSION *session;               /* [lock] with a reference */
    struct weft__tls_dates dates;       /* [lock] of its server's certificate; all zero: it has none */
};
struct weft__tls_sessions {
    struct weft__lock lock;
    uint32_t turn;                      /* [lock] which way is displaced next */
    struct tls_session slot[TLS_SETS][TLS_WAYS];
};

struct weft__tls_sessions *weft__tls_sessions_new(void)
{
    return weft__sys_alloc(sizeof(struct weft__tls_sessions));
}

void weft__tls_sessions_free(struct weft__tls_sessions *s)
{
    for (int i = 0; s && i < TLS_SETS * TLS_WAYS; i++) {
        weft__sys_free(s->slot[i / TLS_WAYS][i % TLS_WAYS].key);
        SSL_SESSION_free(s->slot[i / TLS_WAYS][i % TLS_WAYS].session);
    }
    weft__sys_free(s);
}

static struct tls_session *session_set_of(struct weft__tls_sessions *s, const char *key)
{
    uint32_t h = 2166136261u;
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 16777619u;
    return s->slot[h % TLS_SETS];
}

/* T3: may a session stand for its server's certificate? As X509_cmp_timeframe, which would read the dates each time. */
static bool session_holds(SSL_CTX *ctx, struct weft__tls_dates d)
{
    if (SSL_CTX_get_verify_mode(ctx) == SSL_VERIFY_NONE)
        return true;
    time_t today = weft__tls_today();
    return today >= d.from && today < d.to;
}

SSL_SESSION *weft__tls_session_get(SSL_CTX *ctx, const char *key)
{
    struct weft__tls_sessions *s = weft__tls_extra_of(ctx)->sessions;
    struct weft__tls_dates dates = {0};
    SSL_SESSION *found = NULL;
    if (!s || !*key)
        return NULL;
    struct tls_session *set = session_set_of(s, key);
    weft__lock(&s->lock);
    for (int i = 0; i < TLS_WAYS && !found; i++)
        if (set[i].key && strcmp(set[i].key, key) == 0 && SSL_SESSION_up_ref(set[i].session)) {
            found = set[i].session;
            dates = set[i].dates;
        }
    weft__unlock(&s->lock);
    if (!found || session_holds(ctx, dates))
        return found;
    SSL_SESSION_free(found);   /* the session that the next handshake brings takes its place */
    return NULL;
}

/* The dates of a session's certificate: those of the session before it under this key, where it is the same object, as it is
 * after a resumption. Both are alive, so equal pointers are one certificate. */
static struct weft__tls_dates session_dates(struct weft__tls_sessions *s, const struct tls_session *set, const char *key,
                                            SSL_SESSION *session)
{
    struct weft__tls_dates d = {0};
    X509 *cert = SSL_SESSION_get0_peer(session);
    bool known = !cert;
    weft__lock(&s->lock);
    for (int i = 0; i < TLS_WAYS && !known; i++)
        if (set[i].key && strcmp(set[i].key, key) == 0 && SSL_SESSION_get0_peer(set[i].session) == cert) {
            d = set[i].dates;
            known = true;
        }
    weft__unlock(&s->lock);
    if (!known && !weft__tls_dates_of(cert, &d))
        d = (struct weft__tls_dates){0};
    return d;
}

/* A session has come: keep it instead of the last one of its key. 1: the reference is ours now. */
int weft__tls_session_new(SSL *ssl, SSL_SESSION *session)
{
    struct weft__tls *tls = weft__tls_of(ssl);
    struct weft__tls_sessions *s = weft__tls_extra_of(SSL_get_SSL_CTX(ssl))->sessions;
    if (!tls || !tls->key[0] || !s || !SSL_SESSION_is_resumable(session))
        return 0;
    char *key = strdup(tls->key);
    if (!key)
        return 0;
    struct tls_session *set = session_set_of(s, key), old;
    struct weft__tls_dates dates = session_dates(s, set, key, session);
    int at = -1;
    weft__lock(&s->lock);
    for (int i = 0; i < TLS_WAYS; i++)
        if (!set[i].key || strcmp(set[i].key, key) == 0)
            at = at < 0 || set[i].key ? i : at;
    if (at < 0)
        at = (int)(s->turn++ % TLS_WAYS);
    old = set[at];
    set[at] = (struct tls_session){key, session, dates};
    weft__unlock(&s->lock);
    weft__sys_free(old.key);
    SSL_SESSION_free(old.session);
    return 1;
}
