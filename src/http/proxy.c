/*
 * proxy.c - proxies: which one a URL goes through, and how one is asked for a way to it.
 *
 * Role    Settings from options or from the environment; HTTP CONNECT and SOCKS5 on a connection just made. Near
 *         reach.c (who dials), sendreq.c (the whole URL in a request line). Layer 5.
 * Limits  SOCKS4 is WEFT_EUNSUPPORTED. What a proxy
 *         answers to CONNECT is at most 16 KiB. HTTP_PROXY in capitals is not read: a CGI program's caller sets it.
 * Failure WEFT_EADDR, WEFT_EUNSUPPORTED for the settings; WEFT_EPROTO, WEFT_EEOF and those of the connection for talks.
 * Source  RFC 9110 9.3.6; RFC 1928, 1929 (SOCKS5); curl's manual for the variables.
 */
#include "../net/conn_int.h"
#include "proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ANSWER_MAX 16384

/* ---- settings ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* %XX taken apart, malloc'ed. */
static char *percent_decoded(const char *s, size_t n)
{
    char *out = malloc(n + 1);
    size_t len = 0;
    for (size_t i = 0; out && i < n; i++) {
        bool coded = s[i] == '%' && i + 2 < n && hex_digit(s[i + 1]) >= 0 && hex_digit(s[i + 2]) >= 0;
        out[len++] = coded ? (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2])) : s[i];
        i += coded ? 2 : 0;
    }
    if (out)
        out[len] = '\0';
    return out;
}

/* "Basic " and base64 of user:password, malloc'ed. */
static char *basic_text(const char *user, const char *password)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t user_len = strlen(user), n = user_len + 1 + strlen(password), at = 6;
    char *raw = malloc(n + 3), *out = malloc(6 + (n + 2) / 3 * 4 + 1);
    if (!raw || !out) {
        free(raw);
        free(out);
        return NULL;
    }
    memcpy(raw, user, user_len);
    raw[user_len] = ':';
    memcpy(raw + user_len + 1, password, n - user_len - 1);
    memset(raw + n, 0, 3);
    memcpy(out, "Basic ", 6);
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)(unsigned char)raw[i] << 16 | (unsigned)(unsigned char)raw[i + 1] << 8 | (unsigned char)raw[i + 2];
        for (int k = 0; k < 4; k++)
            out[at++] = i + (size_t)k > n ? '=' : digits[v >> (18 - 6 * k) & 63];
    }
    out[at] = '\0';
    free(raw);
    return out;
}

static void proxy_done(struct weft__proxy *p)
{
    free(p->at);
    free(p->name);
    free(p->user);
    free(p->password);
    free(p->basic);
}

static weft_err proxy_user(struct weft__proxy *p, const char *s, size_t n)
{
    const char *colon = memchr(s, ':', n);
    size_t user_len = colon ? (size_t)(colon - s) : n;
    p->user = percent_decoded(s, user_len);
    p->password = percent_decoded(colon ? colon + 1 : "", colon ? n - user_len - 1 : 0);
    if (!p->user || !p->password)
        return WEFT_ENOMEM;
    if (strlen(p->user) > 255 || strlen(p->password) > 255)
        return WEFT_EADDR;
    p->basic = basic_text(p->user, p->password);
    return p->basic ? 0 : WEFT_ENOMEM;
}

/* "[scheme://][user[:password]@]host[:port][/]" */
static weft_err proxy_parse(const char *text, struct weft__proxy *p)
{
    static const struct {
        const char *scheme;
        enum weft__proxy_kind kind;
        const char *port;
        bool tls;
    } known[] = {{"http://", WEFT__PROXY_HTTP, "80", false}, {"https://", WEFT__PROXY_HTTP, "443", true},
                 {"socks5://", WEFT__PROXY_SOCKS5, "1080", false}, {"socks5h://", WEFT__PROXY_SOCKS5H, "1080", false}};
    size_t k = 0, count = sizeof known / sizeof *known;
    if (strstr(text, "://")) {
        while (k < count && strncasecmp(text, known[k].scheme, strlen(known[k].scheme)) != 0)
            k++;
        if (k == count)
            return WEFT_EUNSUPPORTED;
        text += strlen(known[k].scheme);
    }
    size_t len = strcspn(text, "/");
    const char *at = memrchr(text, '@', len);
    weft_err err = 0;
    p->kind = known[k].kind;
    if (at && (err = proxy_user(p, text, (size_t)(at - text))) < 0)
        return err;
    if (at) {
        len -= (size_t)(at + 1 - text);
        text = at + 1;
    }
    const char *bracket = memchr(text, ']', len), *name_end = bracket ? bracket : text;
    bool port = memchr(name_end, ':', len - (size_t)(name_end - text)) != NULL;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7f)
            return WEFT_EADDR;
    if (!len || len > 255)
        return WEFT_EADDR;
    p->at = malloc(len + 8);
    if (!p->at)
        return WEFT_ENOMEM;
    (void)snprintf(p->at, len + 8, port ? "%.*s" : "%.*s:%s", (int)len, text, known[k].port);
    if (known[k].tls) {
        char name[256];
        uint16_t number;
        if ((err = weft__addr_split(p->at, name, sizeof name, &number)) < 0)
            return err;
        p->name = strdup(name);
        err = p->name ? 0 : WEFT_ENOMEM;
    }
    return err;
}

