/*
 * file.c - weft_file: any descriptor that the library keeps, registered once where the kernel can tell when it is ready.
 *
 * Role    The public calls. What can be waited for shares life, waits and deadlines with sockets (net/fd.c); what cannot, regular
 *         files above all, goes through disk.c. Near weft/io.h. Layer 4.
 *
 * Invariants
 *   L1  f.pd is NULL exactly where the poller does not take the descriptor (EPERM): then nobody ever waits in f, and any number of
 *       goroutines may be inside; the kernel keeps their positions apart.
 *   L2  of what has a pd, one goroutine reads and one writes: READING and WRITING as with sockets (F1).
 *   L3  f.tcp (a short read means an empty buffer) is set for the reading end of a pipe made here only: a pipe made elsewhere may
 *       keep its messages apart (O_DIRECT), and then a short read says nothing.
 *
 * A write to a pipe that nobody reads raises SIGPIPE. Linux 6.18 can leave that out (RWF_NOSIGNAL); before, the signal is blocked
 * in the thread for the call and taken away after it.
 * Locks   none. Limits as fd.c. Failure: as the kernel says.
 * Source  Go os/file_unix.go newFile.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <weft/go.h>
#include <weft/io.h>

#include "../net/fd.h"
#include "../net/sigpipe.h"
#include "../sys/sys.h"
#include "file_int.h"

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100
#endif

struct weft_file {
    struct weft__fd f; /* first: weft__fd.gone gets its address */
};

static _Atomic bool file_no_nosignal; /* [stat] the kernel does not know RWF_NOSIGNAL; only ever set */

/* Test hook: as on a kernel before 6.18. */
void weft__t_file_no_nosignal(void);
WEFT_API void weft__t_file_no_nosignal(void)
{
    atomic_store_explicit(&file_no_nosignal, true, memory_order_relaxed);
}

static void file_gone(struct weft__fd *f)
{
    weft__sys_free(f);
}

/* ---- open and close ---- */

/* Takes over fd; on error it is still the caller's. */
static weft_err file_new(int fd, weft_file **ret_file)
{
    weft_file *file = weft__sys_alloc(sizeof *file);
    if (!file)
        return WEFT_ENOMEM;
    weft_err err = weft__fd_init(&file->f, fd, false, file_gone);
    if (!err && (err = weft__pd_probe(file->f.pd)) != 0)
        weft__pd_close(file->f.pd);
    if (err == -EPERM) { /* L1 */
        file->f.pd = NULL;
        err = 0;
    }
    if (err) {
        weft__sys_free(file);
        return err;
    }
    *ret_file = file;
    return 0;
}

weft_err weft_file_take_fd(int fd, weft_file **ret_file)
{
    weft_file *file;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    weft_err err = file_new(fd, &file);
    if (err)
        return err;
    if (file->f.pd && !(flags & O_NONBLOCK))
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK); /* cannot fail on an open descriptor */
    *ret_file = file;
    return 0;
}

/* From the kernel's own memory of paths, or -EAGAIN where a disk may have to be asked. */
static int file_open_cached(const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)flags, .resolve = RESOLVE_CACHED};
    if (flags & (O_CREAT | O_TRUNC))
        return -EAGAIN;
    return (int)WEFT__SOCK_RETRY(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
}

weft_err weft_file_open(const char *path, int flags, mode_t mode, weft_file **ret_file)
{
    flags |= O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = file_open_cached(path, flags);
    if (fd == -EAGAIN || fd == -EINVAL || fd == -ENOSYS || fd == -EPERM) { /* the last: a sandbox that filters openat2 */
        weft_block_begin(); /* K1 */
        fd = (int)WEFT__SOCK_RETRY(open(path, flags, mode));
        weft_block_end();
    }
    if (fd < 0)
        return fd;
    weft_err err = file_new(fd, ret_file);
    if (err)
        (void)close(fd);
    return err;
}

