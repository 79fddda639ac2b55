/*
 * get_options.c - the command line of `weft get`, from one table.
 *
 * Role    Flags have curl's names and meanings, so that hands know them already. Near get.c.
 * Limits  64 fields; redirects up to 65,535.
 */
#include "get_options.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char get_usage[] =
    "usage: weft get [flags] URL\n"
    "\n"
    "Fetches a URL and writes its body to standard output.\n"
    "  -o, --output FILE       write to FILE instead (\"-\": standard output)\n"
    "  -i, --include           write status line and headers before the body\n"
    "  -I, --head              ask for the head only, and write it\n"
    "  -X, --request METHOD    instead of GET, HEAD (-I), POST (-d) or PUT (-T)\n"
    "  -H, --header 'N: V'     send a header; may be given often\n"
    "  -A, --user-agent TEXT   name to send; \"\" for none\n"
    "  -d, --data TEXT         send TEXT as a form; @FILE sends what is in FILE\n"
    "  -T, --upload-file FILE  send FILE as it is read; \"-\": standard input, in chunks\n"
    "  -L, --location          follow redirects\n"
    "      --max-redirs N      at most N of them (default 10)\n"
    "  -m, --max-time TIME     give up after TIME: 10, 1.5s, 2m (default: never)\n"
    "  -f, --fail              a status of 400 or more is a failure (22) and its body is not written\n"
    "      --compressed        ask for a compressed answer, and decode it\n"
    "  -k, --insecure          accept any certificate\n"
    "      --cacert FILE       trust the certificates in FILE (PEM) instead of the system's\n"
    "  -x, --proxy PROXY       go through [http://|https://|socks5://|socks5h://][user:password@]host[:port]\n"
    "      --noproxy LIST      but not for these hosts\n"
    "      --proxy-env         take proxies from http_proxy, https_proxy, all_proxy, no_proxy\n"
    "  -b, --cookie DATA|FILE  send cookies: \"name=value; more=...\", or those of a Netscape cookie file\n"
    "  -c, --cookie-jar FILE   write the cookies there at the end (\"-\": standard output)\n"
    "  -v, --verbose           tell on standard error what happens, and how long it took\n"
    "  -h, --help              this text\n"
    "\n"
    "Ends with 0, or\n"
    "  1  failed in another way         6  took too long\n"
    "  2  wrong command line            7  TLS, or the certificate was not accepted\n"
    "  3  not a URL that can be fetched 8  the answer was broken, cut off or too large\n"
    "  4  no such host, or DNS failed   9  too many redirects\n"
    "  5  could not connect            10  a file could not be read or written\n"
    "  22 -f and a status of 400 or more\n";

enum kind { FLAG, TEXT, FIELD, COUNT, TIME };

static const struct flag {
    char brief;
    const char *name;
    enum kind kind;
    size_t at;
} flags[] = {
    {'o', "--output", TEXT, offsetof(struct get_options, output)},
    {'i', "--include", FLAG, offsetof(struct get_options, include)},
    {'I', "--head", FLAG, offsetof(struct get_options, head)},
    {'X', "--request", TEXT, offsetof(struct get_options, method)},
    {'H', "--header", FIELD, 0},
    {'A', "--user-agent", TEXT, offsetof(struct get_options, agent)},
    {'d', "--data", TEXT, offsetof(struct get_options, data)},
    {'T', "--upload-file", TEXT, offsetof(struct get_options, upload)},
    {'L', "--location", FLAG, offsetof(struct get_options, follow)},
    {0, "--max-redirs", COUNT, offsetof(struct get_options, redirects_max)},
    {'m', "--max-time", TIME, offsetof(struct get_options, time_max)},
    {'f', "--fail", FLAG, offsetof(struct get_options, fail)},
    {0, "--compressed", FLAG, offsetof(struct get_options, compressed)},
    {'k', "--insecure", FLAG, offsetof(struct get_options, insecure)},
    {0, "--cacert", TEXT, offsetof(struct get_options, cacert)},
    {'x', "--proxy", TEXT, offsetof(struct get_options, proxy)},
    {0, "--noproxy", TEXT, offsetof(struct get_options, no_proxy)},
    {0, "--proxy-env", FLAG, offsetof(struct get_options, env_proxy)},
    {'b', "--cookie", TEXT, offsetof(struct get_options, cookies_in)},
    {'c', "--cookie-jar", TEXT, offsetof(struct get_options, cookies_out)},
    {'v', "--verbose", FLAG, offsetof(struct get_options, verbose)},
    {'h', "--help", FLAG, offsetof(struct get_options, help)},
};
#define FLAGS_LEN (sizeof flags / sizeof *flags)