static const char *env_either(const char *low, const char *high)
{
    const char *v = getenv(low);
    return v || !high ? v : getenv(high);
}

static weft_err proxies_fill(const struct weft_http_client_opts *o, struct weft__proxies *p)
{
    const char *all = o->proxy, *http = NULL, *https = NULL, *except = o->no_proxy;
    if (!all && o->proxy_from_env) {
        all = env_either("all_proxy", "ALL_PROXY");
        http = env_either("http_proxy", NULL);
        https = env_either("https_proxy", "HTTPS_PROXY");
        except = except ? except : env_either("no_proxy", "NO_PROXY");
    }
    http = http ? http : all;
    https = https ? https : all;
    weft_err err = http && *http ? proxy_parse(http, &p->http) : 0;
    if (!err && https && *https)
        err = proxy_parse(https, &p->https);
    if (!err && except && !(p->except = strdup(except)))
        err = WEFT_ENOMEM;
    return err;
}

weft_err weft__proxies_new(const struct weft_http_client_opts *o, struct weft__proxies **ret_proxies)
{
    *ret_proxies = NULL;
    if (!o->proxy && !o->proxy_from_env)
        return 0;
    struct weft__proxies *p = calloc(1, sizeof *p);
    if (!p)
        return WEFT_ENOMEM;
    weft_err err = proxies_fill(o, p);
    if (err || (!p->http.at && !p->https.at)) {
        weft__proxies_free(p);
        return err;
    }
    *ret_proxies = p;
    return 0;
}

void weft__proxies_free(struct weft__proxies *p)
{
    if (!p)
        return;
    proxy_done(&p->http);
    proxy_done(&p->https);
    free(p->except);
    free(p);
}

/* ---- which one ---- */

/* Is host inside "net/bits"? */
static bool in_network(const char *host, const char *net, size_t n)
{
    char text[64];
    unsigned char a[16], b[16];
    const char *slash = memchr(net, '/', n);
    size_t len = (size_t)(slash - net);
    if (len >= sizeof text)
        return false;
    memcpy(text, net, len);
    text[len] = '\0';
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;
    size_t digits = strspn(slash + 1, "0123456789");
    unsigned long bits = strtoul(slash + 1, NULL, 10);
    if (!digits || slash + 1 + digits != net + n)
        return false;
    if (inet_pton(family, host, a) != 1 || inet_pton(family, text, b) != 1 || bits > (family == AF_INET ? 32u : 128u))
        return false;
    unsigned rest = bits % 8;
    return memcmp(a, b, bits / 8) == 0 && (!rest || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0);
}

/* One entry of no_proxy: "*", "example.org", ".example.org", "10.0.0.0/8", "[::1]", any of the names with ":port". */
static bool excepts(const char *e, size_t n, const char *host, unsigned port)
{
    if (n == 1 && *e == '*')
        return true;
    if (memchr(e, '/', n))
        return in_network(host, e, n);
    const char *colon = memrchr(e, ':', n);
    bool v6 = colon && memchr(e, ':', n) != colon && *e != '[';
    if (colon && !v6 && !memchr(colon, ']', n - (size_t)(colon - e))) {
        if (strtoul(colon + 1, NULL, 10) != port)
            return false;
        n = (size_t)(colon - e);
    }
    if (n > 2 && *e == '[' && e[n - 1] == ']') {
        e++;
        n -= 2;
    }
    while (n && *e == '.') {
        e++;
        n--;
    }
    size_t h = strlen(host);
    return n && h >= n && strncasecmp(host + h - n, e, n) == 0 && (h == n || host[h - n - 1] == '.');
}

