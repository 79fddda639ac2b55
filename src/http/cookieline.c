/*
 * cookieline.c - a cookie as text: the Set-Cookie field, the dates in it, and the lines of a cookie file.
 *
 * Role    Cut and build; who may set what is jar.c's business. Layer 5.
 * Limits  4,096 bytes of name and value, 1,024 of an attribute; control characters are refused, and tabs inside.
 * Source  RFC 6265 5.1.1, 5.2; the Netscape file as curl and wget write it.
 */
#include "jar_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { COOKIE_MAX = 4096, ATTRIBUTE_MAX = 1024 };

struct bit {
    const char *s;
    size_t n;
};

static struct bit trimmed(const char *s, size_t n)
{
    while (n && (*s == ' ' || *s == '\t'))
        s++, n--;
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    return (struct bit){s, n};
}

static bool bit_is(struct bit b, const char *word)
{
    return b.n == strlen(word) && strncasecmp(b.s, word, b.n) == 0;
}

bool weft__cookie_text(char **at, const char *s, size_t n)
{
    char *t = malloc(n + 1);
    if (!t)
        return false;
    memcpy(t, s, n);
    t[n] = '\0';
    free(*at);
    *at = t;
    return true;
}

void weft__cookie_free(struct weft__cookie *c)
{
    if (!c)
        return;
    free(c->name);
    free(c->value);
    free(c->domain);
    free(c->path);
    free(c);
}

/* ---- dates ---- */

static bool is_delimiter(unsigned char c)
{
    return c == 0x09 || (c >= 0x20 && c <= 0x2f) || (c >= 0x3b && c <= 0x40) || (c >= 0x5b && c <= 0x60) || (c >= 0x7b && c <= 0x7e);
}

/* Digits at *s, least to most of them; what follows must be no digit. */
static bool date_digits(const char **s, const char *end, int least, int most, int *ret)
{
    int n = 0, v = 0;
    while (*s + n < end && n < most + 1 && (*s)[n] >= '0' && (*s)[n] <= '9') {
        v = v * 10 + ((*s)[n] - '0');
        n++;
    }
    if (n < least || n > most)
        return false;
    *s += n;
    *ret = v;
    return true;
}

struct date {
    int hour, minute, second, day, month, year;
    bool time, has_day, has_month, has_year;
};

static bool date_time(struct date *d, const char *s, const char *end)
{
    int h, m, sec;
    if (!date_digits(&s, end, 1, 2, &h) || s == end || *s++ != ':' || !date_digits(&s, end, 1, 2, &m) || s == end || *s++ != ':' ||
        !date_digits(&s, end, 1, 2, &sec))
        return false;
    d->hour = h;
    d->minute = m;
    d->second = sec;
    return d->time = true;
}

static bool date_month(struct date *d, const char *s, size_t n)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (int i = 0; n >= 3 && i < 12; i++) {
        if (strncasecmp(s, names + (size_t)i * 3, 3) == 0) {
            d->month = i + 1;
            return d->has_month = true;
        }
    }
    return false;
}

static void date_token(struct date *d, const char *s, const char *end)
{
    const char *at = s;
    if (!d->time && date_time(d, s, end))
        return;
    if (!d->has_day && date_digits(&at, end, 1, 2, &d->day)) {
        d->has_day = true;
        return;
    }
    if (!d->has_month && date_month(d, s, (size_t)(end - s)))
        return;
    if (!d->has_year && date_digits(&at, end, 2, 4, &d->year))
        d->has_year = true;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (leap && month == 2);
}

/* Days since 1970 of a day in the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = year - (month <= 2), era = y / 400, yoe = y - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

bool weft__cookie_date(const char *s, size_t n, int64_t *ret)
{
    struct date d = {0};
    const char *end = s + n;
    while (s < end) {
        while (s < end && is_delimiter((unsigned char)*s))
            s++;
        const char *from = s;
        while (s < end && !is_delimiter((unsigned char)*s))
            s++;
        if (s > from)
            date_token(&d, from, s);
    }
    if (d.has_year)
        d.year += d.year >= 70 && d.year <= 99 ? 1900 : d.year <= 69 ? 2000 : 0;
    bool ok = d.time && d.has_day && d.has_month && d.has_year && d.day >= 1 && d.year >= 1601 && d.hour <= 23 &&
              d.minute <= 59 && d.second <= 59 && d.day <= month_days(d.year, d.month);
    if (ok)
        *ret = days_of(d.year, d.month, d.day) * 86400 + d.hour * 3600 + d.minute * 60 + d.second;
    return ok;
}

/* ---- Set-Cookie ---- */

static int64_t max_age(struct bit v)
{
    int64_t age = 0;
    bool minus = v.n && *v.s == '-';
    if (minus)
        return INT64_MIN;
    for (size_t i = 0; i < v.n; i++)
        age = age > INT32_MAX ? age : age * 10 + (v.s[i] - '0');
    return age > 0 ? weft__cookie_now() + age : INT64_MIN;
}

static bool is_number(struct bit v)
{
    size_t i = v.n && *v.s == '-';
    if (i == v.n)
        return false;
    while (i < v.n && v.s[i] >= '0' && v.s[i] <= '9')
        i++;
    return i == v.n;
}

static bool cookie_domain(struct weft__cookie *c, struct bit v)
{
    if (v.n && *v.s == '.')
        v.s++, v.n--;
    if (!v.n)
        return true;
    if (v.n > 255 || !weft__cookie_text(&c->domain, v.s, v.n))
        return false;
    for (char *p = c->domain; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p | 32);
    return true;
}

