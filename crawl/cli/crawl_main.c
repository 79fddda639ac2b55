/*
 * crawl_main.c - `weft crawl`: checks the input, builds the crawl, starts its goroutines, tells how it ended.
 *
 * Role    main of the subcommand. Everything that can be wrong with the input is found here, before the first fetch.
 * Near    options.c (flags), crawl.h (the picture of the goroutines).
 * Order   Shutdown: the conductor ends and closes jobs; the workers end; rows is closed; the writer ends; finished is
 *         closed; progress and interrupt end. Nothing is freed before all of them have.
 * Failure one line on standard error; status 2 for input, 1 for output and internal errors, 128 + signal.
 */
#include "crawl_main.h"
#include "../base/mem.h"
#include "../crawl.h"
#include "../fetch/fetcher.h"
#include "../fetch/harvest.h"
#include "../robots/robots.h"
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROWS_AHEAD 1024
#define LINES_AHEAD 1024
#define SPARE_FILES 64

static int complain(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int complain(int status, const char *fmt, ...)
{
    va_list ap;
    fputs("weft crawl: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return status;
}

/* Each fetch may hold a descriptor: take what the system allows. False if that is too few. */
static bool files_allow(int workers, rlim_t *ret_limit)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
        return true;
    rl.rlim_cur = rl.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &rl);
    *ret_limit = rl.rlim_max;
    return rl.rlim_max == RLIM_INFINITY || rl.rlim_max >= (rlim_t)workers + SPARE_FILES;
}

/* The first word of the User-Agent is the name that robots.txt may call us by. */
static char *product_of(const char *agent)
{
    size_t n = 0;
    while (((agent[n] | 0x20) >= 'a' && (agent[n] | 0x20) <= 'z') || agent[n] == '-' || agent[n] == '_')
        n++;
    return n ? mem_dup(agent, n) : mem_dup(ROBOTS_PRODUCT, strlen(ROBOTS_PRODUCT));
}

/* The URLs of the command line go into the frontier and the scope. 0, or the exit status. */
static int crawl_seeds(struct crawl *c, struct frontier *f)
{
    struct canon *canon = canon_new();
    struct text t = {0};
    struct canon_parts parts;
    int status = 0;
    for (int i = 0; i < c->opts->urls_len && !status; i++) {
        const char *url = c->opts->urls[i];
        enum canon_result r = canon_url(canon, url, strlen(url), LXB_ENCODING_UTF_8, &t, &parts);
        if (r != CANON_OK) {
            status = complain(2, "%s: %.200s%s", canon_why(r), url, strstr(url, "://") ? "" : " (it begins with no http://)");
            break;
        }
        struct link link = {.print = seen_print(t.p, t.len), .url = t.p, .parts = parts};
        scope_add(&c->scope, t.p, &parts);
        (void)frontier_give(f, &link, false);
    }
    text_done(&t);
    canon_free(canon);
    return status;
}

/* Can it be read? A file or folder is tried; of a pipe only the descriptor is known. */
static bool list_readable(int fd)
{
    char byte;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at < 0)
        return errno == ESPIPE;
    return pread(fd, &byte, 1, at) >= 0;
}

static int crawl_open_list(const struct crawl_options *o, int *ret_fd)
{
    *ret_fd = -1;
    if (!o->list)
        return 0;
    bool given = !strcmp(o->list, "-");
    int fd = given ? STDIN_FILENO : open(o->list, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !list_readable(fd)) {
        int status = complain(2, "cannot read %s: %s", o->list, strerror(errno));
        if (fd >= 0 && !given)
            close(fd);
        return status;
    }
    *ret_fd = fd;
    return 0;
}

static int crawl_open_output(struct crawl *c)
{
    struct text head = {0};
    const char *out = c->opts->out;
    size_t n = strlen(out);
    c->out_fd = strcmp(out, "-") ? open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : STDOUT_FILENO;
    if (c->out_fd < 0)
        return complain(2, "cannot write %s: %s", out, strerror(errno));
    row_head(n > 6 && !strcmp(out + n - 6, ".jsonl") ? ROW_JSONL : ROW_CSV, &head);
    ssize_t done = head.len ? write(c->out_fd, head.p, head.len) : 0;
    bool whole = done == (ssize_t)head.len;
    text_done(&head);
    return whole ? 0 : complain(2, "cannot write %s: %s", out, strerror(errno));
}

