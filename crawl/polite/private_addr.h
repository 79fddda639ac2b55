/*
 * private_addr.h - addresses that the public internet cannot mean.
 */
#ifndef CRAWL_PRIVATE_ADDR_H
#define CRAWL_PRIVATE_ADDR_H
#include <stdbool.h>
#include <sys/socket.h>

/**
 * private_addr - is this address loopback, private, link-local, shared, multicast, reserved or unspecified?
 *
 * IPv6 forms that carry an IPv4 address (mapped, compatible, 6to4, NAT64) are judged by it. Other families than IPv4
 * and IPv6 are private.
 *
 * Source    IANA special-purpose address registries; RFC 6890, 4193, 4291.
 */
bool private_addr(const struct sockaddr *sa);

#endif
