/*
 * filecond.c - conditional requests and ranges of files.
 *
 * Role    If-Match, If-None-Match, If-(Un)Modified-Since, If-Range, Range: read, and compared with a file's version.
 * Near    files.c. Layer 5. Limits 16 ranges; more, or more bytes in all than the file has, get the whole file.
 * Source  RFC 9110 8.8.3, 13.1, 14.
 */
#include "filecond.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

void weft__filever_of(const struct stat *st, struct weft__filever *v)
{
    v->modified = st->st_mtim.tv_sec;
    weft__http_date(v->modified, v->date);
    (void)snprintf(v->etag, sizeof v->etag, "\"%llx-%llx-%llx\"", (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
                   (unsigned long long)st->st_mtim.tv_sec * 1000000000u + (unsigned long long)st->st_mtim.tv_nsec);
}

static bool http_date_parse(const char *text, int64_t *ret_at)
{
    struct tm t = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &t);
    if (!end || *end)
        return false;
    *ret_at = timegm(&t);
    return true;
}

/* Is etag in the list, or the list "*"? weak: "W/" in front does not matter. */
static bool etag_in(const char *list, const char *etag, bool weak)
{
    size_t n = strlen(etag);
    if (strcmp(list, "*") == 0)
        return true;
    for (const char *s = list; *s;) {
        s += strspn(s, " \t,");
        bool is_weak = strncmp(s, "W/", 2) == 0;
        s += is_weak ? 2 : 0;
        if ((weak || !is_weak) && strncmp(s, etag, n) == 0)
            return true;
        if (*s == '"') {
            s++;
            s += strcspn(s, "\"");
        }
        s += strcspn(s, ",");
    }
    return false;
}

int weft__filever_check(const weft_http_request *rq, const struct weft__filever *v)
{
    const char *match = weft_http_request_header(rq, "if-match"), *none = weft_http_request_header(rq, "if-none-match");
    const char *since = weft_http_request_header(rq, "if-modified-since");
    const char *not_since = weft_http_request_header(rq, "if-unmodified-since");
    int64_t at;
    if (match ? !etag_in(match, v->etag, false) : not_since && http_date_parse(not_since, &at) && v->modified > at)
        return 412;
    if (none)
        return etag_in(none, v->etag, true) ? 304 : 0;
    return since && http_date_parse(since, &at) && v->modified <= at ? 304 : 0;
}

/* "first-last", "first-" or "-count" in s[0 .. n). 1: a part of size bytes; 0: past the end; -1: not a range. */
static int range_parse(const char *s, size_t n, uint64_t size, struct weft__range *ret)
{
    size_t n1 = strspn(s, "0123456789"), n2 = n1 < n && s[n1] == '-' ? strspn(s + n1 + 1, "0123456789") : 0;
    if (n1 + n2 + 1 != n || s[n1] != '-' || n1 + n2 == 0 || n1 > 18 || n2 > 18)
        return -1;
    uint64_t a = strtoull(s, NULL, 10), b = n2 ? strtoull(s + n1 + 1, NULL, 10) : UINT64_MAX;
    if (n1 && b < a)
        return -1;
    if (!n1) {   /* the last b bytes */
        if (!b)
            return 0;
        a = b < size ? size - b : 0;
        b = UINT64_MAX;
    }
    if (a >= size)
        return 0;
    *ret = (struct weft__range){a, (b < size - 1 ? b : size - 1) - a + 1};
    return 1;
}

int weft__ranges_wanted(const weft_http_request *rq, const struct weft__filever *v, uint64_t size,
                        struct weft__range ret[static WEFT__RANGES_MAX])
{
    const char *s = weft_http_request_header(rq, "range"), *only_if = weft_http_request_header(rq, "if-range");
    if (!s || strncasecmp(s, "bytes=", 6) != 0 || (only_if && strcmp(only_if, v->date) != 0 && strcmp(only_if, v->etag) != 0))
        return 0;
    int n = 0;
    bool some = false;
    uint64_t sum = 0;
    for (s += 6; *s;) {
        s += strspn(s, " \t,");
        size_t len = strcspn(s, " \t,");
        if (!len)
            break;
        if (n == WEFT__RANGES_MAX)
            return 0;
        int r = range_parse(s, len, size, &ret[n]);
        if (r < 0)
            return 0;
        some = true;
        sum += r ? ret[n].len : 0;
        n += r;
        s += len;
    }
    return !some ? 0 : !n ? -1 : n > 1 && sum > size ? 0 : n;
}
