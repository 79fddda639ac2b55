/*
 * disk.c - reads and writes of files that may wait for a disk, without holding a processor up.
 *
 * Role    For a regular file "ready" means nothing: poll(2) says so always. So a read asks the page cache first (RWF_NOWAIT: one
 *         system call, no more than pread); only what is not there is read between weft_block_begin and weft_block_end, when
 *         others have the processor. Near file.c, net/bulk.c, http/files.c. Layer 4.
 *
 * Invariants
 *   K1  between weft_block_begin and weft_block_end nothing of weft is called, and errno is taken there, on the thread that has it.
 *   K2  a read is short only at the end of the file: RWF_NOWAIT stops where the cache does, and the rest is asked for again.
 *
 * Buffered writes end in the page cache, and the file systems that most have (ext4) know no RWF_NOWAIT for them: short ones are
 * written as they are (the monitor hands the processor on if the kernel holds them back), long ones between the brackets.
 * Limits  DISK_WRITE_MIN. Failure: as the kernel says.
 * Source  preadv2(2); Go leaves all of it to its monitor (runtime.entersyscall).
 */
#include "file_int.h"

#include <sys/uio.h>
#include <unistd.h>
#include <weft/go.h>

#include "../net/sock.h"

#define DISK_WRITE_MIN 65536   /* from here a write's own work is long beside the price of the brackets */

static WEFT_PARKS ssize_t disk_read_slowly(int fd, void *buf, size_t n, int64_t at)
{
    weft_block_begin(); /* K1 */
    ssize_t got = at < 0 ? WEFT__SOCK_RETRY(read(fd, buf, n)) : WEFT__SOCK_RETRY(pread(fd, buf, n, at));
    weft_block_end();
    return got;
}

ssize_t weft__disk_read(int fd, void *ret_buf, size_t n, int64_t at)
{
    size_t have = 0;
    while (have < n) { /* K2 */
        struct iovec one = {(char *)ret_buf + have, n - have};
        int64_t from = at < 0 ? -1 : at + (int64_t)have;
        ssize_t got = WEFT__SOCK_RETRY(preadv2(fd, &one, 1, from, RWF_NOWAIT));
        if (got == -EAGAIN || got == -EOPNOTSUPP || got == -ENOSYS)
            got = disk_read_slowly(fd, one.iov_base, one.iov_len, from);
        if (got < 0)
            return have ? (ssize_t)have : got; /* what was read is the caller's; the error comes again */
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static WEFT_PARKS ssize_t disk_write_some(int fd, const void *buf, size_t n, int64_t at)
{
    bool slow = n >= DISK_WRITE_MIN;
    if (slow)
        weft_block_begin(); /* K1 */
    ssize_t put = at < 0 ? WEFT__SOCK_RETRY(write(fd, buf, n)) : WEFT__SOCK_RETRY(pwrite(fd, buf, n, at));
    if (slow)
        weft_block_end();
    return put;
}

ssize_t weft__disk_write(int fd, const void *buf, size_t n, int64_t at)
{
    size_t done = 0;
    while (done < n) {
        ssize_t put = disk_write_some(fd, (const char *)buf + done, n - done, at < 0 ? -1 : at + (int64_t)done);
        if (put < 0)
            return put;
        done += (size_t)put;
    }
    return (ssize_t)n;
}
