/*
 * tls_shared.c - what connections with equal settings share: OpenSSL's SSL_CTX (certificates, options) and the sessions.
 *
 * Role    A list of SSL_CTX by the values of weft_tls_config's fields, and per SSL_CTX a table of sessions by
 *         "name:port". Near tls_conn.c. Layer 4.
 *
 * Invariants
 *   T2  An entry of the list has one reference on its SSL_CTX; each SSL another. The session table belongs to the SSL_CTX
 *       (its ex_data) and is freed with it.
 *   T3  A session is offered only under the SSL_CTX and the name that it was made under: a certificate that was not
 *       verified (insecure) is never the base of a resumption that counts as verified.
 *
 * Locks   shared.lock: a goroutine mutex, held while files are read. sessions->lock: a spinlock over four slots.
 * Limits  64 combinations, the oldest goes; 4,096 sessions each, 4 slots a key: a fifth key of a set displaces one.
 * Failure WEFT_ECERT (a file does not hold what it should), -ENOENT and others (a file cannot be read), WEFT_ENOMEM.
 * Source  SSL_CTX_sess_set_new_cb(3), SSL_CTX_set_alpn_select_cb(3).
 */
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "../../sys/sys.h"
#include "tls_int.h"

enum { TLS_SHARED_MAX = 64, TLS_SETS = 1024, TLS_WAYS = 4 };

struct tls_session {
    char *key;                          /* [lock] malloc'ed */
    SSL_SESSION *session;               /* [lock] with a reference */
};
struct tls_sessions {
    struct weft__lock lock;
    uint32_t turn;                      /* [lock] which way is displaced next */
    struct tls_session slot[TLS_SETS][TLS_WAYS];
};

/* Per SSL_CTX: the ALPN list in wire form, and sessions. */
struct tls_extra {
    struct tls_sessions *sessions;      /* [const] NULL on a server */
    unsigned alpn_len;                  /* [const] */
    unsigned char alpn[128];            /* [const] */
};

static struct {
    weft_mutex lock;
    struct { char *key; SSL_CTX *ctx; } entry[TLS_SHARED_MAX];
    uint32_t count, next;
    bool ready;
    int ctx_index, ssl_index;           /* ex_data places; [const] once ready */
} shared;

void weft__tls_queue_text(char *ret, size_t n)
{
    unsigned long e = ERR_peek_last_error();
    const char *words = e ? ERR_reason_error_string(e) : NULL;
    snprintf(ret, n, "%s", words ? words : "TLS failure");
}

/* ---- sessions ---- */

static struct tls_session *tls_set_of(struct tls_sessions *s, const char *key)
{
    uint32_t h = 2166136261u;
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 16777619u;
    return s->slot[h % TLS_SETS];
}

SSL_SESSION *weft__tls_session_get(SSL_CTX *ctx, const char *key)
{
    struct tls_extra *x = SSL_CTX_get_ex_data(ctx, shared.ctx_index);
    SSL_SESSION *found = NULL;
    if (!x->sessions || !*key)
        return NULL;
    struct tls_session *set = tls_set_of(x->sessions, key);
    weft__lock(&x->sessions->lock);
    for (int i = 0; i < TLS_WAYS && !found; i++)
        if (set[i].key && strcmp(set[i].key, key) == 0 && SSL_SESSION_up_ref(set[i].session))
            found = set[i].session;
    weft__unlock(&x->sessions->lock);
    return found;
}

/* A session has come: keep it instead of the last one of its key. 1: the reference is ours now. */
static int tls_session_new(SSL *ssl, SSL_SESSION *session)
{
    struct weft__tls *tls = SSL_get_ex_data(ssl, shared.ssl_index);
    struct tls_extra *x = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), shared.ctx_index);
    if (!tls || !tls->key[0] || !x->sessions || !SSL_SESSION_is_resumable(session))
        return 0;
    char *key = strdup(tls->key);
    if (!key)
        return 0;
    struct tls_session *set = tls_set_of(x->sessions, key), old;
    int at = -1;
    weft__lock(&x->sessions->lock);
    for (int i = 0; i < TLS_WAYS; i++)
        if (!set[i].key || strcmp(set[i].key, key) == 0)
            at = at < 0 || set[i].key ? i : at;
    if (at < 0)
        at = (int)(x->sessions->turn++ % TLS_WAYS);
    old = set[at];
    set[at] = (struct tls_session){key, session};
    weft__unlock(&x->sessions->lock);
    weft__sys_free(old.key);
    SSL_SESSION_free(old.session);
    return 1;
}

