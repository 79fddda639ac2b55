/*
 * fuzz_sse.c - server-sent events: what a browser would read of what is sent.
 *
 * Checks that the text of an event is one event with just that data, whatever line ends it has, and that event and id
 * cannot begin another line. The file is built in, for its functions inside.
 */
#include "../../src/http/sse.c"
#include "fuzz.h"

/* The data that a reader has at the empty line, by the standard's steps; NULL when it had another field. */
static char *read_back(const char *text, size_t len)
{
    char *data = malloc(len + 2);
    size_t n = 0;
    CHECK(data);
    for (const char *s = text, *end = text + len; s < end;) {
        const char *eol = memchr(s, '\n', (size_t)(end - s));
        CHECK(eol && eol - s >= 6 && memcmp(s, "data: ", 6) == 0 && !memchr(s, '\r', (size_t)(eol - s)));
        memcpy(data + n, s + 6, (size_t)(eol - s) - 6);
        n += (size_t)(eol - s) - 6;
        data[n++] = '\n';
        s = eol + 1;
    }
    CHECK(n > 0);
    data[n - 1] = '\0';
    return data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    size_t n, len = 0;
    char *s = fuzz_text(&in, in.n, &n), *text = NULL, *want = malloc(n + 1);
    CHECK(want);
    FILE *f = open_memstream(&text, &len);
    CHECK(f);
    put_lines(f, s);
    CHECK(fclose(f) == 0);
    size_t k = 0;
    for (const char *p = s; *p; p += *p == '\r' && p[1] == '\n' ? 2 : 1)   /* CR, LF and CRLF are one line end */
        want[k++] = *p == '\r' ? '\n' : *p;
    want[k] = '\0';
    char *have = read_back(text, len);
    CHECK(strcmp(have, want) == 0);
    CHECK(one_line(s) == !strpbrk(s, "\r\n"));
    free(have);
    free(want);
    free(text);
    free(s);
    return 0;
}
