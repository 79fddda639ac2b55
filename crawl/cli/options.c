/*
 * options.c - flags of `weft crawl`, from one table.
 *
 * Role    The table is the parser, the defaults and the help text: a flag is added in one place.
 * Near    crawl_main.c checks what needs the world (files, URLs).
 * Limits  -c up to 100,000; counts below 2^53; durations up to 100 years.
 */
#include "options.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/base.h>

#define DEFAULT_AGENT "weft/" WEFT_VERSION " (+mailto:operator@example.invalid; set yours with --user-agent)"

enum kind { FLAG, COUNT, DURATION, STRING };

static const struct flag {
    const char *name, *brief, *word, *help;
    enum kind kind;
    size_t at;
    int64_t min, max;
} flags[] = {
    {"--list", NULL, "FILE", "fetch just the URLs of FILE, one a line (\"-\": standard input)", STRING,
     offsetof(struct crawl_options, list), 0, 0},
    {"--concurrency", "-c", "N", "fetches at a time, over all hosts (default 100)", COUNT,
     offsetof(struct crawl_options, workers), 1, 100000},
    {"--output", "-o", "FILE", "write rows to FILE.csv or FILE.jsonl (default pages.csv; \"-\": CSV to standard output)",
     STRING, offsetof(struct crawl_options, out), 0, 0},
    {"--depth", NULL, "N", "follow links at most N steps from the URLs given (default: no limit)", COUNT,
     offsetof(struct crawl_options, depth), 0, UINT32_MAX - 1},
    {"--max-pages", NULL, "N", "stop after N pages (default: no limit)", COUNT,
     offsetof(struct crawl_options, pages_max), 1, (int64_t)1 << 53},
    {"--max-time", NULL, "TIME", "start no fetch after TIME (default: no limit)", DURATION,
     offsetof(struct crawl_options, time_max), 1, INT64_MAX},
    {"--timeout", NULL, "TIME", "give a fetch up after TIME (default 10s)", DURATION,
     offsetof(struct crawl_options, timeout), 1, INT64_MAX},
    {"--per-host", NULL, "N", "fetches of one host at a time (default 1)", COUNT,
     offsetof(struct crawl_options, per_site), 1, 100000},
    {"--delay", NULL, "TIME", "pause between two fetches of a host (default 1s; robots.txt may ask for more)", DURATION,
     offsetof(struct crawl_options, delay), 0, INT64_MAX},
    {"--allow-private", NULL, NULL, "also connect to loopback and private addresses", FLAG,
     offsetof(struct crawl_options, allow_private), 0, 0},
    {"--user-agent", NULL, "TEXT", "name and contact that servers see; its first word is matched in robots.txt", STRING,
     offsetof(struct crawl_options, user_agent), 0, 0},
    {"--ca", NULL, "FILE", "trust the certificates in FILE (PEM) instead of the system's", STRING,
     offsetof(struct crawl_options, ca_file), 0, 0},
    {"--help", "-h", NULL, "this text", FLAG, offsetof(struct crawl_options, help), 0, 0},
};
#define FLAGS_LEN (sizeof flags / sizeof *flags)

bool options_duration(const char *s, int64_t *ret_ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"m", 60e9}, {"h", 3600e9}};
    char *end;
    if (!*s || strspn(s, "0123456789.") == 0)
        return false;
    double x = strtod(s, &end);
    if (end == s || strspn(s, "0123456789.") != (size_t)(end - s))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(end, units[i].name)) {
            double ns = x * units[i].ns;
            if (!isfinite(ns) || ns > 100.0 * 365 * 86400 * 1e9)
                return false;
            *ret_ns = (int64_t)(ns + 0.5);
            return true;
        }
    return false;
}

