/*
 * robotstag.c - directives for robots in a header or a meta element.
 *
 * Role    Only nofollow and none matter: this crawler keeps no index.
 * Near    fetch/worker.c (the header), parse/pagelinks.c (the element), robots.c (the file).
 * Not so  "max-image-preview:none" has the word none, and forbids nothing here.
 */
#include "robotstag.h"
#include <string.h>
#include <strings.h>

static bool is_word(const char *p, size_t len, const char *word)
{
    return len == strlen(word) && !strncasecmp(p, word, len);
}

/* A directive with a value of its own, or the second half of a date such as "Sat, 25 Jun 2030 15:00:00 GMT". */
static bool has_value(const char *p, size_t len)
{
    if (!len || memchr(p, ' ', len))
        return true;
    static const char *const names[] = {"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_word(p, len, names[i]))
            return true;
    return false;
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void trim(const char **p, const char **end)
{
    while (*p < *end && blank(**p))
        ++*p;
    while (*end > *p && blank((*end)[-1]))
        --*end;
}

/* Does the directive have a word that forbids? Blanks part words too: "noindex nofollow" is met often. */
static bool forbids(const char *p, const char *end)
{
    while (p < end) {
        const char *word = p;
        while (p < end && !blank(*p))
            p++;
        if (is_word(word, (size_t)(p - word), "nofollow") || is_word(word, (size_t)(p - word), "none"))
            return true;
        while (p < end && blank(*p))
            p++;
    }
    return false;
}

bool robotstag_nofollow(const char *value, size_t len, const char *product)
{
    bool ours = true;
    for (const char *p = value, *end = value + len, *comma; p < end; p = comma + 1) {
        comma = memchr(p, ',', (size_t)(end - p));
        comma = comma ? comma : end;
        const char *colon = memchr(p, ':', (size_t)(comma - p)), *last = comma;
        if (colon) {
            const char *name_end = colon;
            trim(&p, &name_end);
            if (has_value(p, (size_t)(name_end - p)))
                continue;
            ours = is_word(p, (size_t)(name_end - p), product);
            p = colon + 1;
        }
        trim(&p, &last);
        if (ours && forbids(p, last))
            return true;
    }
    return false;
}
