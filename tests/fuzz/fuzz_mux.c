/*
 * fuzz_mux.c - patterns of a mux.
 *
 * Checks that reading a pattern ends in a pattern or in words, that conflict is symmetrical and that a pattern conflicts
 * with itself, that a mux takes what does not conflict, and that decoding what it says is decodable ends in that many
 * bytes. Patterns stand one a line.
 */
#include "../../src/http/mux_int.h"
#include "fuzz.h"

enum { MOST = 12 };

static void handler(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)rq, (void)w, (void)arg;
}

static void fuzz_decode(const char *s, size_t n)
{
    char *exact = malloc(n ? n : 1), *out = malloc(n ? n : 1);
    CHECK(exact && out);
    if (n)
        memcpy(exact, s, n);
    int len = weft__percent_decode(exact, n, out);
    CHECK(len >= -1 && len <= (int)n);
    free(exact);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    struct weft__pattern *p[MOST];
    weft_http_mux *mux;
    int len = 0;
    CHECK(weft_http_mux_new(&mux) == 0);
    while (in.n && len < MOST) {
        const char *why = NULL;
        size_t n;
        char *line = fuzz_until(&in, '\n', &n);
        fuzz_decode(line, n);
        p[len] = weft__pattern_parse(line, &why);
        bool clash = false;
        if (p[len]) {
            CHECK(strcmp(p[len]->text, line) == 0 && p[len]->len >= 1 && p[len]->len <= WEFT__MUX_SEGMENTS);
            CHECK(weft__pattern_conflict(p[len], p[len]));
            for (int i = 0; i < len; i++) {
                bool one = weft__pattern_conflict(p[i], p[len]);
                CHECK(one == weft__pattern_conflict(p[len], p[i]));
                clash |= one;
            }
            weft_err err = weft_http_mux_handle(mux, line, handler, NULL);
            CHECK(err == (clash ? -EEXIST : 0));
            if (!clash)
                len++;
            else
                free(p[len]);
        } else {
            CHECK(why && *why && weft_http_mux_handle(mux, line, handler, NULL) == WEFT_EINVAL);
        }
        free(line);
    }
    while (len)
        free(p[--len]);
    weft_http_mux_free(mux);
    return 0;
}