weft_err weft_pipe(weft_file **ret_read, weft_file **ret_write)
{
    int fd[2];
    weft_file *r, *w;
    if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    weft_err err = file_new(fd[0], &r);
    if (!err && (err = file_new(fd[1], &w)) != 0) {
        (void)weft_file_close(r);
        (void)close(fd[1]);
        return err;
    }
    if (err) {
        (void)close(fd[0]);
        (void)close(fd[1]);
        return err;
    }
    r->f.tcp = true; /* L3 */
    *ret_read = r;
    *ret_write = w;
    return 0;
}

weft_err weft_file_close(weft_file *file)
{
    if (!file)
        return 0;
    weft_err err = weft__fd_close(&file->f);
    weft__fd_drop(&file->f);
    return err;
}

/* ---- reading and writing ---- */

/* Enter for an operation under ctx: the bit is for those that have a pd (L1, L2). */
static weft_err file_enter(weft_ctx *ctx, weft_file *file, uint32_t bit)
{
    weft_err err = ctx ? weft_ctx_err(ctx) : 0;
    return err ? err : weft__fd_enter(&file->f, file->f.pd ? bit : 0);
}

static void file_leave(weft_file *file, uint32_t bit)
{
    weft__fd_leave(&file->f, file->f.pd ? bit : 0);
}

static WEFT_PARKS ssize_t file_read_ready(weft_ctx *ctx, struct weft__fd *f, void *buf, size_t n)
{
    weft_err err = weft__pd_check(f->pd, WEFT__DIR_READ);
    bool wait = f->drained && !weft__pd_ended(f->pd); /* F3 */
    while (!err) {
        if (wait && (err = weft__fd_wait(ctx, f, WEFT__DIR_READ)) != 0)
            break;
        ssize_t got = WEFT__SOCK_RETRY(read(f->fd, buf, n));
        if (got != -EAGAIN) {
            f->drained = f->tcp && got > 0 && (size_t)got < n; /* F3, L3 */
            return got;
        }
        wait = true;
    }
    return err;
}

ssize_t weft_file_read(weft_ctx *ctx, weft_file *file, void *ret_buf, size_t n)
{
    weft_err err = file_enter(ctx, file, WEFT__FD_READING);
    if (err)
        return err;
    if (n > WEFT_IO_MAX)
        n = WEFT_IO_MAX;
    ssize_t got = 0;
    if (n != 0)
        got = file->f.pd ? file_read_ready(ctx, &file->f, ret_buf, n) : weft__disk_read(file->f.fd, ret_buf, n, -1);
    file_leave(file, WEFT__FD_READING);
    return got;
}

/* write(2) without SIGPIPE. */
static ssize_t file_write_quietly(int fd, const void *buf, size_t n)
{
    struct iovec one = {(void *)buf, n};
    if (!atomic_load_explicit(&file_no_nosignal, memory_order_relaxed)) {
        ssize_t put = WEFT__SOCK_RETRY(pwritev2(fd, &one, 1, -1, RWF_NOSIGNAL));
        if (put != -EOPNOTSUPP && put != -EINVAL && put != -ENOSYS)
            return put;
        if (put != -EINVAL) /* which write(2) has other reasons for */
            atomic_store_explicit(&file_no_nosignal, true, memory_order_relaxed);
    }
    struct weft__sigpipe quiet;
    weft__sigpipe_begin(&quiet);
    ssize_t put = WEFT__SOCK_RETRY(write(fd, buf, n));
    weft__sigpipe_end(&quiet, put == -EPIPE);
    return put;
}

static WEFT_PARKS ssize_t file_write_ready(weft_ctx *ctx, struct weft__fd *f, const void *buf, size_t n)
{
    size_t done = 0;
    weft_err err = weft__pd_check(f->pd, WEFT__DIR_WRITE);
    while (!err && done < n) {
        ssize_t put = file_write_quietly(f->fd, (const char *)buf + done, n - done);
        if (put == -EAGAIN)
            err = weft__fd_wait(ctx, f, WEFT__DIR_WRITE);
        else if (put < 0)
            err = (weft_err)put;
        else
            done += (size_t)put;
    }
    return err ? err : (ssize_t)done;
}