static void tls_extra_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    struct tls_extra *x = ptr;
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    if (!x)
        return;
    for (int i = 0; x->sessions && i < TLS_SETS * TLS_WAYS; i++) {
        struct tls_session *s = &x->sessions->slot[i / TLS_WAYS][i % TLS_WAYS];
        weft__sys_free(s->key);
        SSL_SESSION_free(s->session);
    }
    weft__sys_free(x->sessions);
    weft__sys_free(x);
}

void weft__tls_link(SSL *ssl, struct weft__tls *tls)
{
    SSL_set_ex_data(ssl, shared.ssl_index, tls);
}

/* ---- ALPN ---- */

/* "h2,http/1.1" to length-prefixed. False: too long or an empty name. */
static bool tls_alpn_wire(const char *text, struct tls_extra *x)
{
    while (text && *text) {
        size_t n = strcspn(text, ",");
        if (n == 0 || n > 31 || x->alpn_len + n + 1 > sizeof x->alpn)
            return false;
        x->alpn[x->alpn_len++] = (unsigned char)n;
        memcpy(x->alpn + x->alpn_len, text, n);
        x->alpn_len += (unsigned)n;
        text += n + (text[n] == ',');
    }
    return true;
}

static int tls_alpn_choose(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                           unsigned in_len, void *arg)
{
    struct tls_extra *x = arg;
    unsigned char *chosen;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_len, x->alpn, x->alpn_len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK; /* go on without, as a server without ALPN does */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- making an SSL_CTX ---- */

static weft_err tls_readable(const char *path)
{
    return path && access(path, R_OK) != 0 ? -errno : 0;
}

static weft_err tls_load_trust(SSL_CTX *ctx, const struct weft_tls_config *c)
{
    if (!c->ca_file && !c->ca_dir)
        return SSL_CTX_set_default_verify_paths(ctx) ? 0 : WEFT_ECERT;
    return SSL_CTX_load_verify_locations(ctx, c->ca_file, c->ca_dir) ? 0 : WEFT_ECERT;
}

static weft_err tls_load_own(SSL_CTX *ctx, const struct weft_tls_config *c)
{
    if (!c->cert_file)
        return 0;
    return SSL_CTX_use_certificate_chain_file(ctx, c->cert_file) == 1 &&
                   SSL_CTX_use_PrivateKey_file(ctx, c->key_file, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ctx) == 1
               ? 0
               : WEFT_ECERT;
}

/* Options that do not need files. */
static weft_err tls_set_up(SSL_CTX *ctx, const struct weft_tls_config *c, bool server, struct tls_extra *x)
{
    int min = c->min_version ? c->min_version : WEFT_TLS_1_2;
    if (min < WEFT_TLS_1_2 || !SSL_CTX_set_min_proto_version(ctx, min) || !tls_alpn_wire(c->alpn, x))
        return WEFT_EINVAL;
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_read_ahead(ctx, 1);
    if (server) {
        static const unsigned char id[] = "weft";
        SSL_CTX_set_session_id_context(ctx, id, sizeof id);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets carry the state */
        if (x->alpn_len)
            SSL_CTX_set_alpn_select_cb(ctx, tls_alpn_choose, x);
        return 0;
    }
    SSL_CTX_set_verify(ctx, c->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (x->alpn_len && SSL_CTX_set_alpn_protos(ctx, x->alpn, x->alpn_len) != 0)
        return WEFT_EINVAL;
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (c->no_session_cache)
        return 0;
    SSL_CTX_sess_set_new_cb(ctx, tls_session_new);
    return (x->sessions = weft__sys_alloc(sizeof *x->sessions)) ? 0 : WEFT_ENOMEM;
}

/* Reads files: between weft_block_begin and _end. OpenSSL's error words are taken here, on the thread that has them. */
static SSL_CTX *tls_make(const struct weft_tls_config *c, bool server, struct weft__tls_fail *fail)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    struct tls_extra *x = weft__sys_alloc(sizeof *x);
    fail->err = ctx && x ? 0 : WEFT_ENOMEM;
    if (!fail->err && !SSL_CTX_set_ex_data(ctx, shared.ctx_index, x)) {
        weft__sys_free(x);
        fail->err = WEFT_ENOMEM;
    }
    if (!fail->err)
        fail->err = tls_set_up(ctx, c, server, x);
    if (!fail->err && !server)
        fail->err = tls_load_trust(ctx, c);
    if (!fail->err)
        fail->err = tls_load_own(ctx, c);
    if (!fail->err)
        return ctx;
    if (fail->err == WEFT_ECERT)
        weft__tls_queue_text(fail->text, sizeof fail->text);
    else
        snprintf(fail->text, sizeof fail->text, "%s", weft_strerror(fail->err));
    SSL_CTX_free(ctx);
    return NULL;
}

/* What is wrong with a config before anything is tried. */
static weft_err tls_config_bad(const struct weft_tls_config *c, bool server, struct weft__tls_fail *fail)
{
    const char *files[] = {c->ca_file, c->ca_dir, c->cert_file, c->key_file};
    if ((server && !c->cert_file) || !c->cert_file != !c->key_file) {
        snprintf(fail->text, sizeof fail->text, "cert_file and key_file go together; a server needs them");
        return fail->err = WEFT_EINVAL;
    }
    for (int i = 0; i < 4; i++) {
        if ((fail->err = tls_readable(files[i])) != 0) {
            snprintf(fail->text, sizeof fail->text, "%.150s: %s", files[i], weft_strerror(fail->err));
            return fail->err;
        }
    }
    return 0;
}

/* ---- the list ---- */

/* The values that matter, as one string; malloc'ed. */
static char *tls_key(const struct weft_tls_config *c, bool server)
{
    char *key = NULL;
    const char *ca = c->ca_file, *dir = c->ca_dir, *cert = c->cert_file, *pk = c->key_file, *alpn = c->alpn;
    if (asprintf(&key, "%d %x %d %d\n%s\n%s\n%s\n%s\n%s", server, (unsigned)c->min_version, c->no_session_cache,
                 c->insecure, ca ? ca : "", dir ? dir : "", cert ? cert : "", pk ? pk : "", alpn ? alpn : "") < 0)
        return NULL;
    return key;
}

static void shared_init(void)
{
    if (shared.ready)
        return;
    /* Goroutines may still be inside OpenSSL when main returns: it must not tear itself down under them. */
    OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
    shared.ctx_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, tls_extra_free);
    shared.ssl_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    shared.ready = true;
}

