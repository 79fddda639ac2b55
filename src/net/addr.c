/*
 * addr.c - addresses as text: parsing "host:port", literals, unix paths, and back.
 *
 * Role    Pure functions but for weft__net_resolve, which asks dns/ when the host is a name. Layer 4.
 * Limits  host names of 255 bytes; ports as numbers or one of four service names (no /etc/services: it blocks).
 * Failure WEFT_EADDR for what cannot be read, WEFT_ENETWORK for an unknown network.
 * Source  Go net.SplitHostPort, JoinHostPort; RFC 3986 3.2.2, RFC 4007 11 (zones).
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn_int.h"

struct weft__network weft__network_of(const char *name)
{
    static const struct {
        const char *name;
        struct weft__network net;
    } known[] = {
        {"tcp", {true, false, false, AF_UNSPEC}}, {"tcp4", {true, false, false, AF_INET}},
        {"tcp6", {true, false, false, AF_INET6}}, {"udp", {true, false, true, AF_UNSPEC}},
        {"udp4", {true, false, true, AF_INET}},   {"udp6", {true, false, true, AF_INET6}},
        {"unix", {true, true, false, AF_UNIX}},   {"unixgram", {true, true, true, AF_UNIX}},
    };
    for (size_t i = 0; name && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i].name) == 0)
            return known[i].net;
    return (struct weft__network){.ok = false};
}

/* "80", "http": true. */
static bool addr_port(const char *text, uint16_t *ret_port)
{
    static const struct {
        const char *name;
        uint16_t port;
    } service[] = {{"http", 80}, {"https", 443}, {"domain", 53}, {"ssh", 22}};
    for (size_t i = 0; i < sizeof service / sizeof service[0]; i++) {
        if (strcmp(text, service[i].name) == 0) {
            *ret_port = service[i].port;
            return true;
        }
    }
    unsigned long v = 0;
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 5 || text[n] != '\0' || (v = strtoul(text, NULL, 10)) > 65535)
        return false;
    *ret_port = (uint16_t)v;
    return true;
}

weft_err weft__addr_split(const char *text, char *ret_host, size_t n, uint16_t *ret_port)
{
    const char *colon = text ? strrchr(text, ':') : NULL;
    if (!colon)
        return WEFT_EADDR;
    const char *host = text, *end = colon;
    if (*text == '[') {
        if (end == text || end[-1] != ']')
            return WEFT_EADDR;
        host++;
        end--;
    } else if (memchr(text, ':', (size_t)(colon - text))) {
        return WEFT_EADDR; /* a bare IPv6 literal: where does the port begin? */
    }
    size_t len = (size_t)(end - host);
    if (len >= n || memchr(host, '[', len) || memchr(host, ']', len) || !addr_port(colon + 1, ret_port))
        return WEFT_EADDR;
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    return 0;
}

/* A zone as a number; 0 when it is none. */
static unsigned addr_zone(const char *text)
{
    size_t n = strspn(text, "0123456789");
    unsigned long v = n > 0 && n < 11 && !text[n] ? strtoul(text, NULL, 10) : 0;
    return v <= UINT32_MAX ? (unsigned)v : 0;
}

/* An IPv6 literal, with "%zone" as a name or a number. */
static bool addr_literal6(const char *host, weft_addr *ret_addr)
{
    char buf[INET6_ADDRSTRLEN];
    const char *zone = strchr(host, '%');
    size_t len = zone ? (size_t)(zone - host) : strlen(host);
    struct in6_addr ip;
    if (len >= sizeof buf)
        return false;
    memcpy(buf, host, len);
    buf[len] = '\0';
    if (inet_pton(AF_INET6, buf, &ip) != 1)
        return false;
    unsigned scope = 0;
    if (zone && (scope = if_nametoindex(zone + 1)) == 0 && (scope = addr_zone(zone + 1)) == 0)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&ip)) { /* an IPv4 address in disguise: seen as one by every rule about addresses */
        *ret_addr = (weft_addr){.len = sizeof ret_addr->u.in4};
        ret_addr->u.in4.sin_family = AF_INET;
        memcpy(&ret_addr->u.in4.sin_addr, &ip.s6_addr[12], 4);
        return true;
    }
    *ret_addr = (weft_addr){.len = sizeof ret_addr->u.in6};
    ret_addr->u.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = ip, .sin6_scope_id = scope};
    return true;
}

bool weft__addr_literal(const char *host, weft_addr *ret_addr)
{
    struct in_addr ip;
    if (strchr(host, ':'))
        return addr_literal6(host, ret_addr);
    if (inet_pton(AF_INET, host, &ip) != 1)
        return false;
    *ret_addr = (weft_addr){.len = sizeof ret_addr->u.in4};
    ret_addr->u.in4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = ip};
    return true;
}

void weft__addr_set_port(weft_addr *a, uint16_t port)
{
    if (a->u.sa.sa_family == AF_INET6)
        a->u.in6.sin6_port = htons(port);
    else
        a->u.in4.sin_port = htons(port);
}

