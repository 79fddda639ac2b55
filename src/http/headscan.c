/*
 * headscan.c - the heads that nearly every client and server sends, read in one pass.
 *
 * Role    A whole head of plain form is cut here in 63 ns instead of 170 (40 bytes), 410 instead of 630 (394 bytes);
 *         whatever is unusual, incomplete or wrong is left to llhttp (head.c), untouched. So this file refuses nothing: it
 *         only recognizes.
 * Near    head.c; tests/unit/test_http_scan.c and tests/fuzz hold it against llhttp: what is accepted here is accepted
 *         there, with the same table. Layer 5.
 *
 * Invariants
 *   N1  true  =>  llhttp in strict mode takes the same bytes as the same method, target, fields and end.
 *   N2  false =>  not a byte of the buffer was changed.
 *
 * Limits  Common methods, origin-form targets, HTTP/1.1, status 200 to 599, 32 fields; no Transfer-Encoding, Upgrade or list in Connection;
 *         one Content-Length at most, of up to 18 digits.
 */
#include <endian.h>
#include <string.h>
#include <strings.h>

#include "http_int.h"

enum { TOKEN = 1, TARGET = 2 };

static const unsigned char class[256] = {
    ['a' ... 'z'] = TOKEN | TARGET, ['A' ... 'Z'] = TOKEN | TARGET, ['0' ... '9'] = TOKEN | TARGET,
    ['-'] = TOKEN | TARGET, ['_'] = TOKEN | TARGET, ['.'] = TOKEN | TARGET, ['~'] = TOKEN | TARGET, ['!'] = TOKEN | TARGET,
    ['$'] = TOKEN | TARGET, ['%'] = TOKEN | TARGET, ['&'] = TOKEN | TARGET, ['\''] = TOKEN | TARGET, ['*'] = TOKEN | TARGET,
    ['+'] = TOKEN | TARGET, ['#'] = TOKEN, ['^'] = TOKEN, ['`'] = TOKEN, ['|'] = TOKEN,
    ['('] = TARGET, [')'] = TARGET, [','] = TARGET, [';'] = TARGET, ['='] = TARGET, [':'] = TARGET, ['@'] = TARGET,
    ['/'] = TARGET, ['?'] = TARGET,
};

bool weft__http_is_token(const char *s)
{
    const char *at = s;
    while (class[(unsigned char)*s] & TOKEN)
        s++;
    return s != at && !*s;
}