ssize_t weft_file_write(weft_ctx *ctx, weft_file *file, const void *buf, size_t n)
{
    if (n > WEFT_IO_MAX)
        return WEFT_ETOOBIG;
    weft_err err = file_enter(ctx, file, WEFT__FD_WRITING);
    if (err)
        return err;
    ssize_t put = file->f.pd ? file_write_ready(ctx, &file->f, buf, n) : weft__disk_write(file->f.fd, buf, n, -1);
    file_leave(file, WEFT__FD_WRITING);
    return put;
}

ssize_t weft_file_pread(weft_file *file, void *ret_buf, size_t n, uint64_t at)
{
    if (file->f.pd)
        return -ESPIPE;
    if (at > INT64_MAX)
        return WEFT_EINVAL;
    weft_err err = weft__fd_enter(&file->f, 0);
    if (err)
        return err;
    ssize_t got = weft__disk_read(file->f.fd, ret_buf, n > WEFT_IO_MAX ? WEFT_IO_MAX : n, (int64_t)at);
    weft__fd_leave(&file->f, 0);
    return got;
}

ssize_t weft_file_pwrite(weft_file *file, const void *buf, size_t n, uint64_t at)
{
    if (file->f.pd)
        return -ESPIPE;
    if (n > WEFT_IO_MAX)
        return WEFT_ETOOBIG;
    if (at > INT64_MAX - WEFT_IO_MAX)
        return WEFT_EINVAL;
    weft_err err = weft__fd_enter(&file->f, 0);
    if (err)
        return err;
    ssize_t put = weft__disk_write(file->f.fd, buf, n, (int64_t)at);
    weft__fd_leave(&file->f, 0);
    return put;
}

weft_err weft_file_sync(weft_file *file)
{
    weft_err err = weft__fd_enter(&file->f, 0);
    if (err)
        return err;
    weft_block_begin(); /* K1 */
    err = (weft_err)WEFT__SOCK_RETRY(fsync(file->f.fd));
    weft_block_end();
    weft__fd_leave(&file->f, 0);
    return err;
}

/* ---- waits and deadlines ---- */

weft_err weft_file_wait(weft_ctx *ctx, weft_file *file, int direction)
{
    if (direction != WEFT_READ && direction != WEFT_WRITE)
        return WEFT_EINVAL;
    if (!file->f.pd)
        return WEFT_EUNSUPPORTED;
    uint32_t bit = direction == WEFT_READ ? WEFT__FD_READING : WEFT__FD_WRITING;
    weft_err err = file_enter(ctx, file, bit);
    if (err)
        return err;
    /* After -EAGAIN no end is outstanding: one that comes later makes an edge, whatever was told before. */
    err = weft__fd_wait(ctx, &file->f, direction == WEFT_READ ? WEFT__DIR_READ : WEFT__DIR_WRITE);
    file_leave(file, bit);
    return err;
}

static weft_err file_set_deadline(weft_file *file, unsigned dirs, weft_time at)
{
    weft_err err = weft__fd_enter(&file->f, 0);
    if (err)
        return err;
    if (file->f.pd)
        weft__pd_set_deadline(file->f.pd, dirs, at);
    else
        err = WEFT_EUNSUPPORTED;
    weft__fd_leave(&file->f, 0);
    return err;
}

weft_err weft_file_set_deadline(weft_file *file, weft_time at)
{
    return file_set_deadline(file, WEFT__DIR_READ | WEFT__DIR_WRITE, at);
}

weft_err weft_file_set_read_deadline(weft_file *file, weft_time at)
{
    return file_set_deadline(file, WEFT__DIR_READ, at);
}

weft_err weft_file_set_write_deadline(weft_file *file, weft_time at)
{
    return file_set_deadline(file, WEFT__DIR_WRITE, at);
}

int weft_file_fd(weft_file *file)
{
    weft_err err = weft__fd_enter(&file->f, 0);
    if (err)
        return err;
    int fd = file->f.fd;
    weft__fd_leave(&file->f, 0);
    return fd;
}
