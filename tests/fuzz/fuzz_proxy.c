/*
 * fuzz_proxy.c - what proxies answer (CONNECT, SOCKS5), and settings of proxies.
 *
 * Checks that an answer means the same in whatever pieces it comes, that a failure has words or a system's error, that a
 * tunnel takes not a byte more than the proxy's answer, and that settings end in a proxy or an error. Bytes: kind, seed
 * of the pieces; then the answer, or "proxy NL no_proxy NL URL".
 */
#include "../../src/http/proxy.h"
#include "fuzz.h"

static weft_err tunnel(struct weft__proxy *p, const uint8_t *s, size_t len, uint32_t split, size_t *ret_taken)
{
    struct memconn m = {.in = s, .len = len, .split = split};
    const char *why = NULL;
    weft_err err = weft__proxy_tunnel(NULL, memconn_use(&m), p, "192.0.2.1", 443, &why);
    CHECK(err <= 0);
    CHECK(err != WEFT_EPROTO || p->kind != WEFT__PROXY_HTTP || (why && *why));
    *ret_taken = m.pos;
    memconn_use(NULL);
    return err;
}

static void fuzz_tunnel(uint8_t kind, uint32_t split, const uint8_t *s, size_t len)
{
    char user[] = "user", password[] = "secret", basic[] = "Basic dXNlcjpzZWNyZXQ=";
    struct weft__proxy p = {.kind = (enum weft__proxy_kind)(kind % 3)};
    if (kind & 4) {
        p.user = user;
        p.password = password;
        p.basic = basic;
    }
    size_t a, b;
    weft_err one = tunnel(&p, s, len, 0, &a), two = tunnel(&p, s, len, split, &b);
    if (p.kind == WEFT__PROXY_HTTP)   /* what comes behind the answer may not have come yet */
        CHECK(one == two || (one == WEFT_EPROTO && two == 0));
    else
        CHECK(one == two && (one || a == b));
}

static void fuzz_settings(struct fuzz_in *in)
{
    char *proxy = fuzz_until(in, '\n', NULL), *except = fuzz_until(in, '\n', NULL), *url = fuzz_text(in, in->n, NULL);
    struct weft_http_client_opts o = {.proxy = proxy, .no_proxy = except};
    struct weft__proxies *p = NULL;
    struct weft__url u = {0};
    u.text = u.near;
    weft_err err = weft__proxies_new(&o, &p);
    if (err == 0 && p) {
        CHECK(!p->http.at || (strchr(p->http.at, ':') && !strpbrk(p->http.at, " \r\n\t@")));
        CHECK(!p->http.basic || weft__http_field_ok("Proxy-Authorization", p->http.basic));
    }
    if (err == 0 && weft__url_parse(&u, url, strlen(url)) == 0)
        (void)weft__proxy_for(p, &u);
    weft__url_done(&u);
    if (err == 0)
        weft__proxies_free(p);
    free(proxy);
    free(except);
    free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    uint8_t kind = fuzz_byte(&in);
    uint32_t split = 1u + fuzz_byte(&in);
    if (kind >= 8)
        fuzz_settings(&in);
    else
        fuzz_tunnel(kind, split, in.p, in.n);
    return 0;
}
