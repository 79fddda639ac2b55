/*
 * quick.c - is the way back from the kernel one where system calls past the C library are faster?
 *
 * Role    Near arch/x86_64/syscall.S, which makes such a call and says why; net/sock.h and poll_epoll.c, who make the most. Layer 1.
 *
 * The kernel says which mitigation it uses. With "Safe RET" a return past a system call costs 120 to 140 ns more than it need:
 * recv of nothing from four calls deep took 440 to 480 ns, so called 330. Where the kernel does not do that, the entries would
 * only push good ones out. WEFT_QUICK_CALLS=0 or 1 says it instead, for tests.
 * Failure No such file: none.
 */
#include "quick.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if WEFT__QUICK
_Atomic bool weft__sys_quick_known;

static bool quick_wanted(void)
{
    const char *e = getenv("WEFT_QUICK_CALLS");
    char text[128];

    if (e && (strcmp(e, "0") == 0 || strcmp(e, "1") == 0))
        return e[0] == '1';
    int fd = open("/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return strcasestr(text, "safe ret") != NULL;
}
#endif

void weft__sys_quick_init(void)
{
#if WEFT__QUICK
    atomic_store_explicit(&weft__sys_quick_known, quick_wanted(), memory_order_relaxed);
#endif
}
