/*
 * text.c - growing byte strings, and making any bytes valid UTF-8.
 *
 * Role    Rows, titles, URLs and bodies are built here.
 * Near    mem.h (what happens when memory is short), store/rows.c (the heaviest user).
 * Limits  none of its own; callers bound what they add.
 * Failure memory only: the program ends (mem.h).
 */
#include "text.h"
#include "mem.h"
#include <stdarg.h>

void text_room(struct text *t, size_t n)
{
    size_t need = t->len + n + 1;
    if (need <= t->cap)
        return;
    size_t cap = t->cap ? t->cap : 64;
    while (cap < need)
        cap += cap / 2 + 64;
    t->p = mem_grow(t->p, cap);
    t->cap = cap;
}

void text_add(struct text *t, const void *p, size_t n)
{
    text_room(t, n);
    if (n)
        memcpy(t->p + t->len, p, n);
    t->len += n;
    t->p[t->len] = 0;
}

void text_adds(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_addc(struct text *t, char c)
{
    text_room(t, 1);
    t->p[t->len++] = c;
    t->p[t->len] = 0;
}

void text_addf(struct text *t, const char *fmt, ...)
{
    char small[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n <= 0)
        return;
    if ((size_t)n < sizeof small) {
        text_add(t, small, (size_t)n);
        return;
    }
    text_room(t, (size_t)n);
    va_start(ap, fmt);
    (void)vsnprintf(t->p + t->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->len += (size_t)n;
}

void text_clear(struct text *t, size_t keep_max)
{
    if (keep_max && t->cap > keep_max)
        text_done(t);
    t->len = 0;
    if (t->p)
        t->p[0] = 0;
}

void text_done(struct text *t)
{
    free(t->p);
    *t = (struct text){0};
}

const char *text_str(const struct text *t)
{
    return t->p ? t->p : "";
}

int text_utf8_step(const unsigned char *p, size_t n)
{
    unsigned char c = p[0], lo = 0x80, hi = 0xbf;
    int more;
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf) {
        more = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        more = 2;
        lo = c == 0xe0 ? 0xa0 : 0x80;      /* overlong */
        hi = c == 0xed ? 0x9f : 0xbf;      /* surrogates */
    } else if (c >= 0xf0 && c <= 0xf4) {
        more = 3;
        lo = c == 0xf0 ? 0x90 : 0x80;
        hi = c == 0xf4 ? 0x8f : 0xbf;      /* past U+10FFFF */
    } else {
        return -1;
    }
    for (int i = 1; i <= more; i++, lo = 0x80, hi = 0xbf)
        if ((size_t)i >= n || p[i] < lo || p[i] > hi)
            return -i;
    return more + 1;
}

void text_add_utf8(struct text *t, const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    text_room(t, n);
    for (size_t i = 0, good = 0; i < n; good = i) {
        int step = 0;
        while (i < n && (step = text_utf8_step(p + i, n - i)) > 0)
            i += (size_t)step;
        text_add(t, p + good, i - good);
        if (i < n) {
            text_adds(t, "\xef\xbf\xbd");
            i += (size_t)-step;
        }
    }
}
