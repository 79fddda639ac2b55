/* jar_int.h - a cookie, as jar.c keeps it and cookieline.c reads and writes it. Layer 5. */
#ifndef WEFT_HTTP_JAR_INT_H
#define WEFT_HTTP_JAR_INT_H
#include "jar.h"

struct weft__cookie {
    struct weft__cookie *next;        /* [jar lock] bucket */
    char *name, *value, *domain, *path;   /* [const] never NULL; domain in lower case, "" until it is known */
    int64_t expires;                  /* [const] seconds since 1970; INT64_MAX: with the jar */
    uint64_t born, used;              /* [jar lock] */
    bool host_only, secure, http_only;   /* [const] */
};

/* A Set-Cookie value. NULL: refused, or memory is short. domain and path are as it said, "" for nothing. */
struct weft__cookie *weft__cookie_parse(const char *value);
/* A line of a Netscape cookie file, n bytes. NULL: not one. */
struct weft__cookie *weft__cookie_parse_line(const char *line, size_t n);
/* c as such a line: its length; written if it fits into n bytes with a NUL. */
size_t weft__cookie_line(const struct weft__cookie *c, char *out, size_t n);
void weft__cookie_free(struct weft__cookie *c);
/* *at = the first n bytes of s. False: memory is short. */
bool weft__cookie_text(char **at, const char *s, size_t n);
/* Seconds since 1970. */
int64_t weft__cookie_now(void);
/* RFC 6265 5.1.1: a date in any of the forms that servers use, to seconds since 1970. */
bool weft__cookie_date(const char *s, size_t n, int64_t *ret);

#endif
