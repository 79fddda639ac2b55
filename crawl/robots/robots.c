/*
 * robots.c - robots.txt: parsing and matching, by RFC 9309.
 *
 * Role    Decides which paths of a site may be asked for, and how slowly.
 * Near    fetch/robotstxt.c (gets the file and turns failures into verdicts), frontier/frontier.c (asks).
 * Invariants
 *   R1  a rule's pattern is normalised as canonical URLs are (canon_percent, other bytes escaped), so comparing bytes
 *       is comparing URLs.
 *   R2  rules are those of all groups that name the product; only if there is none, those of all "*" groups.
 * Locks   none: immutable after robots_parse.
 * Limits  ROBOTS_BYTES_MAX of file; a pattern of any length within it. Matching is linear in path times pattern.
 * Failure memory only: the program ends (mem.h).
 * Not so  Rules without a leading "/" or "*" are not guessed at: they match nothing, as at Google.
 *         Sitemap and unknown lines do not end a list of User-agent lines; Crawl-delay does, as a rule would.
 */
#include "robots.h"
#include "../base/mem.h"
#include "../base/text.h"
#include "../parse/canon.h"
#include <strings.h>

struct rule {
    uint32_t at, len;         /* pattern in robots.patterns, without a final $ */
    uint32_t weight;          /* length as written, for "the longest match wins" */
    bool allow;
    bool to_end;              /* ended in $ */
};

struct robots {
    struct text patterns;
    struct rule *rules;
    size_t rules_len, rules_cap;
    int64_t delay_ms;
    bool allow_else;          /* no rule matches */
    int kind;
    char why[240];
};

/* State of parsing: two candidate rule sets, ours and everybody's. */
struct robots_reader {
    struct robots *ours, *star;
    const char *product;
    bool found;               /* a group names us */
    bool in_agents;           /* the last line that counts was a User-agent */
    bool for_us, for_all;     /* the group being read */
};

static struct robots *robots_new(void)
{
    struct robots *r = mem_new(sizeof *r);
    r->allow_else = true;
    return r;
}

struct robots *robots_all(bool allow, const char *why, int kind)
{
    struct robots *r = robots_new();
    r->allow_else = allow;
    r->kind = kind;
    snprintf(r->why, sizeof r->why, "%s", why);
    return r;
}

void robots_free(struct robots *r)
{
    if (!r)
        return;
    text_done(&r->patterns);
    free(r->rules);
    free(r);
}

static void robots_add_rule(struct robots *r, bool allow, const char *pat, size_t len)
{
    if (r->rules_len == r->rules_cap) {
        r->rules_cap = r->rules_cap ? 2 * r->rules_cap : 16;
        r->rules = mem_grow(r->rules, r->rules_cap * sizeof *r->rules);
    }
    struct text *t = &r->patterns;
    uint32_t at = (uint32_t)t->len;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)pat[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"<>`", c))
            text_addf(t, "%%%02X", c);
        else
            text_addc(t, (char)c);
    }
    t->len = at + canon_percent(t->p + at, t->len - at);              /* R1 */
    struct rule rule = {.at = at, .len = (uint32_t)t->len - at, .allow = allow};
    rule.weight = rule.len;
    while (rule.len && t->p[at + rule.len - 1] == '$') {
        rule.to_end = true;
        rule.len--;
    }
    r->rules[r->rules_len++] = rule;
}

/* "weft", "Weft/1.0" and "weft bot" name us; "weftbot" does not. */
static bool robots_names_us(const char *v, size_t len, const char *product)
{
    size_t n = 0;
    while (n < len && (((v[n] | 0x20) >= 'a' && (v[n] | 0x20) <= 'z') || v[n] == '-' || v[n] == '_'))
        n++;
    return n == strlen(product) && !strncasecmp(v, product, n);
}

static void robots_agent(struct robots_reader *rd, const char *v, size_t len)
{
    if (!rd->in_agents)
        rd->for_us = rd->for_all = false;
    rd->in_agents = true;
    if (len && v[0] == '*')
        rd->for_all = true;
    else if (robots_names_us(v, len, rd->product))
        rd->for_us = rd->found = true;
}

static void robots_rule(struct robots_reader *rd, bool allow, const char *v, size_t len)
{
    rd->in_agents = false;
    if (!len || (v[0] != '/' && v[0] != '*'))
        return;
    if (rd->for_us)
        robots_add_rule(rd->ours, allow, v, len);
    if (rd->for_all)
        robots_add_rule(rd->star, allow, v, len);
}

