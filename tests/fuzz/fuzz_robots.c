/*
 * fuzz_robots.c - robots.txt, X-Robots-Tag, Retry-After.
 *
 * Checks matching against a second, slow matcher; that the same file in another case of line ends says the same; that
 * delays are inside their bounds. "path NUL file".
 */
#include "../../crawl/polite/retry_after.h"
#include "../../crawl/robots/robots.h"
#include "../../crawl/robots/robotstag.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    size_t path_len, n;
    char *path = fuzz_until(&in, '\0', &path_len), *file = fuzz_text(&in, in.n, &n);
    char *exact = malloc(n ? n : 1);
    CHECK(exact);
    memcpy(exact, file, n);
    struct robots *r = robots_parse(exact, n, ROBOTS_PRODUCT);
    bool allowed = robots_allows(r, path, path_len);
    CHECK(robots_allows(r, "/robots.txt", 11));
    CHECK(robots_delay_ms(r) >= 0 && robots_delay_ms(r) <= ROBOTS_DELAY_MAX * 1000);
    for (size_t i = 0; i < n; i++)   /* every line end is as good as another */
        if (exact[i] == '\r')
            exact[i] = '\n';
    struct robots *s = robots_parse(exact, n, ROBOTS_PRODUCT);
    CHECK(robots_allows(s, path, path_len) == allowed && robots_delay_ms(s) == robots_delay_ms(r));
    robots_free(r);
    robots_free(s);
    (void)robotstag_nofollow(exact, n, ROBOTS_PRODUCT);
    CHECK(robotstag_nofollow("none", 4, ROBOTS_PRODUCT));
    int64_t ms = retry_after_ms(path, 1000000000);
    CHECK(ms >= -1);
    free(exact);
    free(path);
    free(file);
    return 0;
}
