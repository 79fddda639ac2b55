/*
 * fuzz_addr.c - addresses as text, and files of hosts.
 *
 * Checks that an address which is read is written as text that is read as the same address, and that each name of a hosts
 * file finds addresses that its line has. First byte: which of the two.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/net/dns/dns.h"
#include "fuzz.h"

static void fuzz_address(const char *text)
{
    weft_addr a, b;
    char out[WEFT_ADDR_TEXT], small[8], host[64];
    uint16_t port;
    if (weft_addr_parse(&a, text) == 0) {
        int n = weft_addr_text(&a, out, sizeof out);
        CHECK(n > 0 && (size_t)n == strlen(out) && weft_addr_parse(&b, out) == 0);
        CHECK(a.len == b.len && memcmp(&a.u, &b.u, a.len) == 0);
        n = weft_addr_text(&a, small, sizeof small);
        CHECK(n == WEFT_ETOOBIG || (n > 0 && n < 8));
    }
    if (weft__addr_split(text, host, sizeof host, &port) == 0)
        CHECK(strlen(host) < sizeof host && !strpbrk(host, "[]"));
}

static void fuzz_hosts(const uint8_t *s, size_t len, const char *name)
{
    struct weft__hosts h = {0};
    weft_addr found[8];
    char path[64];
    int fd = memfd_create("hosts", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, s, len) == (ssize_t)len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int n = weft__hosts_find(&h, path, name, found, 8);
    CHECK(n >= 0 && n <= 8);
    for (int i = 0; i < n; i++)
        CHECK(found[i].u.sa.sa_family == AF_INET || found[i].u.sa.sa_family == AF_INET6);
    int m = weft__hosts_find(&h, path, name, found, 1);
    CHECK(m == (n > 0));
    weft__hosts_done(&h);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    if (fuzz_byte(&in) & 1) {
        char *text = fuzz_text(&in, in.n, NULL);
        fuzz_address(text);
        free(text);
    } else {
        char *name = fuzz_until(&in, '\n', NULL);
        fuzz_hosts(in.p, in.n, name);
        free(name);
    }
    return 0;
}