static void robots_delay(struct robots_reader *rd, const char *v, size_t len)
{
    char num[32], *end;
    rd->in_agents = false;
    if (!len || len >= sizeof num)
        return;
    memcpy(num, v, len);
    num[len] = 0;
    double s = strtod(num, &end);
    if (end == num || !(s > 0))
        return;
    int64_t ms = s > ROBOTS_DELAY_MAX ? (int64_t)ROBOTS_DELAY_MAX * 1000 : (int64_t)(s * 1000);
    if (rd->for_us)
        rd->ours->delay_ms = ms;
    if (rd->for_all)
        rd->star->delay_ms = ms;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f' || c == '\v';
}

static void trim(const char **p, const char **end)
{
    while (*p < *end && blank(**p))
        ++*p;
    while (*end > *p && blank((*end)[-1]))
        --*end;
}

static bool key_is(const char *k, size_t len, const char *name)
{
    return len == strlen(name) && !strncasecmp(k, name, len);
}

static void robots_line(struct robots_reader *rd, const char *p, const char *end)
{
    const char *hash = memchr(p, '#', (size_t)(end - p));
    if (hash)
        end = hash;
    const char *colon = memchr(p, ':', (size_t)(end - p));
    if (!colon)
        return;
    const char *k = p, *k_end = colon, *v = colon + 1, *v_end = end;
    trim(&k, &k_end);
    trim(&v, &v_end);
    size_t k_len = (size_t)(k_end - k), v_len = (size_t)(v_end - v);
    if (key_is(k, k_len, "user-agent"))
        robots_agent(rd, v, v_len);
    else if (key_is(k, k_len, "allow"))
        robots_rule(rd, true, v, v_len);
    else if (key_is(k, k_len, "disallow"))
        robots_rule(rd, false, v, v_len);
    else if (key_is(k, k_len, "crawl-delay"))
        robots_delay(rd, v, v_len);
}

struct robots *robots_parse(const char *body, size_t len, const char *product)
{
    struct robots_reader rd = {.ours = robots_new(), .star = robots_new(), .product = product};
    const char *p = body, *end = body + len;
    if (len > ROBOTS_BYTES_MAX) {           /* a line cut in two would be another rule: leave it out */
        end = body + ROBOTS_BYTES_MAX;
        while (end > p && end[-1] != '\n' && end[-1] != '\r')
            end--;
    }
    if (end - p >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
        p += 3;
    while (p < end) {
        const char *eol = p;
        while (eol < end && *eol != '\n' && *eol != '\r')
            eol++;
        robots_line(&rd, p, eol);
        p = eol + 1;
    }
    robots_free(rd.found ? rd.star : rd.ours);                        /* R2 */
    return rd.found ? rd.ours : rd.star;
}

/* Does the pattern, with * for any bytes, match the path from its beginning (and to its end)? */
static bool rule_matches(const char *pat, size_t pat_len, bool to_end, const char *path, size_t len)
{
    const char *pat_end = pat + pat_len, *end = path + len;
    for (bool first = true;; first = false) {
        const char *star = memchr(pat, '*', (size_t)(pat_end - pat));
        size_t piece = (size_t)((star ? star : pat_end) - pat);
        if (piece > (size_t)(end - path))
            return false;
        if (!star && to_end && !first)       /* the last piece, anywhere behind a star: at the end */
            return !memcmp(end - piece, pat, piece);
        const char *hit = first ? (memcmp(path, pat, piece) ? NULL : path)
                                : (piece ? memmem(path, (size_t)(end - path), pat, piece) : path);
        if (!hit)
            return false;
        path = hit + piece;
        if (!star)
            return !to_end || path == end;
        pat = star + 1;
    }
}

bool robots_allows(const struct robots *r, const char *path, size_t len)
{
    static const char self[] = "/robots.txt";
    if (len == sizeof self - 1 && !memcmp(path, self, len))
        return true;
    const struct rule *best = NULL;
    for (size_t i = 0; i < r->rules_len; i++) {
        const struct rule *rule = &r->rules[i];
        bool longer = !best || rule->weight > best->weight || (rule->weight == best->weight && rule->allow);
        if (longer && rule_matches(r->patterns.p + rule->at, rule->len, rule->to_end, path, len))
            best = rule;
    }
    return best ? best->allow : r->allow_else;
}

int64_t robots_delay_ms(const struct robots *r)
{
    return r->delay_ms;
}

int robots_kind(const struct robots *r)
{
    return r->kind;
}

const char *robots_why(const struct robots *r)
{
    return r->why;
}