/* One attribute. False: memory is short, or it is none. *aged: a Max-Age has been seen, and wins over Expires. */
static bool cookie_attribute(struct weft__cookie *c, struct bit name, struct bit v, bool *aged)
{
    if (v.n > ATTRIBUTE_MAX)
        return true;
    if (bit_is(name, "max-age")) {
        if (is_number(v)) {
            c->expires = max_age(v);
            *aged = true;
        }
    } else if (bit_is(name, "expires")) {
        int64_t at;
        if (!*aged && weft__cookie_date(v.s, v.n, &at))
            c->expires = at;
    } else if (bit_is(name, "domain")) {
        return cookie_domain(c, v);
    } else if (bit_is(name, "path")) {
        return weft__cookie_text(&c->path, v.s, v.n);
    } else if (bit_is(name, "secure")) {
        c->secure = true;
    } else if (bit_is(name, "httponly")) {
        c->http_only = true;
    }
    return true;
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
            return true;
    return false;
}

/* A tab ends a word of a cookie file: in a name, value or path it could write the words behind it. */
static bool has_tab(struct bit b)
{
    return b.n && memchr(b.s, '\t', b.n);
}

static bool begins(struct bit b, const char *word)
{
    size_t n = strlen(word);
    return b.n >= n && strncasecmp(b.s, word, n) == 0;
}

static struct weft__cookie *cookie_new(struct bit name, struct bit value)
{
    struct weft__cookie *c = calloc(1, sizeof *c);
    if (c && weft__cookie_text(&c->name, name.s, name.n) && weft__cookie_text(&c->value, value.s, value.n) &&
        weft__cookie_text(&c->domain, "", 0) && weft__cookie_text(&c->path, "", 0)) {
        c->expires = INT64_MAX;
        return c;
    }
    weft__cookie_free(c);
    return NULL;
}

struct weft__cookie *weft__cookie_parse(const char *value)
{
    size_t n = strcspn(value, ";");
    const char *eq = memchr(value, '=', n);
    struct bit name = eq ? trimmed(value, (size_t)(eq - value)) : (struct bit){"", 0};
    struct bit v = eq ? trimmed(eq + 1, n - (size_t)(eq + 1 - value)) : trimmed(value, n);
    if ((!name.n && !v.n) || name.n + v.n > COOKIE_MAX || has_control(value) || has_tab(name) || has_tab(v))
        return NULL;
    if (!name.n && (begins(v, "__Secure-") || begins(v, "__Host-")))
        return NULL;   /* it would be sent as "__Host-x=y" is, without what that name promises */
    struct weft__cookie *c = cookie_new(name, v);
    bool aged = false;
    for (value += n; c && *value == ';'; value += n) {
        n = strcspn(++value, ";");
        eq = memchr(value, '=', n);
        name = trimmed(value, eq ? (size_t)(eq - value) : n);
        v = eq ? trimmed(eq + 1, n - (size_t)(eq + 1 - value)) : (struct bit){"", 0};
        if (has_tab(v) || !cookie_attribute(c, name, v, &aged)) {
            weft__cookie_free(c);
            return NULL;
        }
    }
    return c;
}

/* ---- cookie files ---- */

struct weft__cookie *weft__cookie_parse_line(const char *line, size_t n)
{
    struct bit f[7];
    bool http_only = n > 10 && memcmp(line, "#HttpOnly_", 10) == 0;
    if (http_only)
        line += 10, n -= 10;
    if (n && line[n - 1] == '\r')
        n--;
    if (!n || *line == '#' || memchr(line, '\0', n))
        return NULL;
    for (int i = 0; i < 7; i++) {
        const char *tab = i < 6 ? memchr(line, '\t', n) : NULL;
        if (i < 6 && !tab)
            return NULL;
        f[i] = (struct bit){line, tab ? (size_t)(tab - line) : n};
        n -= f[i].n + (tab != NULL);
        line += f[i].n + (tab != NULL);
    }
    if (!is_number(f[4]) || f[5].n + f[6].n > COOKIE_MAX || !f[2].n || *f[2].s != '/')
        return NULL;
    struct weft__cookie *c = cookie_new(f[5], f[6]);
    /* no host begins with a dot or a '#', and such a domain would be read as another one when it is written without its dot */
    if (!c || !cookie_domain(c, f[0]) || !*c->domain || *c->domain == '.' || *c->domain == '#' ||
        !weft__cookie_text(&c->path, f[2].s, f[2].n) || has_control(c->name) || has_control(c->value)) {
        weft__cookie_free(c);
        return NULL;
    }
    long long at = strtoll(f[4].s, NULL, 10);
    c->expires = at ? at : INT64_MAX;
    c->host_only = !bit_is(f[1], "TRUE");
    c->secure = bit_is(f[3], "TRUE");
    c->http_only = http_only;
    return c;
}

size_t weft__cookie_line(const struct weft__cookie *c, char *out, size_t n)
{
    int len = snprintf(out, n, "%s%s%s\t%s\t%s\t%s\t%lld\t%s\t%s\n", c->http_only ? "#HttpOnly_" : "", c->host_only ? "" : ".", c->domain,
                       c->host_only ? "FALSE" : "TRUE", c->path, c->secure ? "TRUE" : "FALSE",
                       c->expires == INT64_MAX ? 0LL : (long long)c->expires, c->name, c->value);
    return len > 0 ? (size_t)len : 0;
}