const struct weft__proxy *weft__proxy_for(const struct weft__proxies *p, const struct weft__url *url)
{
    const struct weft__proxy *it = !p ? NULL : url->https ? &p->https : &p->http;
    if (!it || !it->at)
        return NULL;
    char host[256];
    memcpy(host, url->text + url->host, url->host_len);
    host[url->host_len] = '\0';
    for (const char *e = p->except ? p->except : ""; *e;) {
        e += strspn(e, ", \t");
        size_t n = strcspn(e, ", \t");
        if (n && excepts(e, n, host, url->port))
            return NULL;
        e += n;
    }
    return it;
}

/* ---- CONNECT ---- */

static weft_err connect_judge(const char *answer, const char **ret_why)
{
    bool http = strncmp(answer, "HTTP/1.", 7) == 0 && strlen(answer) > 12 && answer[8] == ' ';
    if (http && answer[9] == '2')
        return 0;
    *ret_why = !http                                   ? "the proxy does not speak HTTP/1"
               : strncmp(answer + 9, "407", 3) == 0    ? "the proxy wants a user and a password (407)"
               : answer[9] == '4'                      ? "the proxy refused (4xx)"
               : answer[9] == '5'                      ? "the proxy failed (5xx)"
                                                       : "the proxy gave no way";
    return WEFT_EPROTO;
}

/* Reads up to the empty line: nothing may come behind it, as the client speaks first in what follows. */
static weft_err connect_answer(weft_ctx *ctx, weft_conn *conn, char *buf, const char **ret_why)
{
    size_t len = 0;
    for (;;) {
        ssize_t n = weft_conn_read(ctx, conn, buf + len, ANSWER_MAX - 1 - len);
        if (n <= 0) {
            *ret_why = n < 0 ? NULL : "the proxy ended the connection";
            return n < 0 ? (weft_err)n : WEFT_EEOF;
        }
        len += (size_t)n;
        buf[len] = '\0';
        char *end = strstr(buf, "\r\n\r\n");
        if (end) {
            weft_err err = connect_judge(buf, ret_why);
            if (err || end + 4 == buf + len)
                return err;
            *ret_why = "the proxy says more than was asked";
            return WEFT_EPROTO;
        }
        if (len == ANSWER_MAX - 1 || strlen(buf) != len) {
            *ret_why = "the proxy does not speak HTTP/1";
            return WEFT_EPROTO;
        }
    }
}

static weft_err tunnel_http(weft_ctx *ctx, weft_conn *conn, const struct weft__proxy *p, const char *host, unsigned port,
                            const char **ret_why)
{
    struct weft__hbuf *b = weft__hbuf_get(0);
    if (!b)
        return WEFT_ENOMEM;
    const char *l = strchr(host, ':') ? "[" : "", *r = *l ? "]" : "";
    int n = snprintf(b->data, b->cap, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n%s%s%s\r\n", l, host, r, port, l, host, r, port,
                     p->basic ? "Proxy-Authorization: " : "", p->basic ? p->basic : "", p->basic ? "\r\n" : "");
    ssize_t put = weft_conn_write(ctx, conn, b->data, (size_t)n);
    weft_err err = put < 0 ? (weft_err)put : connect_answer(ctx, conn, b->data, ret_why);
    weft__hbuf_put(b);
    return err;
}

/* ---- SOCKS5 ---- */

static weft_err socks_talk(weft_ctx *ctx, weft_conn *conn, const void *say, size_t say_len, unsigned char *ret, size_t n,
                           const char **ret_why)
{
    ssize_t r = weft_conn_write(ctx, conn, say, say_len);
    if (r >= 0)
        r = weft_conn_read_full(ctx, conn, ret, n);
    if (r < 0)
        return (weft_err)r;
    if (r > 0)
        return 0;
    *ret_why = "the proxy ended the connection";
    return WEFT_EEOF;
}

