/*
 * file_int.h - reading what may be on a disk, for who has a descriptor and no weft_file: src/net, src/http. Layer 4.
 */
#ifndef WEFT_IO_FILE_INT_H
#define WEFT_IO_FILE_INT_H
#include <weft/base.h>

/* pread(2) that never holds a processor up: n bytes, fewer at the end of the file only, or -errno. at < 0: the position. */
WEFT_PARKS ssize_t weft__disk_read(int fd, void *ret_buf, size_t n, int64_t at);
/* All n bytes; n or -errno. */
WEFT_PARKS ssize_t weft__disk_write(int fd, const void *buf, size_t n, int64_t at);

#endif
