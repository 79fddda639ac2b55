/*
 * t13_lists.c - what OpenSSL offers under an SSL_CTX's settings, taken from a hello that it writes.
 *
 * Role    Suites, groups and signatures are a policy (of weft, of the system's openssl.cnf), and ours is OpenSSL's: its own hello
 *         is read, once for each SSL_CTX. Where that does not offer TLS 1.3 with X25519's key share and the suites that we know,
 *         this client is not used. Near tls_make.c. Layer 4.
 * Failure NULL: OpenSSL does all handshakes.
 * Source  RFC 8446 4.1.2, 4.2.3, 4.2.7, 4.2.8.
 */
#include <openssl/err.h>
#include <string.h>

#include "../../sys/sys.h"
#include "t13.h"

enum { LIST_GROUPS = 10, LIST_SIGS = 13, LIST_VERSIONS = 43, LIST_SHARE = 51 };

/* ---- reading messages ---- */

uint32_t weft__t13_int(struct weft__t13_in *in, int bytes)
{
    uint32_t v = 0;
    struct weft__t13_in field = weft__t13_cut(in, (size_t)bytes);
    for (size_t i = 0; i < field.n; i++)
        v = v << 8 | field.at[i];
    return v;
}

struct weft__t13_in weft__t13_cut(struct weft__t13_in *in, size_t n)
{
    if (in->bad || n > in->n) {
        *in = (struct weft__t13_in){in->at, 0, true};
        return *in;
    }
    struct weft__t13_in part = {in->at, n, false};
    in->at += n;
    in->n -= n;
    return part;
}

struct weft__t13_in weft__t13_list(struct weft__t13_in *in, int bytes)
{
    return weft__t13_cut(in, weft__t13_int(in, bytes));
}

/* ---- a hello of OpenSSL's ---- */

static bool list_keep(struct weft__t13_in from, unsigned char *ret, size_t room, uint16_t *ret_n)
{
    if (from.n < 4 || from.n > room)
        return false;
    memcpy(ret, from.at, from.n);
    *ret_n = (uint16_t)from.n;
    return true;
}

static bool list_suites(struct weft__t13_in in, struct weft__t13_shared *s)
{
    while (in.n) {
        uint32_t id = weft__t13_int(&in, 2);
        for (uint8_t i = 0; i < WEFT__T13_SUITES; i++)
            if (weft__t13_suites[i].id == id && s->order_len < WEFT__T13_SUITES)
                s->order[s->order_len++] = i;
    }
    return !in.bad && s->order_len > 0;
}

/* The hello's record, its head and all. */
static bool list_read(struct weft__t13_in in, struct weft__t13_shared *s)
{
    bool version = false, share = false;
    (void)weft__t13_cut(&in, WEFT__T13_HEAD + 4 + 2 + WEFT__T13_RANDOM);
    (void)weft__t13_list(&in, 1);
    bool ok = list_suites(weft__t13_list(&in, 2), s);
    (void)weft__t13_list(&in, 1);
    for (struct weft__t13_in all = weft__t13_list(&in, 2); ok && all.n;) {
        uint32_t type = weft__t13_int(&all, 2);
        struct weft__t13_in e = weft__t13_list(&all, 2), inner;
        switch (type) {
        case LIST_GROUPS: ok = list_keep(e, s->groups, sizeof s->groups, &s->groups_len); break;
        case LIST_SIGS: ok = list_keep(e, s->sigs, sizeof s->sigs, &s->sigs_len); break;
        case LIST_VERSIONS:
            for (inner = weft__t13_list(&e, 1); inner.n && !inner.bad;)
                version |= weft__t13_int(&inner, 2) == WEFT_TLS_1_3;
            break;
        case LIST_SHARE:
            inner = weft__t13_list(&e, 2);
            share = weft__t13_int(&inner, 2) == 0x1d && weft__t13_list(&inner, 2).n == WEFT__T13_SHARE;
            break;
        default: break;
        }
        ok = ok && !all.bad;
    }
    return ok && version && share && s->groups_len && s->sigs_len;
}

static bool list_take(SSL_CTX *ctx, struct weft__t13_shared *s)
{
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    char *hello = NULL;
    bool ok = false;
    if (ssl && in && out) {
        SSL_set_bio(ssl, in, out);
        SSL_set_connect_state(ssl);
        (void)SSL_do_handshake(ssl);
        long n = BIO_get_mem_data(out, &hello);
        ok = n > 0 && list_read((struct weft__t13_in){(unsigned char *)hello, (size_t)n, false}, s);
        in = out = NULL;
    }
    BIO_free(in);
    BIO_free(out);
    SSL_free(ssl);
    ERR_clear_error();
    return ok;
}

struct weft__t13_shared *weft__t13_shared_new(SSL_CTX *ctx, OSSL_LIB_CTX *library, bool sessions)
{
    struct weft__t13_shared *s = weft__tls_x25519_there() ? weft__sys_alloc(sizeof *s) : NULL;
    if (!s)
        return NULL;
    s->library = library;
    s->sessions = sessions;
    s->hosts = weft__t13_hosts_new();
    bool ok = s->hosts && list_take(ctx, s);
    for (int i = 0; ok && i < WEFT__T13_SUITES; i++)
        ok = weft__t13_cipher(&weft__t13_suites[i], &s->cipher[i]);
    if (ok)
        return s;
    ERR_clear_error();
    weft__t13_shared_free(s);
    return NULL;
}

void weft__t13_shared_free(struct weft__t13_shared *s)
{
    if (!s)
        return;
    weft__t13_hosts_free(s->hosts);
    weft__sys_free(s);
}
