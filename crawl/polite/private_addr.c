/*
 * private_addr.c - which addresses a crawler must not be led to.
 *
 * Role    A public page can link to, redirect to, or have a name that resolves to 127.0.0.1 or 10.0.0.1: the crawler
 *         would then read what only its own machine and network may. So the check is made on the address that is about
 *         to be dialled, after DNS, for each address of each connection.
 * Near    fetch/fetcher.c passes it to the HTTP client unless --allow-private is given.
 */
#include "private_addr.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

static bool private_v4(uint32_t a)
{
    static const struct {
        uint32_t net;
        int bits;
    } nets[] = {
        {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16}, {0xac100000, 12},
        {0xc0000000, 24}, {0xc0000200, 24}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24},
        {0xe0000000, 4},  {0xf0000000, 4},
    };
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        if ((a ^ nets[i].net) >> (32 - nets[i].bits) == 0)
            return true;
    return false;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool private_v6(const uint8_t *p)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, zero[12] = {0};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (!memcmp(p, mapped, 12) || !memcmp(p, nat64, 12))
        return private_v4(be32(p + 12));
    if (!memcmp(p, zero, 12))               /* ::, ::1 and the old IPv4-compatible form */
        return true;
    if (p[0] == 0x20 && p[1] == 0x02)
        return private_v4(be32(p + 2));
    if (p[0] == 0x20 && p[1] == 0x01 && p[2] < 2)
        return true;                        /* 2001::/23, protocol assignments: Teredo carries an IPv4 address */
    if (p[0] == 0x20 && p[1] == 0x01 && p[2] == 0x0d && p[3] == 0xb8)
        return true;                        /* documentation, and again in the next line */
    if (p[0] == 0x3f && p[1] == 0xff && p[2] < 0x10)
        return true;
    return (p[0] & 0xe0) != 0x20;           /* only 2000::/3 is global unicast: not fc00::/7, fe80::/10, ff00::/8 */
}

bool private_addr(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return private_v4(ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr));
    if (sa->sa_family == AF_INET6)
        return private_v6(((const struct sockaddr_in6 *)sa)->sin6_addr.s6_addr);
    return true;
}
