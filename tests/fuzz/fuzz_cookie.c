/*
 * fuzz_cookie.c - Set-Cookie fields, cookie files and jars from arbitrary bytes.
 *
 * Checks that what is taken can stand in a header, that a cookie written as a line of a file is read as the same one, that
 * a jar which was saved and loaded gives what it gave before, and that no cookie goes to a host that has no right to it.
 * Lines: "URL-number Set-Cookie value" for a jar; each line is read as a cookie file's, too.
 */
#include "../../src/http/jar_int.h"
#include "fuzz.h"

static const char *const urls[] = {"http://a.example.org/", "https://a.example.org/x/y?z", "https://b.example.org/", "http://co.uk/",
                                   "http://127.0.0.1:81/x", "https://[::1]/", "http://example.org./", "https://x.a.example.org/x"};
enum { URLS = sizeof urls / sizeof *urls };

static void check(const struct weft__cookie *c)
{
    for (const char *p = c->name; *p; p++)
        CHECK((unsigned char)*p >= 0x20 || *p == '\t');
    for (const char *p = c->value; *p; p++)
        CHECK(((unsigned char)*p >= 0x20 || *p == '\t') && *p != 0x7f);
    CHECK(strlen(c->name) + strlen(c->value) <= 4096);
    CHECK(strcspn(c->domain, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(c->domain));
}

/* Written and read: the same, where it is one that a file can hold at all (domain and path are settled by a jar). */
static void check_line(const struct weft__cookie *c)
{
    size_t n = weft__cookie_line(c, NULL, 0);
    char *line = malloc(n + 1);
    CHECK(line && weft__cookie_line(c, line, n + 1) == n && line[n - 1] == '\n');
    struct weft__cookie *d = weft__cookie_parse_line(line, n - 1);
    if (d) {
        CHECK(strcmp(c->domain, d->domain) == 0 && strcmp(c->path, d->path) == 0);
        CHECK(strcmp(c->name, d->name) == 0 && strcmp(c->value, d->value) == 0);
        CHECK(c->secure == d->secure && c->http_only == d->http_only && c->host_only == d->host_only);
        CHECK(c->expires == d->expires || (c->expires == 0 && d->expires == INT64_MAX));
    }
    weft__cookie_free(d);
    free(line);
}

static void fuzz_line(const char *s, size_t n)
{
    char *exact = malloc(n ? n : 1);   /* a line has no NUL behind it */
    int64_t at;
    CHECK(exact);
    memcpy(exact, s, n);
    struct weft__cookie *c = weft__cookie_parse_line(exact, n);
    if (c) {
        check(c);
        check_line(c);
    }
    weft__cookie_free(c);
    if (weft__cookie_date(exact, n, &at))
        CHECK(at >= -11644473600 && at < 253402300800);
    free(exact);
}

static void fuzz_field(weft_http_jar *jar, const char *s)
{
    struct weft__cookie *c = *s ? weft__cookie_parse(s + 1) : NULL;
    if (c) {
        check(c);
        CHECK(weft_http_jar_set(jar, urls[(unsigned char)*s % URLS], s + 1) == 0);
    }
    weft__cookie_free(c);
}

static void check_saved(weft_http_jar *jar)
{
    weft_http_jar *two;
    char *text, *again, a[20000], b[20000];
    size_t len, len2;
    CHECK(weft_http_jar_new(&two) == 0 && weft_http_jar_save(jar, &text, &len) == 0);
    CHECK(strlen(text) == len && weft_http_jar_load(two, text) == 0 && weft_http_jar_save(two, &again, &len2) == 0);
    CHECK(len == len2);
    for (int i = 0; i < URLS; i++) {
        int n = weft_http_jar_get(jar, urls[i], a, sizeof a), m = weft_http_jar_get(two, urls[i], b, sizeof b);
        CHECK(n == m);
        CHECK(n < 0 || weft__http_field_ok("Cookie", a));
    }
    free(text);
    free(again);
    weft_http_jar_free(two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    weft_http_jar *jar;
    CHECK(weft_http_jar_new(&jar) == 0);
    while (in.n) {
        size_t n;
        char *s = fuzz_until(&in, '\n', &n);
        fuzz_line(s, n);
        fuzz_field(jar, s);
        free(s);
    }
    check_saved(jar);
    weft_http_jar_free(jar);
    return 0;
}