/* What the world must allow before anything starts. 0, or the exit status. */
static int crawl_check(struct crawl *c, int *ret_list_fd)
{
    const struct crawl_options *o = c->opts;
    rlim_t limit = 0;
    if (!files_allow(o->workers, &limit))
        return complain(2, "-c %d needs more open files than the limit of %llu allows", o->workers,
                        (unsigned long long)limit);
    if (o->ca_file) {
        weft_err err = access(o->ca_file, R_OK) < 0 ? -errno : weft_tls_check(&(struct weft_tls_config){
            .ca_file = o->ca_file, .insecure = true});
        if (err < 0)
            return complain(2, "no certificates to trust in %s: %s", o->ca_file, weft_strerror(err));
    }
    int status = crawl_open_list(o, ret_list_fd);
    if (!status)
        status = crawl_open_output(c);
    if (!status && fetcher_client(o, &c->client) < 0)
        status = complain(1, "cannot make an HTTP client");
    return status;
}

static void crawl_make(struct crawl *c, int list_fd)
{
    const struct crawl_options *o = c->opts;
    c->kill = weft_with_cancel(weft_background());
    c->stop = o->time_max ? weft_with_timeout(weft_background(), o->time_max) : weft_with_cancel(weft_background());
    c->jobs = weft_make(struct visit *, o->workers);                   /* X1 */
    c->done = weft_make(struct visit *, o->workers);
    c->rows = weft_make(struct text, ROWS_AHEAD);
    c->listed = list_fd < 0 ? NULL : weft_make(struct visit *, LINES_AHEAD);
    c->finished = weft_make(char);
    c->signals = weft_make(int, 4);
    c->scope.everything = list_fd >= 0;
    int readers = weft_procs(0) + 1;
    c->readers = weft_make(struct reader *, readers);
    for (int i = 0; i < readers; i++)
        weft_send(c->readers, reader_new());
}

static void crawl_free(struct crawl *c)
{
    struct reader *r;
    struct visit *v;
    while (weft_try_recv(c->readers, &r) == 1)
        reader_free(r);
    while (c->listed && weft_try_recv(c->listed, &v) == 1)
        visit_free(v);
    weft_free(c->jobs);
    weft_free(c->done);
    weft_free(c->rows);
    weft_free(c->listed);
    weft_free(c->finished);
    weft_free(c->readers);
    weft_ctx_unref(c->stop);
    weft_ctx_unref(c->kill);
    weft_http_client_free(c->client);
}

static void crawl_run(struct crawl *c, struct frontier *f, int list_fd)
{
    weft_waitgroup workers = {0}, writer = {0}, others = {0};
    c->began = weft_now();
    weft_signal_notify(c->signals, SIGINT, SIGTERM);
    weft_waitgroup_go(&others, interrupt_run, c);
    weft_waitgroup_go(&others, progress_run, c);
    weft_waitgroup_go(&writer, writer_run, c);
    if (c->listed)
        weft_waitgroup_go(&workers, list_reader_run, c, list_fd);
    for (int i = 0; i < c->opts->workers; i++)
        weft_waitgroup_go(&workers, worker_run, c);

    conductor_run(c, f);
    weft_cancel(c->stop);                  /* the list reader may still wait for a line */
    weft_waitgroup_wait(&workers);
    weft_close(c->rows);
    weft_waitgroup_wait(&writer);
    weft_close(c->finished);
    weft_waitgroup_wait(&others);
    weft_signal_stop(c->signals);
    weft_free(c->signals);
}

/* The words and the status at the end. */
static int crawl_end(struct crawl *c)
{
    int sig = atomic_load_explicit(&c->signal, memory_order_relaxed);
    int err = atomic_load_explicit(&c->write_errno, memory_order_relaxed);
    if (c->out_fd != STDOUT_FILENO && close(c->out_fd) < 0 && !err)
        err = errno;
    if (err)
        return complain(1, "writing %s: %s: the crawl was stopped", c->opts->out, strerror(err));
    progress_summary(c);
    return sig ? 128 + sig : atomic_load_explicit(&c->list_broken, memory_order_relaxed) ? 1 : 0;
}

int crawl_main(int argc, char **argv)
{
    struct crawl_options opts;
    char err[400];
    if (!options_parse(argc - 1, argv + 1, &opts, err, sizeof err))
        return complain(2, "%s", err);
    if (opts.help) {
        options_help();
        return 0;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    struct crawl *c = mem_new(sizeof *c);
    c->opts = &opts;
    char *product = product_of(opts.user_agent);
    c->product = product;
    struct frontier *f = frontier_new(&(struct frontier_opts){
        .per_site = (int)opts.per_site,
        .delay = opts.delay,
        .pages_max = (uint64_t)opts.pages_max,
        .depth_max = opts.depth < 0 ? UINT32_MAX : (uint32_t)opts.depth,
    });
    int list_fd = -1;
    int status = crawl_seeds(c, f);
    if (!status)
        status = crawl_check(c, &list_fd);
    if (!status) {
        crawl_make(c, list_fd);
        crawl_run(c, f, list_fd);
        status = crawl_end(c);
        crawl_free(c);
    }
    scope_done(&c->scope);
    frontier_free(f);
    free(product);
    free(c);
    return status;
}