static weft_err socks_login(weft_ctx *ctx, weft_conn *conn, const struct weft__proxy *p, const char **ret_why)
{
    unsigned char say[3 + 255 + 255], answer[2];
    const unsigned char hello[] = {5, p->user ? 2 : 1, 0, 2};
    weft_err err = socks_talk(ctx, conn, hello, p->user ? 4 : 3, answer, 2, ret_why);
    if (err)
        return err;
    *ret_why = "the proxy does not speak SOCKS5";
    if (answer[0] != 5)
        return WEFT_EPROTO;
    *ret_why = NULL;
    if (answer[1] == 0)
        return 0;
    *ret_why = "the proxy wants a user and a password";
    if (answer[1] != 2 || !p->user)
        return WEFT_EPROTO;
    size_t user = strlen(p->user), password = strlen(p->password);   /* 255 at most: proxy_user */
    say[0] = 1;
    say[1] = (unsigned char)user;
    memcpy(say + 2, p->user, user);
    say[2 + user] = (unsigned char)password;
    memcpy(say + 3 + user, p->password, password);
    *ret_why = NULL;
    err = socks_talk(ctx, conn, say, 3 + user + password, answer, 2, ret_why);
    if (err || answer[1] == 0)
        return err;
    *ret_why = "the proxy refused the user or the password";
    return WEFT_EPROTO;
}

/* Address type and address of host, as SOCKS5 has them: bytes. */
static int socks_address(weft_ctx *ctx, const struct weft__proxy *p, const char *host, unsigned char *ret)
{
    weft_addr a;
    struct in_addr v4;
    struct in6_addr v6;
    size_t n = strlen(host);
    bool literal = inet_pton(AF_INET, host, &v4) == 1 || inet_pton(AF_INET6, host, &v6) == 1;
    if (!literal && p->kind == WEFT__PROXY_SOCKS5H) {
        ret[0] = 3;
        ret[1] = (unsigned char)n;
        memcpy(ret + 2, host, n);
        return (int)n + 2;
    }
    int count = weft_resolve(ctx, host, &a, 1);
    if (count < 0)
        return count;
    bool six = a.u.sa.sa_family == AF_INET6;
    ret[0] = six ? 4 : 1;
    memcpy(ret + 1, six ? (const void *)&a.u.in6.sin6_addr : &a.u.in4.sin_addr, six ? 16 : 4);
    return six ? 17 : 5;
}

/* The rest of the proxy's answer, of which the first five bytes are there: its own address, which nobody needs. */
static weft_err socks_skip(weft_ctx *ctx, weft_conn *conn, const unsigned char *answer)
{
    unsigned char rest[258];
    size_t n = answer[3] == 1 ? 4 : answer[3] == 4 ? 16 : answer[3] == 3 ? (size_t)answer[4] + 1 : 0;
    if (!n)
        return WEFT_EPROTO;
    ssize_t got = weft_conn_read_full(ctx, conn, rest, n - 1 + 2);
    return got < 0 ? (weft_err)got : got == 0 ? WEFT_EEOF : 0;
}

static weft_err tunnel_socks(weft_ctx *ctx, weft_conn *conn, const struct weft__proxy *p, const char *host, unsigned port,
                             const char **ret_why)
{
    static const char *const words[] = {"the proxy failed", "the proxy's rules forbid it", "network unreachable from the proxy",
                                        "host unreachable from the proxy", "connection refused, says the proxy",
                                        "time to live expired", "the proxy does not know CONNECT",
                                        "the proxy does not know this kind of address"};
    unsigned char say[3 + 2 + 255 + 2] = {5, 1, 0}, answer[5];
    weft_err err = socks_login(ctx, conn, p, ret_why);
    if (err)
        return err;
    int n = socks_address(ctx, p, host, say + 3);
    if (n < 0)
        return n;
    say[3 + n] = (unsigned char)(port >> 8);
    say[4 + n] = (unsigned char)port;
    *ret_why = NULL;
    err = socks_talk(ctx, conn, say, (size_t)n + 5, answer, 5, ret_why);
    if (err)
        return err;
    if (answer[0] != 5 || answer[1]) {
        bool known = answer[0] == 5 && answer[1] <= sizeof words / sizeof *words;
        *ret_why = known ? words[answer[1] - 1] : "the proxy does not speak SOCKS5";
        return known && answer[1] == 5 ? -ECONNREFUSED : known && answer[1] == 3 ? -ENETUNREACH : known && answer[1] == 4 ? -EHOSTUNREACH
                                                                                                                          : WEFT_EPROTO;
    }
    return socks_skip(ctx, conn, answer);
}

weft_err weft__proxy_tunnel(weft_ctx *ctx, weft_conn *conn, const struct weft__proxy *p, const char *host, unsigned port,
                            const char **ret_why)
{
    *ret_why = NULL;
    return p->kind == WEFT__PROXY_HTTP ? tunnel_http(ctx, conn, p, host, port, ret_why)
                                       : tunnel_socks(ctx, conn, p, host, port, ret_why);
}
