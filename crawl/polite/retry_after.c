/*
 * retry_after.c - Retry-After: seconds or a date.
 *
 * Role    fetch/visit.c asks after a 429 or 503; frontier/frontier.c keeps the site quiet for that long.
 * Limits  numbers past 10^9 seconds count as 10^9.
 */
#include "retry_after.h"
#include <ctype.h>
#include <stddef.h>
#include <string.h>

int64_t retry_after_ms(const char *value, time_t now)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S", "%A, %d-%b-%y %H:%M:%S", "%a %b %d %H:%M:%S %Y"};
    if (!value || !*value)
        return -1;
    if (isdigit((unsigned char)*value)) {
        int64_t s = 0;
        const char *p = value;
        for (; isdigit((unsigned char)*p); p++)
            s = s > 100000000 ? 1000000000 : s * 10 + (*p - '0');
        return *p ? -1 : s * 1000;
    }
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm = {0};
        if (strptime(value, forms[i], &tm)) {
            time_t at = timegm(&tm);
            return at > now ? (int64_t)(at - now) * 1000 : 0;
        }
    }
    return -1;
}
