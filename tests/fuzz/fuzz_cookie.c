/*
 * fuzz_cookie.c - Set-Cookie fields and cookie files from arbitrary bytes.
 *
 * Checks that what is taken can stand in a header, and that a cookie written as a line of a file is read as the same one.
 * Build: clang -fsanitize=fuzzer,address with src/http/cookieline.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/http/jar_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : abort())

/* The fuzzer links the reader alone. */
int64_t weft__cookie_now(void)
{
    return 1000000000;
}

static void check(const struct weft__cookie *c)
{
    for (const char *p = c->name; *p; p++)
        CHECK((unsigned char)*p >= 0x20 || *p == '\t');
    for (const char *p = c->value; *p; p++)
        CHECK(((unsigned char)*p >= 0x20 || *p == '\t') && *p != 0x7f);
    CHECK(strlen(c->name) + strlen(c->value) <= 4096);
    CHECK(strcspn(c->domain, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(c->domain));
}

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
    }
    weft__cookie_free(d);
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    CHECK(text);
    memcpy(text, data, size);
    text[size] = '\0';
    struct weft__cookie *c = weft__cookie_parse(text);
    if (c)
        check(c);
    weft__cookie_free(c);
    c = weft__cookie_parse_line(text, size);
    if (c) {
        check(c);
        check_line(c);
    }
    weft__cookie_free(c);
    int64_t at;
    if (weft__cookie_date(text, size, &at))
        CHECK(at >= -11644473600 && at < 253402300800);
    free(text);
    return 0;
}
