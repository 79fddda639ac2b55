/*
 * mux_int.h - patterns of a mux: what muxpattern.c (reading and comparing) and mux.c (tree and dispatch) share. Layer 5.
 */
#ifndef WEFT_HTTP_MUX_INT_H
#define WEFT_HTTP_MUX_INT_H
#include "server_int.h"

#define WEFT__MUX_SEGMENTS 64

struct weft__segment {
    const char *text;              /* a literal, decoded, or a wildcard's name */
    uint32_t len;
    bool wild, multi;              /* multi: the rest of the path; last only. Its name is empty where a pattern ends in '/' */
    bool end;                      /* {$}: the empty segment behind a last '/' */
};

/* "[METHOD ][HOST]/[PATH]" taken apart. One malloc; text is the pattern as given. */
struct weft__pattern {
    char *text;
    const char *method, *host;     /* "" for any */
    weft_http_handler *handler;
    void *arg;
    struct weft__pattern *next;    /* all of a mux */
    uint32_t len;
    struct weft__segment seg[];
};

/* NULL with *ret_why in words when the pattern is none. */
struct weft__pattern *weft__pattern_parse(const char *text, const char **ret_why);
/* Is there a request that both take, and neither takes less than the other? */
bool weft__pattern_conflict(const struct weft__pattern *a, const struct weft__pattern *b);
/* Decoded bytes of s[0 .. n) into out (room for n): their count, or -1 when a % is not followed by two digits or is 00. */
int weft__percent_decode(const char *s, size_t n, char *out);

#endif
