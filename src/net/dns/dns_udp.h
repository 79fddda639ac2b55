/*
 * dns_udp.h - c-ares' sockets, datagrams in batches (dns_udp.c). Layer 4. All under the lock of dns_ares.c.
 */
#ifndef WEFT_NET_DNS_DNS_UDP_H
#define WEFT_NET_DNS_DNS_UDP_H
#include <ares.h>
#include <stdbool.h>

/* What c-ares opens, reads and writes sockets with. */
extern const struct ares_socket_functions weft__dns_sockets;

/* Send what c-ares has written since. To be called before anybody waits for an answer. A socket that an error waits in, for
 * ares_process_fd to find, after which there may be more to send; or ARES_SOCKET_BAD. */
ares_socket_t weft__dns_flush(void);
/* Does reading this socket once through c-ares empty it? */
bool weft__dns_empties(ares_socket_t fd);

#endif
