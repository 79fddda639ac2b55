/*
 * fuzz_list.c - the lines of --list.
 *
 * Checks that a list read in pieces of any size gives the same URLs and notes as one read at once, and that every URL is
 * canonical. First byte: seed of the pieces.
 */
#include <fcntl.h>
#include <unistd.h>

#include "../../crawl/crawl.h"
#include "fuzz.h"

static void feed(int fd, const uint8_t *s, size_t len, uint32_t split, weft_waitgroup *fed)
{
    for (size_t pos = 0, k; pos < len; pos += k) {
        k = fuzz_piece(&split, len - pos < 60000 ? len - pos : 60000);
        if (weft_fd_wait(NULL, fd, WEFT_WRITE) < 0)
            break;
        ssize_t n = write(fd, s + pos, k);
        k = n > 0 ? (size_t)n : 0;
        if (n < 0 && errno != EAGAIN)
            break;
        if (split)
            weft_yield();
    }
    close(fd);
    weft_waitgroup_done(fed);
}

static struct text read_list(const uint8_t *s, size_t len, uint32_t split)
{
    struct crawl_options o = {.list = "list"};
    struct crawl c = {.opts = &o, .stop = weft_with_cancel(NULL), .listed = weft_make(struct visit *)};
    struct text all = {0};
    struct visit *v;
    weft_waitgroup fed = {0};
    int fds[2];
    CHECK(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
    weft_waitgroup_add(&fed, 1);
    weft_go(feed, fds[1], s, len, split, &fed);
    weft_go(list_reader_run, &c, fds[0]);
    while (weft_recv_ok(c.listed, &v)) {
        CHECK(v->kind == VISIT_NOTE || strncmp(v->url, "http", 4) == 0);
        text_addf(&all, "%d ", (int)v->kind);
        text_adds(&all, v->url);
        text_addc(&all, '\n');
        visit_free(v);
    }
    weft_waitgroup_wait(&fed);   /* the end of a pipe says so too, but s is the caller's, and a race's tool sees no pipes */
    weft_free(c.listed);
    weft_ctx_unref(c.stop);
    return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    uint32_t split = 1u + fuzz_byte(&in);
    if (in.n > 200000)
        return 0;
    struct text a = read_list(in.p, in.n, 0), b = read_list(in.p, in.n, split);
    CHECK(strcmp(text_str(&a), text_str(&b)) == 0);
    text_done(&a);
    text_done(&b);
    return 0;
}
