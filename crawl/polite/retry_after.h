/*
 * retry_after.h - how long a server asks us to stay away.
 */
#ifndef CRAWL_RETRY_AFTER_H
#define CRAWL_RETRY_AFTER_H
#include <stdint.h>
#include <time.h>

/**
 * retry_after_ms - read a Retry-After value.
 *
 * @value    seconds, or an HTTP date (IMF-fixdate, RFC 850 or asctime form); NULL is allowed.
 * @now      wall-clock seconds, for dates.
 *
 * Returns   milliseconds, at least 0; a date in the past is 0; -1 if there is no value or it makes no sense.
 *
 * Source    RFC 9110 10.2.3, 5.6.7.
 */
int64_t retry_after_ms(const char *value, time_t now);

#endif