weft_err weft__addr_unix(const char *path, struct weft__saddr *ret)
{
    size_t len = path ? strlen(path) : 0;
    if (len == 0 || len >= sizeof ret->u.un.sun_path)
        return WEFT_EADDR;
    ret->u.un.sun_family = AF_UNIX;
    memcpy(ret->u.un.sun_path, path, len + 1);
    ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    if (*path == '@') { /* abstract: a leading NUL, and the name ends with the length */
        ret->u.un.sun_path[0] = '\0';
        ret->len--;
    }
    return 0;
}

weft_err weft_addr_parse(weft_addr *ret_addr, const char *text)
{
    char host[256];
    uint16_t port;
    weft_addr a;
    if (weft__addr_split(text, host, sizeof host, &port) != 0 || !weft__addr_literal(host, &a))
        return WEFT_EADDR;
    weft__addr_set_port(&a, port);
    *ret_addr = a;
    return 0;
}

/* ---- to text ---- */

static int addr_fit(int len, size_t n)
{
    return len < 0 || (size_t)len >= n ? WEFT_ETOOBIG : len;
}

static int addr_text_unix(const struct weft__saddr *a, char *ret_buf, size_t n)
{
    size_t room = a->len > offsetof(struct sockaddr_un, sun_path) ? a->len - offsetof(struct sockaddr_un, sun_path) : 0;
    const char *p = a->u.un.sun_path;
    if (room > 0 && p[0] == '\0')
        return addr_fit(snprintf(ret_buf, n, "@%.*s", (int)room - 1, p + 1), n);
    return addr_fit(snprintf(ret_buf, n, "%.*s", (int)room, p), n);
}

int weft__saddr_text(const struct weft__saddr *a, char *ret_buf, size_t n)
{
    char ip[INET6_ADDRSTRLEN];
    if (a->u.sa.sa_family == AF_UNIX)
        return addr_text_unix(a, ret_buf, n);
    if (a->u.sa.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a->u.in4.sin_addr, ip, sizeof ip);
        return addr_fit(snprintf(ret_buf, n, "%s:%u", ip, ntohs(a->u.in4.sin_port)), n);
    }
    if (a->u.sa.sa_family != AF_INET6)
        return WEFT_EADDR;
    unsigned port = ntohs(a->u.in6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr)) { /* an IPv4 peer of a socket for both families */
        inet_ntop(AF_INET, &a->u.in6.sin6_addr.s6_addr[12], ip, sizeof ip);
        return addr_fit(snprintf(ret_buf, n, "%s:%u", ip, port), n);
    }
    inet_ntop(AF_INET6, &a->u.in6.sin6_addr, ip, sizeof ip);
    if (a->u.in6.sin6_scope_id)
        return addr_fit(snprintf(ret_buf, n, "[%s%%%u]:%u", ip, a->u.in6.sin6_scope_id, port), n);
    return addr_fit(snprintf(ret_buf, n, "[%s]:%u", ip, port), n);
}

int weft_addr_text(const weft_addr *addr, char *ret_buf, size_t n)
{
    struct weft__saddr a = {.len = addr->len};
    memcpy(&a.u, &addr->u, sizeof addr->u);
    return weft__saddr_text(&a, ret_buf, n);
}

/* ---- with names ---- */

void weft__addr_interleave(weft_addr *list, int count)
{
    for (int i = 1; i < count; i++) {
        int k = i;
        while (k < count && list[k].u.sa.sa_family == list[i - 1].u.sa.sa_family)
            k++;
        if (k == count || k == i)
            continue;
        weft_addr a = list[k];
        memmove(&list[i + 1], &list[i], (size_t)(k - i) * sizeof *list);
        list[i] = a;
    }
}

/* The addresses meant by an empty host. */
static int addr_empty_host(int family, bool passive, weft_addr *ret, int max)
{
    static const char *const all[] = {"::", "0.0.0.0"}, *const loop[] = {"127.0.0.1", "::1"};
    int count = 0;
    for (int i = 0; i < 2 && count < max; i++) {
        weft__addr_literal(passive ? all[i] : loop[i], &ret[count]);
        count += family == AF_UNSPEC || ret[count].u.sa.sa_family == family;
    }
    return count;
}

int weft__net_resolve(weft_ctx *ctx, const struct weft__network *net, const char *addr, bool passive,
                      weft_addr *ret, int max, bool *ret_partial)
{
    char host[256];
    uint16_t port;
    weft_err err = weft__addr_split(addr, host, sizeof host, &port);
    if (err)
        return err;
    int count, kept = 0;
    if (*host == '\0')
        count = addr_empty_host(net->family, passive, ret, max);
    else if ((count = weft__resolve(ctx, host, ret, max, ret_partial)) < 0)
        return count;
    for (int i = 0; i < count; i++) {
        if (net->family != AF_UNSPEC && ret[i].u.sa.sa_family != net->family)
            continue;
        ret[kept] = ret[i];
        weft__addr_set_port(&ret[kept++], port);
    }
    return kept > 0 ? kept : WEFT_ENOHOST;
}