/* The first byte of s[0 .. n) that is a control other than a tab; n if there is none. */
static size_t value_end(const char *s, size_t n)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    size_t i = 0;
    while (i + 8 <= n) {   /* eight at a time; the lowest top bit that is set tells a byte below a blank, or 0x7f, exactly */
        uint64_t x, del;
        memcpy(&x, s + i, 8);
        x = le64toh(x);
        del = x ^ ones * 0x7f;
        x = (((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & tops;
        i += x ? (size_t)__builtin_ctzll(x) / 8 : 8;
        if (x && s[i++] != '\t')
            return i - 1;
    }
    while (i < n && ((unsigned char)s[i] >= 0x20 || s[i] == '\t') && s[i] != 0x7f)
        i++;
    return i;
}

bool weft__http_field_cut(const char *name, const char *value, size_t *ret_name_len, size_t *ret_value_len)
{
    size_t n = 0;
    while (class[(unsigned char)name[n]] & TOKEN)
        n++;
    if (!n || name[n])
        return false;
    size_t len = strlen(value);
    *ret_name_len = n;
    *ret_value_len = len;
    return value_end(value, len) == len;
}

/* Is a token of 4 letters "host"? No other byte of a token becomes one of these letters by the bit. */
static bool is_host(const char *s)
{
    uint32_t x, host;
    memcpy(&x, s, 4);
    memcpy(&host, "host", 4);
    return (x | 0x20202020u) == host;
}

/* Does a token of n letters say word, in lower case? Most do not begin with its letter. */
static bool is_word(const char *s, const char *word, size_t n)
{
    return (*s | 0x20) == *word && strncasecmp(s, word, n) == 0;
}

/* Method and the blank behind it: its length, 0 when it is none of these. */
static size_t scan_method(const char *s, size_t n, uint8_t *ret_method)
{
    static const struct {
        char text[8];
        uint8_t len, method;
    } table[] = {{"GET ", 4, HTTP_GET}, {"POST ", 5, HTTP_POST}, {"HEAD ", 5, HTTP_HEAD}, {"PUT ", 4, HTTP_PUT},
                 {"DELETE ", 7, HTTP_DELETE}, {"PATCH ", 6, HTTP_PATCH}, {"OPTIONS ", 8, HTTP_OPTIONS}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (n > table[i].len && memcmp(s, table[i].text, table[i].len) == 0) {
            *ret_method = table[i].method;
            return table[i].len;
        }
    }
    return 0;
}

static bool scan_length(struct weft__head *h, const char *value, size_t n)
{
    uint64_t v = 0;
    if (!n || n > 18 || h->p.flags & F_CONTENT_LENGTH)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (value[i] < '0' || value[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(value[i] - '0');
    }
    h->p.flags |= F_CONTENT_LENGTH;
    h->p.content_length = v;
    return true;
}

static bool scan_connection(struct weft__head *h, const char *value, size_t n)
{
    if (n == 5 && strncasecmp(value, "close", 5) == 0)
        h->p.flags |= F_CONNECTION_CLOSE;
    else if (n == 10 && strncasecmp(value, "keep-alive", 10) == 0)
        h->p.flags |= F_CONNECTION_KEEP_ALIVE;
    else
        return false;
    return true;
}

/* The fields that frame the message or that every request is asked for; trimmed: blanks stood behind the value. False:
 * leave this head to llhttp, which takes some of those blanks for part of the value. */
static bool scan_known(struct weft__head *h, const struct weft__hfield *f, bool trimmed)
{
    const char *d = h->buf->data, *name = d + f->name, *value = d + f->value;
    switch (f->name_len) {
    case 4:
        if (is_host(name)) {
            h->hosts++;
            h->host_at = (uint32_t)(f - h->near);
        }
        return true;
    case 6:
        if (is_word(name, "expect", 6))
            h->expects = true;
        return true;
    case 7:
        return !is_word(name, "upgrade", 7);
    case 10:
        return !is_word(name, "connection", 10) || (!trimmed && scan_connection(h, value, f->value_len));
    case 14:
        return !is_word(name, "content-length", 14) || (!trimmed && scan_length(h, value, f->value_len));
    case 16:
        return !is_word(name, "proxy-connection", 16);
    case 17:
        return !is_word(name, "transfer-encoding", 17);
    default:
        return true;
    }
}

/* One field from at: the offset behind its line, or 0. */
static size_t scan_field(struct weft__head *h, size_t at, size_t len)
{
    const char *d = h->buf->data;
    size_t name = at;
    while (at < len && class[(unsigned char)d[at]] & TOKEN)
        at++;
    if (at == name || at == len || d[at] != ':' || h->fields_len == WEFT__HEAD_FIELDS)
        return 0;
    struct weft__hfield *f = &h->near[h->fields_len++];
    f->name = (uint32_t)name;
    f->name_len = (uint32_t)(at++ - name);
    while (at < len && (d[at] == ' ' || d[at] == '\t'))
        at++;
    size_t end = at + value_end(d + at, len - at), behind = end + 2;
    if (behind >= len || d[end] != '\r' || d[end + 1] != '\n' || d[behind] == ' ' || d[behind] == '\t')
        return 0;
    size_t raw_end = end;
    while (end > at && (d[end - 1] == ' ' || d[end - 1] == '\t'))
        end--;
    f->value = (uint32_t)at;
    f->value_len = (uint32_t)(end - at);
    return scan_known(h, f, end != raw_end) ? behind : 0;
}

static void scan_start(struct weft__head *h, struct weft__hbuf *buf)
{
    h->buf = buf;
    h->p.flags = 0;
    h->p.content_length = 0;
    h->fields = h->near;
    h->fields_len = h->hosts = 0;
    h->expects = false;
}

/* The fields from at on, to the end of the head. */
static bool scan_fields(struct weft__head *h, size_t at, size_t len)
{
    const char *d = h->buf->data;
    while (d[at] != '\r')
        if ((at = scan_field(h, at, len)) == 0)
            return false;
    if (at + 1 >= len || d[at + 1] != '\n')
        return false;
    h->end = h->parsed = (uint32_t)(at + 2);
    h->p.http_major = h->p.http_minor = 1;
    h->complete = h->scanned = true;
    h->in_value = h->in_body = h->nomem = h->message_done = false;
    h->fields_cap = WEFT__HEAD_FIELDS;
    h->out = NULL;
    h->out_len = 0;
    h->trailers = NULL;
    h->keep_trailers = false;
    weft__head_terminate(h);
    return true;
}

bool weft__head_scan(struct weft__head *h, struct weft__hbuf *buf, size_t start, size_t len)
{
    static const char line_end[] = " HTTP/1.1\r\n";
    const char *d = buf->data;
    scan_start(h, buf);
    size_t at = start + scan_method(d + start, len - start, &h->p.method), target = at;
    if (at == start || d[at] != '/')
        return false;
    while (at < len && class[(unsigned char)d[at]] & TARGET)
        at++;
    if (len - at < sizeof line_end + 1 || memcmp(d + at, line_end, sizeof line_end - 1) != 0)
        return false;
    h->target = (uint32_t)target;
    h->target_len = (uint32_t)(at - target);
    return scan_fields(h, at + sizeof line_end - 1, len);
}

bool weft__head_scan_response(struct weft__head *h, struct weft__hbuf *buf, size_t len)
{
    const char *d = buf->data;
    size_t at = sizeof "HTTP/1.1 200 " - 1;
    if (len < at + 4 || memcmp(d, "HTTP/1.1 ", 9) != 0 || d[12] != ' ' || d[9] < '2' || d[9] > '5')
        return false;   /* interim ones and odd numbers are left to llhttp */
    for (int i = 10; i < 12; i++)
        if (d[i] < '0' || d[i] > '9')
            return false;
    scan_start(h, buf);
    h->p.status_code = (uint16_t)((d[9] - '0') * 100 + (d[10] - '0') * 10 + (d[11] - '0'));
    at += value_end(d + at, len - at);
    if (len - at < 4 || d[at] != '\r' || d[at + 1] != '\n')
        return false;
    h->target = h->target_len = 0;
    return scan_fields(h, at + 2, len);
}
