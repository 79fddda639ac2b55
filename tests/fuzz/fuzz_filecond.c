/*
 * fuzz_filecond.c - If-Match, If-None-Match, If-(Un)Modified-Since, If-Range and Range, of files of any size.
 *
 * Checks that the answer is one that the caller knows, and that each range lies inside the file. Bytes: the size's, then
 * the fields of a request, a line each.
 */
#include "../../src/http/filecond.h"
#include "fuzz.h"

static void check_ranges(const weft_http_request *rq, const struct weft__filever *v, uint64_t size)
{
    struct weft__range r[WEFT__RANGES_MAX];
    int n = weft__ranges_wanted(rq, v, size, r);
    CHECK(n >= -1 && n <= WEFT__RANGES_MAX);
    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        CHECK(r[i].len > 0 && r[i].first < size && r[i].len <= size - r[i].first);
        sum += r[i].len;
    }
    CHECK(n <= 1 || sum <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct weft__exch x;
    struct fuzz_in in = {data, size};
    uint64_t file = 0;
    for (int i = fuzz_byte(&in) & 7; i > 0; i--)
        file = file << 8 | fuzz_byte(&in);
    struct stat st = {.st_size = (off_t)file, .st_ino = 77, .st_mtim = {784111777, 5}};
    struct weft__filever v;
    static const char line[] = "GET / HTTP/1.1\r\n";
    size_t n = sizeof line - 1 + in.n + 4;
    struct weft__hbuf *b = weft__hbuf_get(n);
    CHECK(b);
    memcpy(b->data, line, sizeof line - 1);
    if (in.n)
        memcpy(b->data + sizeof line - 1, in.p, in.n);
    memcpy(b->data + n - 4, "\r\n\r\n", 4);
    weft__filever_of(&st, &v);
    weft__head_init(&x.head, HTTP_REQUEST, b);
    x.rq.x = &x;
    if (weft__head_parse(&x.head, n) == 1) {
        int status = weft__filever_check(&x.rq, &v);
        CHECK(status == 0 || status == 304 || status == 412);
        check_ranges(&x.rq, &v, file);
    }
    weft__head_done(&x.head);
    weft__hbuf_put(b);
    return 0;
}
