/*
 * fuzz_options.c - the command lines of `weft crawl` and `weft get`.
 *
 * Checks that a command line ends in options inside their bounds, or in one line of words. Words are separated by NULs;
 * the first byte tells which of the two.
 */
#include "../../crawl/cli/get_options.h"
#include "../../crawl/cli/options.h"
#include "fuzz.h"

enum { WORDS = 40 };

static void check_words(const char *err)
{
    CHECK(*err && strlen(err) < 200);
    for (const char *p = err; *p; p++)
        CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void fuzz_crawl(int argc, char **argv)
{
    struct crawl_options o;
    char err[200] = "";
    if (!options_parse(argc, argv, &o, err, sizeof err)) {
        check_words(err);
        return;
    }
    CHECK(o.workers >= 1 && o.workers <= 100000 && o.timeout >= 1 && o.delay >= 0 && o.per_site >= 1 && o.depth >= -1);
    CHECK(o.help || o.list || o.urls_len > 0);
}

static void fuzz_get(int argc, char **argv)
{
    struct get_options o;
    char err[200] = "";
    if (get_options_parse(argc, argv, &o, err, sizeof err))
        CHECK((o.url || o.help) && o.time_max >= 0 && o.fields_len <= GET_FIELDS_MAX && o.redirects_max != 0);
    else
        CHECK(*err);
    get_options_done(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    bool get = fuzz_byte(&in) & 1;
    char *words[WORDS + 2], *argv[WORDS + 2];
    int n = 0;
    words[n++] = strdup("get");
    while (in.n && n < WORDS)
        words[n++] = fuzz_until(&in, '\0', NULL);
    memcpy(argv, words, (size_t)n * sizeof *words);
    argv[n] = NULL;
    if (get)
        fuzz_get(n, argv);
    else
        fuzz_crawl(n - 1, argv + 1);
    while (n)
        free(words[--n]);
    return 0;
}