static bool fail(char *reterr, size_t n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool fail(char *reterr, size_t n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(reterr, n, fmt, ap);
    va_end(ap);
    for (char *p = reterr; *p; p++)         /* one line, whatever was typed */
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    return false;
}

static bool flag_count(const struct flag *f, const char *v, void *at, char *reterr, size_t n)
{
    char *end;
    errno = 0;
    long long x = strtoll(v, &end, 10);
    if (end == v || *end || errno || x < f->min || x > f->max)
        return fail(reterr, n, "%s wants a number from %lld to %lld, not \"%s\"", f->name, (long long)f->min,
                    (long long)f->max, v);
    if (f->at == offsetof(struct crawl_options, workers))
        *(int *)at = (int)x;
    else
        *(int64_t *)at = x;
    return true;
}

static bool flag_set(const struct flag *f, const char *v, struct crawl_options *o, char *reterr, size_t n)
{
    void *at = (char *)o + f->at;
    int64_t ns;
    switch (f->kind) {
    case FLAG: *(bool *)at = true; break;
    case COUNT: return flag_count(f, v, at, reterr, n);
    case DURATION:
        if (!options_duration(v, &ns) || ns < f->min)
            return fail(reterr, n, "%s wants a time such as 500ms, 10s or 2m, not \"%s\"", f->name, v);
        *(int64_t *)at = ns;
        break;
    case STRING:
        if (!*v)
            return fail(reterr, n, "%s wants a value", f->name);
        *(const char **)at = v;
        break;
    }
    return true;
}

/* The flag that a word names; *ret_value is what follows "=" or a one-letter flag, else NULL. */
static const struct flag *flag_find(const char *word, const char **ret_value)
{
    *ret_value = NULL;
    for (size_t i = 0; i < FLAGS_LEN; i++) {
        const struct flag *f = &flags[i];
        size_t len = strlen(f->name);
        if (!strcmp(word, f->name) || (f->brief && !strcmp(word, f->brief)))
            return f;
        if (!strncmp(word, f->name, len) && word[len] == '=') {
            *ret_value = word + len + 1;
            return f;
        }
        if (f->brief && f->word && !strncmp(word, f->brief, 2) && word[1] != '-' && word[2]) {
            *ret_value = word + 2;
            return f;
        }
    }
    return NULL;
}

static bool options_agree(const struct crawl_options *o, char *reterr, size_t n)
{
    if (o->help)
        return true;
    if (o->list && o->urls_len)
        return fail(reterr, n, "give URLs or --list, not both");
    if (!o->list && !o->urls_len)
        return fail(reterr, n, "give at least one URL, or --list FILE (weft crawl --help)");
    if (o->list && o->depth >= 0)
        return fail(reterr, n, "--depth makes no sense with --list: links are not followed");
    for (const unsigned char *p = (const unsigned char *)o->user_agent; *p; p++)
        if (*p < ' ' || *p == 0x7f)
            return fail(reterr, n, "--user-agent must be one line without control characters");
    const char *dot = strrchr(o->out, '.');
    if (strcmp(o->out, "-") && (!dot || (strcmp(dot, ".csv") && strcmp(dot, ".jsonl"))))
        return fail(reterr, n, "output \"%s\" must end in .csv or .jsonl", o->out);
    return true;
}

bool options_parse(int argc, char **argv, struct crawl_options *ret, char *reterr, size_t n)
{
    *ret = (struct crawl_options){.workers = 100, .out = "pages.csv", .depth = -1, .timeout = 10 * WEFT_SEC, .per_site = 1,
                                  .delay = WEFT_SEC, .user_agent = DEFAULT_AGENT, .urls = argv};
    bool only_urls = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i], *value;
        if (only_urls || word[0] != '-') {
            ret->urls[ret->urls_len++] = argv[i];
            continue;
        }
        if (!strcmp(word, "--")) {
            only_urls = true;
            continue;
        }
        const struct flag *f = flag_find(word, &value);
        if (!f)
            return fail(reterr, n, "unknown flag \"%s\" (weft crawl --help lists them)", word);
        if (f->kind == FLAG && value)
            return fail(reterr, n, "%s takes no value", f->name);
        if (f->kind != FLAG && !value) {
            if (i + 1 == argc)
                return fail(reterr, n, "%s wants a value", word);
            value = argv[++i];
        }
        if (!flag_set(f, value, ret, reterr, n))
            return false;
    }
    return options_agree(ret, reterr, n);
}

void options_help(void)
{
    puts("usage: weft crawl [flags] URL...         follow links within the hosts of the URLs\n"
         "       weft crawl [flags] --list FILE    fetch just the URLs of a list\n");
    for (size_t i = 0; i < FLAGS_LEN; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s %s", flags[i].brief ? flags[i].brief : "", flags[i].brief ? ", " : "",
                 flags[i].name, flags[i].word ? flags[i].word : "");
        printf("  %-23s %s\n", left, flags[i].help);
    }
    puts("\nTimes: 500ms, 10s, 1.5s, 2m, 1h; a bare number is seconds.\n"
         "robots.txt is obeyed. A host is a name with or without www., and its port.\n"
         "Columns: url, final_url, status (-1: failed, error says why), bytes, content_type, title, ms, error.\n"
         "Ctrl+C stops: fetches under way end within 5 seconds and all rows are written; again: at once.\n"
         "Exit status: 0 the crawl ran; 1 output or internal error; 2 bad input; 130 Ctrl+C; 143 SIGTERM.");
}