/* "Name: value" into o->fields. */
static bool field_add(struct get_options *o, const char *text)
{
    size_t n = strcspn(text, ":");
    char *name = strndup(text, n);
    if (!name || !n || text[n] != ':' || o->fields_len == GET_FIELDS_MAX) {
        free(name);
        return false;
    }
    text += n + 1;
    o->fields[o->fields_len++] = (struct weft_http_field){name, text + strspn(text, " \t")};
    return true;
}

static bool flag_set(struct get_options *o, const struct flag *f, const char *text)
{
    char *at = (char *)o + f->at, *end;
    long n;
    switch (f->kind) {
    case FLAG:
        *(bool *)at = true;
        return true;
    case TEXT:
        *(const char **)at = text;
        return true;
    case FIELD:
        return field_add(o, text);
    case TIME:
        return options_duration(text, (int64_t *)at) && *(int64_t *)at > 0;
    default:
        n = strtol(text, &end, 10);
        *(int *)at = n == 0 ? -1 : (int)n;
        return end != text && !*end && n >= 0 && n <= 65535;
    }
}

static const struct flag *flag_named(const char *arg, size_t n)
{
    for (size_t i = 0; i < FLAGS_LEN; i++)
        if (n == strlen(flags[i].name) && strncmp(arg, flags[i].name, n) == 0)
            return &flags[i];
    return NULL;
}

static const struct flag *flag_brief(char c)
{
    for (size_t i = 0; i < FLAGS_LEN; i++)
        if (flags[i].brief == c)
            return &flags[i];
    return NULL;
}

static bool say(char *reterr, size_t n, const char *arg, const char *what)
{
    (void)snprintf(reterr, n, "%s: %s", arg, what);
    return false;
}

/* One argument that begins with '-', and maybe the next: the number of arguments used, 0 with words in reterr. */
static int flag_take(struct get_options *o, int left, char **argv, char *reterr, size_t n)
{
    const char *arg = argv[0], *text = NULL;
    bool longer = arg[1] == '-';
    const char *eq = longer ? strchr(arg, '=') : NULL;
    for (size_t i = 1; longer ? i == 1 : arg[i] != '\0'; i++) {   /* "-iL" is "-i -L" */
        const struct flag *f = longer ? flag_named(arg, eq ? (size_t)(eq - arg) : strlen(arg)) : flag_brief(arg[i]);
        if (!f)
            return say(reterr, n, arg, "unknown flag");
        if (f->kind == FLAG) {
            if (eq)
                return say(reterr, n, arg, "takes no value");
            flag_set(o, f, NULL);
            continue;
        }
        bool rest = !longer && arg[i + 1];   /* "-ofile" */
        text = eq ? eq + 1 : rest ? arg + i + 1 : left > 1 ? argv[1] : NULL;
        if (!text)
            return say(reterr, n, arg, "needs a value");
        if (!flag_set(o, f, text))
            return say(reterr, n, text, f->kind == FIELD ? "not a header as in 'Name: value'" : "not a value for this flag");
        return eq || rest ? 1 : 2;
    }
    return 1;
}

bool get_options_parse(int argc, char **argv, struct get_options *ret, char *reterr, size_t n)
{
    *ret = (struct get_options){.redirects_max = 10};
    for (int i = 1; i < argc;) {
        if (argv[i][0] != '-' || !argv[i][1]) {
            if (ret->url)
                return say(reterr, n, argv[i], "one URL only");
            ret->url = argv[i++];
            continue;
        }
        int used = flag_take(ret, argc - i, argv + i, reterr, n);
        if (!used)
            return false;
        i += used;
    }
    if (!ret->url && !ret->help)
        return say(reterr, n, "get", "which URL?");
    if (ret->data && ret->upload)
        return say(reterr, n, "-d", "not together with -T");
    if (ret->head && (ret->data || ret->upload))
        return say(reterr, n, "-I", "not together with -d or -T");
    return true;
}

void get_options_done(struct get_options *o)
{
    for (size_t i = 0; i < o->fields_len; i++)
        free((char *)(uintptr_t)o->fields[i].name);
    o->fields_len = 0;
}
