/*
 * replyhead.c - status lines, dates, and the fields that are the server's own.
 *
 * Role    The head of an answer up to the handler's fields, written without printf: it is made for every request.
 * Near    reply.c, which says where it goes. Layer 5.
 * Order   DT1 seen: release by who looked at the clock -> acquire by who answers after the same look at the net. Carries the second, or
 *             that of a later look. Two who look at once may leave the older one of two seconds for one look.
 * Locks   date_lock, for a copy of 29 bytes.
 */
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "../sched/sched.h"
#include "server_int.h"

/* "00".."99" at p. */
static void two(char *p, int v)
{
    p[0] = (char)('0' + v / 10 % 10);
    p[1] = (char)('0' + v % 10);
}

void weft__http_date(int64_t unix_s, char ret[static 30])
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm t;
    time_t s = (time_t)unix_s;
    (void)gmtime_r(&s, &t);
    memcpy(ret, "Sun, 00 Jan 0000 00:00:00 GMT", 30);
    memcpy(ret, days + 3 * t.tm_wday, 3);
    two(ret + 5, t.tm_mday);
    memcpy(ret + 8, months + 3 * t.tm_mon, 3);
    two(ret + 12, (t.tm_year + 1900) / 100);
    two(ret + 14, t.tm_year % 100);
    two(ret + 17, t.tm_hour);
    two(ret + 20, t.tm_min);
    two(ret + 23, t.tm_sec);
}

/* The second it is. Answers after one look at the net share a look at the clock; the net is looked at each few milliseconds. */
static int64_t date_second(void)
{
    static _Atomic weft_time seen;     /* [DT1] */
    static _Atomic int64_t second;     /* [DT1] */
    struct timespec ts;
    weft_time look = weft__net_seen();
    if (look != 0 && atomic_load_explicit(&seen, memory_order_acquire) == look) /* DT1 */
        return atomic_load_explicit(&second, memory_order_relaxed);
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &ts);   /* lint: the time of day, which src/sys does not have */
    atomic_store_explicit(&second, ts.tv_sec, memory_order_relaxed);
    atomic_store_explicit(&seen, look, memory_order_release); /* DT1 */
    return ts.tv_sec;
}

/* Made once a second. */
static void date_copy(int64_t now, char ret[static 29])
{
    static struct weft__lock date_lock;
    static int64_t at;         /* [date_lock] */
    static char text[30];      /* [date_lock] */
    weft__lock(&date_lock);
    if (now != at) {
        weft__http_date(now, text);
        at = now;
    }
    memcpy(ret, text, 29);
    weft__unlock(&date_lock);
}

void weft__http_date_now(char *ret)
{
    date_copy(date_second(), ret);
}

#define START_DATE (sizeof "HTTP/1.1 200 OK\r\nDate: " - 1)

/* How an answer of 200 and a stated length begins, up to that. An exchange keeps it for the second. */
static const char *start_of(struct weft__exch *x)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: ";
    _Static_assert(sizeof text - 1 == WEFT__START, "start");
    int64_t now = date_second();
    if (now != x->date_at) {
        memcpy(x->start, text, WEFT__START);
        date_copy(now, x->start + START_DATE);
        x->date_at = now;
    }
    return x->start;
}

const char *weft__http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } table[] = {{200, "OK"}, {101, "Switching Protocols"}, {103, "Early Hints"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
        {206, "Partial Content"}, {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"}, {304, "Not Modified"},
        {307, "Temporary Redirect"}, {308, "Permanent Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"},
        {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"}, {406, "Not Acceptable"},
        {408, "Request Timeout"}, {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"}, {412, "Precondition Failed"},
        {413, "Content Too Large"}, {414, "URI Too Long"}, {415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"}, {418, "I'm a teapot"}, {422, "Unprocessable Content"}, {426, "Upgrade Required"},
        {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
        {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status)
            return table[i].text;
    return "Status";
}

static char *put(char *p, const char *s, size_t n)
{
    memcpy(p, s, n);
    return p + n;
}

#define PUT(p, lit) put(p, lit, sizeof(lit) - 1)

/* v's digits before p: where they begin. */
static char *number_before(char *p, uint64_t v)
{
    do
        *--p = (char)('0' + v % 10);
    while (v /= 10);
    return p;
}

#define PUT_BEFORE(p, lit) ((char *)memcpy((p) - (sizeof(lit) - 1), lit, sizeof(lit) - 1))

uint32_t weft__reply_head_before(const struct weft_http_writer *w, char *end)
{
    char *p = w->close ? PUT_BEFORE(end, "Connection: close\r\n") : end;
    p = PUT_BEFORE(p, "\r\n");
    p = number_before(p, w->length) - WEFT__START;
    memcpy(p, start_of(w->sc->x), WEFT__START);
    return (uint32_t)(end - p);
}

uint32_t weft__reply_head(const struct weft_http_writer *w, char ret[static WEFT__REPLY_FIXED])
{
    char *p = ret, digits[20];
    const char *words = weft__http_status_text(w->status);
    p = PUT(p, "HTTP/1.1 ");
    *p++ = (char)('0' + w->status / 100);
    two(p, w->status);
    p[2] = ' ';
    p = put(p + 3, words, strlen(words));
    p = PUT(p, "\r\nDate: ");
    p = put(p, start_of(w->sc->x) + START_DATE, 29);
    p = PUT(p, "\r\n");
    if (w->has_length && w->status != 204) {
        const char *from = number_before(digits + sizeof digits, w->length);
        p = PUT(p, "Content-Length: ");
        p = put(p, from, (size_t)(digits + sizeof digits - from));
        p = PUT(p, "\r\n");
    }
    if (w->chunked)
        p = PUT(p, "Transfer-Encoding: chunked\r\n");
    if (w->close)
        p = PUT(p, "Connection: close\r\n");
    else if (w->old)
        p = PUT(p, "Connection: keep-alive\r\n");
    else if (w->status == 101)
        p = PUT(p, "Connection: Upgrade\r\n");
    return (uint32_t)(p - ret);
}
