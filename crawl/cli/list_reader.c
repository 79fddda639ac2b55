/*
 * list_reader.c - the goroutine that reads the URLs of --list.
 *
 * Role    A list may be longer than memory, or a pipe that never ends: lines are read as the crawl takes them.
 * Near    conductor.c takes what it sends; a line that is no URL becomes a note, so that every line has its row.
 * Limits  LIST_LINE_MAX bytes a line; longer ones are notes that show how they begin. Empty lines and lines that begin
 *         with # are skipped.
 * Failure a read error ends the list with a line on standard error; what was read is crawled, and the status is 1.
 */
#include "../base/mem.h"
#include "../crawl.h"
#include <unistd.h>

#define PIECE ((size_t)64 << 10)
#define LIST_LINE_MAX ((size_t)64 << 10)

struct list_reader {
    struct crawl *c;
    struct canon *canon;
    struct text url, line;    /* line: of one that is too long, the beginning */
    bool too_long;            /* the line under way is past LIST_LINE_MAX */
    bool stopped;
};

static void list_send(struct list_reader *l, struct visit *v)
{
    if (weft_select(weft_on_send(l->c->listed, v), weft_on_recv(weft_ctx_done(l->c->stop), NULL)) == 1) {
        visit_free(v);
        l->stopped = true;
    }
}

static void list_line(struct list_reader *l)
{
    struct canon_parts parts;
    char *p = l->line.p, *end = p + l->line.len;
    if (l->line.len >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
        p += 3;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    if (p == end || *p == '#')
        return;
    enum canon_result r = l->too_long ? CANON_LONG : canon_url(l->canon, p, (size_t)(end - p), LXB_ENCODING_UTF_8,
                                                               &l->url, &parts);
    if (r == CANON_OK) {
        list_send(l, visit_new(l->url.p, parts.len, parts.site_len));
        return;
    }
    size_t shown = (size_t)(end - p) < CANON_MAX ? (size_t)(end - p) : CANON_MAX;
    struct visit *v = visit_new(p, (uint32_t)shown, 0);
    v->kind = VISIT_NOTE;
    v->status = -1;
    v->failure = FAIL_URL;
    v->why = canon_why(r);
    list_send(l, v);
}

static void list_bytes(struct list_reader *l, const char *p, size_t n)
{
    for (const char *end = p + n; p < end && !l->stopped;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t part = (size_t)((eol ? eol : end) - p);
        size_t room = LIST_LINE_MAX - l->line.len;
        l->too_long |= part > room;
        text_add(&l->line, p, part < room ? part : room);
        p += part;
        if (eol) {
            text_add(&l->line, "", 0);
            list_line(l);
            text_clear(&l->line, 0);
            l->too_long = false;
            p++;
        }
    }
}

void list_reader_run(struct crawl *c, int fd)
{
    struct list_reader l = {.c = c, .canon = canon_new()};
    char *buf = mem_check(malloc(PIECE));
    while (!l.stopped && weft_fd_wait(c->stop, fd, WEFT_READ) > 0) {
        ssize_t n = read(fd, buf, PIECE);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            atomic_store_explicit(&c->list_broken, true, memory_order_relaxed);
            fprintf(stderr, "weft crawl: reading %s: %s\n", c->opts->list, strerror(errno));
            break;
        }
        if (n == 0)
            break;
        if (n > 0)
            list_bytes(&l, buf, (size_t)n);
    }
    if (l.line.len && !l.stopped)
        list_line(&l);
    if (fd != STDIN_FILENO)
        close(fd);
    free(buf);
    text_done(&l.line);
    text_done(&l.url);
    canon_free(l.canon);
    weft_close(c->listed);
}
