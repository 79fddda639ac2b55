/*
 * tls_shared.c - what connections with equal settings share: a list of SSL_CTX by the values of weft_tls_config's fields.
 *
 * Role    Finds the SSL_CTX of a config or has it made (tls_make.c), and again when one of its files has changed. Near
 *         tls_session.c, tls_ticket.c, tls_seen.c, which hang on it. Layer 4.
 *
 * Invariants
 *   T2  An entry of the list has one reference on its SSL_CTX; each SSL another. What hangs on the SSL_CTX (its ex_data) is
 *       freed with it, the keys of tickets once the last of the SSL_CTX that took them over is gone.
 *   T10 An entry's stamp was taken before its files were read: a file that changes meanwhile is seen as changed later.
 *
 * Files are looked at once a second at most, when a handshake asks for their entry. What cannot be loaded (a certificate
 * without its new key yet) leaves the entry as it was, and is tried again a second later.
 *
 * Locks   shared.lock: a goroutine mutex, held while files are read.
 * Limits  64 combinations, the oldest goes. The system's own store is read once. Of a ca_dir it is seen that files come, go or
 *         take another's place, not that one is written over.
 * Failure as tls_make.c.
 */
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <weft/time.h>

#include "../../sys/sys.h"
#include "../tls13/t13.h"
#include "tls_int.h"

enum { TLS_SHARED_MAX = 64 };

struct tls_entry {
    char *key;                          /* malloc'ed */
    SSL_CTX *ctx;
    uint64_t stamp;                     /* [T10] of the files and of ca_dir; 0 is possible too */
    weft_time looked;                   /* when the files were */
};
static struct {
    weft_mutex lock;
    struct tls_entry entry[TLS_SHARED_MAX];
    uint32_t count, next;
    bool ready;
    int ctx_index, ssl_index;           /* ex_data places; [const] once ready */
} shared;

struct weft__tls_extra *weft__tls_extra_of(SSL_CTX *ctx)
{
    return SSL_CTX_get_ex_data(ctx, shared.ctx_index);
}

void weft__tls_link(SSL *ssl, struct weft__tls *tls)
{
    SSL_set_ex_data(ssl, shared.ssl_index, tls);
}

struct weft__tls *weft__tls_of(SSL *ssl)
{
    return SSL_get_ex_data(ssl, shared.ssl_index);
}

static void extra_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    struct weft__tls_extra *x = ptr;
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    if (!x)
        return;
    weft__tls_sessions_free(x->sessions);
    weft__tls_seen_free(x->seen);
    weft__t13_shared_free(x->own);
    weft__tls_tickets_unref(x->tickets);
    for (int i = 0; i < x->more_len; i++)
        SSL_CTX_free(x->more[i]);
    weft__sys_free(x->more);
    weft__sys_free(x);
}

static void shared_init(void)
{
    if (shared.ready)
        return;
    /* Goroutines may still be inside OpenSSL when main returns: it must not tear itself down under them. */
    OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
    shared.ctx_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, extra_free);
    shared.ssl_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    shared.ready = true;
}

/* ---- the values of a config ---- */

/* The i-th of a config's strings, "" for none; NULL behind the last. */
static const char *key_text(const struct weft_tls_config *c, int i)
{
    const char *first[] = {c->ca_file, c->ca_dir, c->cert_file, c->key_file, c->alpn}, *text;
    if (i < 5)
        text = first[i];
    else if (i < 5 + 2 * c->more_count)
        text = (i - 5) % 2 ? c->more[(i - 5) / 2].key_file : c->more[(i - 5) / 2].cert_file;
    else
        return NULL;
    return text ? text : "";
}

/* The values that matter, as one string; malloc'ed. */
static char *shared_key(const struct weft_tls_config *c, bool server)
{
    const char *text;
    size_t n = 96;
    for (int i = 0; (text = key_text(c, i)); i++)
        n += strlen(text) + 1;
    char *key = malloc(n), *at = key;
    if (!key)
        return NULL;
    at += snprintf(at, 96, "%d %x %d %d %d %d\n", server, (unsigned)c->min_version, c->no_session_cache, c->insecure, c->client_auth,
                   c->more_count);
    for (int i = 0; (text = key_text(c, i)); i++) {
        at = stpcpy(at, text);
        *at++ = '\n';
    }
    *at = '\0';
    return key;
}