/* Put in, displacing the oldest when full. */
static void shared_keep(char *key, SSL_CTX *ctx)
{
    uint32_t i = shared.next++ % TLS_SHARED_MAX;
    weft__sys_free(shared.entry[i].key);
    SSL_CTX_free(shared.entry[i].ctx);
    shared.entry[i].key = key;
    shared.entry[i].ctx = ctx;
    if (shared.count < TLS_SHARED_MAX)
        shared.count++;
}

SSL_CTX *weft__tls_shared_get(const struct weft_tls_config *c, bool server, struct weft__tls_fail *fail)
{
    SSL_CTX *ctx = NULL;
    char *key = tls_key(c, server);
    if (!key) {
        fail->err = WEFT_ENOMEM;
        return NULL;
    }
    weft_mutex_lock(&shared.lock);
    shared_init();
    for (uint32_t i = 0; i < shared.count && !ctx; i++)
        if (strcmp(shared.entry[i].key, key) == 0)
            ctx = shared.entry[i].ctx;
    if (!ctx && tls_config_bad(c, server, fail) == 0) {
        weft_block_begin();
        ctx = tls_make(c, server, fail);
        weft_block_end();
        if (ctx) {
            shared_keep(key, ctx);
            key = NULL;
        }
    }
    if (ctx)
        SSL_CTX_up_ref(ctx);
    weft_mutex_unlock(&shared.lock);
    weft__sys_free(key);
    return ctx;
}

weft_err weft_tls_check(const struct weft_tls_config *config)
{
    static const struct weft_tls_config plain;
    struct weft__tls_fail fail = {0};
    if (!config)
        config = &plain;
    SSL_CTX *ctx = weft__tls_shared_get(config, config->cert_file != NULL, &fail);
    SSL_CTX_free(ctx);
    return ctx ? 0 : fail.err;
}
