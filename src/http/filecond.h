/*
 * filecond.h - what a request says about the version and the part of a file that it wants. Layer 5.
 */
#ifndef WEFT_HTTP_FILECOND_H
#define WEFT_HTTP_FILECOND_H
#include <sys/stat.h>

#include "server_int.h"

#define WEFT__RANGES_MAX 16

/* A version of a file: its validators. */
struct weft__filever {
    int64_t modified;              /* seconds */
    char date[30];                 /* Last-Modified */
    char etag[64];                 /* strong: inode, size, modification time to the nanosecond */
};
void weft__filever_of(const struct stat *st, struct weft__filever *ret_v);
/* 0: go on; 304; 412. RFC 9110 13.2.2. */
int weft__filever_check(const weft_http_request *rq, const struct weft__filever *v);

struct weft__range {
    uint64_t first, len;
};
/* The parts of size bytes that are asked for: how many; 0: the whole file; -1: none of them is there (416). */
int weft__ranges_wanted(const weft_http_request *rq, const struct weft__filever *v, uint64_t size,
                        struct weft__range ret[static WEFT__RANGES_MAX]);

/* filelist.c: answers with the names in the directory fd, which it closes. */
WEFT_PARKS void weft__file_list(weft_http_writer *w, int fd);

#endif