/* ---- files that change ---- */

static uint64_t stamp_mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t stamp_of_file(uint64_t h, const char *path)
{
    struct stat st;
    if (!path)
        return h;
    if (stat(path, &st) < 0)
        return stamp_mix(h, 1);
    h = stamp_mix(h, (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec);
    return stamp_mix(stamp_mix(h, (uint64_t)st.st_ino), (uint64_t)st.st_size);
}

/* Between weft_block_begin and _end. */
static uint64_t stamp_of(const struct weft_tls_config *c)
{
    uint64_t h = stamp_of_file(stamp_of_file(stamp_of_file(stamp_of_file(0, c->ca_file), c->ca_dir), c->cert_file), c->key_file);
    for (int i = 0; i < c->more_count; i++)
        h = stamp_of_file(stamp_of_file(h, c->more[i].cert_file), c->more[i].key_file);
    return h;
}

/* A new SSL_CTX in place of the entry's, if its files have changed and load. What a server has sealed stays good, unless it
 * verifies clients: a resumed one is not looked at again. */
static WEFT_PARKS void entry_renew(struct tls_entry *e, const struct weft_tls_config *c, bool server)
{
    struct weft__tls_fail fail = {0};
    weft_time now = weft_now();
    if (now - e->looked < WEFT_SEC)
        return;
    e->looked = now;
    SSL_CTX *ctx = NULL;
    weft_block_begin();
    uint64_t stamp = stamp_of(c);
    struct weft__tls_extra *x = stamp != e->stamp ? weft__sys_alloc(sizeof *x) : NULL;
    if (x) {
        if (server && c->client_auth < WEFT_TLS_CLIENT_VERIFY)   /* else a client of an authority that is gone would go on */
            x->tickets = weft__tls_tickets_ref(weft__tls_extra_of(e->ctx)->tickets);
        ctx = weft__tls_make(c, server, shared.ctx_index, x, &fail);
    }
    weft_block_end();
    if (!ctx)
        return;
    SSL_CTX_free(e->ctx);
    e->ctx = ctx;
    e->stamp = stamp;
}

/* ---- the list ---- */

/* Put in, displacing the oldest when full. */
static void shared_keep(struct tls_entry fresh)
{
    struct tls_entry *e = &shared.entry[shared.next++ % TLS_SHARED_MAX];
    weft__sys_free(e->key);
    SSL_CTX_free(e->ctx);
    *e = fresh;
    if (shared.count < TLS_SHARED_MAX)
        shared.count++;
}

/* An entry for key, which it takes; NULL: fail says why. */
static WEFT_PARKS SSL_CTX *shared_make(char *key, const struct weft_tls_config *c, bool server, struct weft__tls_fail *fail)
{
    struct tls_entry e = {.key = key, .looked = weft_now()};
    weft_block_begin();
    if (weft__tls_files_bad(c, fail) == 0) {
        e.stamp = stamp_of(c);
        struct weft__tls_extra *x = weft__sys_alloc(sizeof *x);
        if (x)
            e.ctx = weft__tls_make(c, server, shared.ctx_index, x, fail);
        else
            fail->err = WEFT_ENOMEM;
    }
    weft_block_end();
    if (e.ctx)
        shared_keep(e);
    else
        weft__sys_free(key);
    return e.ctx;
}

SSL_CTX *weft__tls_shared_get(const struct weft_tls_config *c, bool server, struct weft__tls_fail *fail)
{
    struct tls_entry *e = NULL;
    if (weft__tls_config_bad(c, server, fail) != 0)
        return NULL;
    char *key = shared_key(c, server);
    if (!key) {
        fail->err = WEFT_ENOMEM;
        return NULL;
    }
    weft_mutex_lock(&shared.lock);
    shared_init();
    for (uint32_t i = 0; i < shared.count && !e; i++)
        if (strcmp(shared.entry[i].key, key) == 0)
            e = &shared.entry[i];
    SSL_CTX *ctx;
    if (e) {
        entry_renew(e, c, server);
        ctx = e->ctx;
        weft__sys_free(key);
    } else {
        ctx = shared_make(key, c, server, fail);
    }
    if (ctx)
        SSL_CTX_up_ref(ctx);
    weft_mutex_unlock(&shared.lock);
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
