/*
 * weft/io.h - files, pipes, terminals and any other descriptor, read and written as if each call blocked.
 *
 * A weft_file is a descriptor that the library keeps. Where the kernel can tell when it is ready (pipes, terminals, sockets,
 * eventfd, inotify) it is registered once and a wait costs no system call of its own. Regular files, directories and block
 * devices are always ready for poll(2) and yet may wait for a disk: what the page cache has is read at once, all else is done
 * while the processor runs other goroutines.
 *
 * Source  Go os.File, os.NewFile, os.Pipe. Unlike Go: read and write take a context; a second goroutine in one direction of a
 *         pipe is refused with WEFT_EBUSY.
 */
#ifndef WEFT_IO_H
#define WEFT_IO_H
#include <sys/stat.h>
#include <weft/base.h>
#include <weft/net.h>

#pragma GCC system_header

typedef struct weft_file weft_file;

/**
 * weft_file_open - open a file.
 *
 * @flags    as of open(2): O_RDONLY, O_WRONLY, O_RDWR, with O_CREAT, O_TRUNC, O_APPEND, O_EXCL and so on. O_CLOEXEC, O_NONBLOCK
 *           and O_NOCTTY are added: a FIFO opens at once (fifo(7): for writing -ENXIO while nobody reads it).
 * @mode     permissions of a file that O_CREAT makes, cut by the umask.
 *
 * Returns   0 and *ret_file; -ENOENT, -EACCES, -EMFILE and others as the kernel gave them; WEFT_ENOMEM.
 * Parks     perhaps, while the kernel looks for the path on a disk.
 * Owns      the caller closes *ret_file. Source: Go os.OpenFile.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_file_open(const char *path, int flags, mode_t mode, weft_file **ret_file);

/**
 * weft_file_take_fd - a file around a descriptor that something else made: a child's pipe, stdin, eventfd(2), inotify(7), a tty.
 *
 * @fd       owned by the file from then on; after an error still the caller's. What can be waited for is made non-blocking: that
 *           is seen by every process that shares the open file (a terminal's shell, say). F_SETFL takes it back.
 *
 * Returns   0 and *ret_file; -EBADF and others; -EEXIST: weft waits for this descriptor already; WEFT_ENOMEM. Does not park.
 * Owns      the caller closes *ret_file. Source: Go os.NewFile.
 */
WEFT_API WEFT_MUST_USE
weft_err weft_file_take_fd(int fd, weft_file **ret_file);

/** weft_pipe - what is written to *ret_write is read from *ret_read; the caller closes both. Returns 0, -EMFILE and others, or
 * WEFT_ENOMEM. Does not park. Source: Go os.Pipe. */
WEFT_API WEFT_MUST_USE
weft_err weft_pipe(weft_file **ret_read, weft_file **ret_write);

/**
 * weft_file_read, weft_file_write - at the file's own position.
 *
 * @ctx      cancels the wait; NULL means wait without limit. A regular file's is looked at before only.
 * @ret_buf  room for n bytes.
 * @n        bytes, 0 .. WEFT_IO_MAX (reading: more is cut; writing: WEFT_ETOOBIG).
 *
 * Returns   read: bytes, 1 .. n, fewer in a regular file only at its end; 0 at the end. write: n. Or a negative weft_err; then an
 *           unknown part was written.
 * Errors    WEFT_ECANCELED, WEFT_EDEADLINE; WEFT_ECLOSED; WEFT_EBUSY (pipes and kin: one reader and one writer at a time); -EPIPE
 *           (nobody reads the pipe any more; no SIGPIPE), -EBADF, -EIO, -ENOSPC and others as the kernel gave them.
 * Parks     until there is something, or room; or while the disk works.
 * Costs     a regular file's bytes that are in the page cache: preadv2(2), as quick as read. Others: the processor is handed on
 *           and waited for again. No allocation.
 * Source    Go os.File Read, Write.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_file_read(weft_ctx *ctx, weft_file *file, void *ret_buf, size_t n);
WEFT_API WEFT_PARKS
ssize_t weft_file_write(weft_ctx *ctx, weft_file *file, const void *buf, size_t n);

/**
 * weft_file_pread, weft_file_pwrite - at an offset, leaving the position alone; any number of goroutines at a time.
 *
 * @ret_buf  room for n bytes.
 * @n        bytes, 0 .. WEFT_IO_MAX (as weft_file_read and _write). @at the offset of the first one.
 *
 * Returns   as weft_file_read and _write; pread fewer than n only at the end. -ESPIPE: a pipe or the like.
 * Parks     while the disk works. Source: Go os.File ReadAt, WriteAt.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
ssize_t weft_file_pread(weft_file *file, void *ret_buf, size_t n, uint64_t at);
WEFT_API WEFT_PARKS
ssize_t weft_file_pwrite(weft_file *file, const void *buf, size_t n, uint64_t at);

/** weft_file_sync - until what was written is on the disk (fsync). Returns 0, WEFT_ECLOSED, -EIO and others. Parks meanwhile. */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_file_sync(weft_file *file);

/**
 * weft_file_wait - park until the descriptor may be ready: for who makes the system calls himself (inotify, timerfd, a library's fd).
 *
 * @direction  WEFT_READ or WEFT_WRITE; one goroutine at a time in each.
 *
 * Returns   0: try again (it may be spurious); or an error as weft_file_read. WEFT_EUNSUPPORTED: a regular file.
 * Orders    the call comes first: try, and wait after -EAGAIN. What was there before and was not read wakes nobody again.
 * Parks     until something new has come. Costs no system call, where weft_fd_wait costs four.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_file_wait(weft_ctx *ctx, weft_file *file, int direction);

/** weft_file_set_deadline, _read_deadline, _write_deadline - as weft_conn_set_deadline, `at` an instant of weft_now (ns; 0 none).
 * Returns 0, WEFT_ECLOSED; a regular file: WEFT_EUNSUPPORTED. Does not park. Source: Go os.File SetDeadline. */
WEFT_API weft_err weft_file_set_deadline(weft_file *file, weft_time at);
WEFT_API weft_err weft_file_set_read_deadline(weft_file *file, weft_time at);
WEFT_API weft_err weft_file_set_write_deadline(weft_file *file, weft_time at);

/** weft_file_fd - the descriptor, lent (for fstat, ftruncate, lseek, ioctl): do not close it. WEFT_ECLOSED when closed. Does not
 * park. */
WEFT_API int weft_file_fd(weft_file *file);

/**
 * weft_file_close - close; goroutines that wait for it wake with WEFT_ECLOSED.
 *
 * Returns   0. NULL is allowed. Does not park.
 * Owns      ends file: calls inside at that moment are safe, later ones are not.
 */
WEFT_API weft_err weft_file_close(weft_file *file);

#endif
