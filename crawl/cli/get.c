/*
 * get.c - `weft get URL`: one fetch from the command line, as a small curl.
 *
 * Role    Flags to a client and a call; the answer to standard output or a file; errors to exit codes. Near get_options.c,
 *         weft/http.h. Sees the public headers only.
 * Limits  One URL. What -d sends is held in memory; -T and the answer are not. Without -L a redirect is an answer.
 * Failure words on standard error, codes as the usage text lists them. A body that broke off stays as far as it came.
 */
#include "get.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <weft/weft.h>

#include "get_options.h"

enum {
    EXIT_OTHER = 1, EXIT_USAGE = 2, EXIT_URL = 3, EXIT_DNS = 4, EXIT_CONNECT = 5, EXIT_TIME = 6, EXIT_TLS = 7, EXIT_ANSWER = 8,
    EXIT_REDIRECTS = 9, EXIT_FILE = 10, EXIT_STATUS = 22
};

struct get {
    struct get_options o;
    weft_http_client *client;
    weft_http_jar *jar;
    char *data;                      /* what -d @FILE read */
    size_t data_len;
    int upload;                      /* descriptor of -T; -1: none */
    FILE *out;
    char why[256];
};

static int exit_code(weft_err err)
{
    switch (err) {
    case 0: return 0;
    case WEFT_EADDR:
    case WEFT_EUNSUPPORTED: return EXIT_URL;
    case WEFT_EINVAL: return EXIT_USAGE;   /* a method or a header that cannot be sent */
    case WEFT_ENOHOST:
    case WEFT_EDNS: return EXIT_DNS;
    case -ECONNREFUSED:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -ETIMEDOUT: return EXIT_CONNECT;
    case WEFT_EDEADLINE: return EXIT_TIME;
    case WEFT_ETLS:
    case WEFT_ECERT: return EXIT_TLS;
    case WEFT_EPROTO:
    case WEFT_EEOF:
    case WEFT_ETOOBIG:
    case -ECONNRESET:
    case -EPIPE: return EXIT_ANSWER;
    case WEFT_EREDIRECT: return EXIT_REDIRECTS;
    default: return EXIT_OTHER;
    }
}

static int file_fail(const char *name)
{
    fprintf(stderr, "weft get: %s: %s\n", name, strerror(errno));
    return EXIT_FILE;
}

/* All of a file, with a NUL behind it. */
static char *file_read(const char *name, size_t *ret_len)
{
    FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
    size_t cap = 65536, len = 0, n;
    char *buf = f ? malloc(cap) : NULL;
    while (buf && (n = fread(buf + len, 1, cap - 1 - len, f)) > 0) {
        len += n;
        if (len == cap - 1) {
            char *more = realloc(buf, cap *= 2);
            if (!more)
                free(buf);
            buf = more;
        }
    }
    bool bad = f && ferror(f);
    if (f && f != stdin)
        (void)fclose(f);   /* it was only read */
    if (!buf || bad) {
        free(buf);
        return NULL;
    }
    buf[len] = '\0';
    *ret_len = len;
    return buf;
}

/* ---- before ---- */

static bool has_field(const struct get *g, const char *name)
{
    for (size_t i = 0; i < g->o.fields_len; i++)
        if (strcasecmp(g->o.fields[i].name, name) == 0)
            return true;
    return false;
}

/* A field more, unless the command line has it. */
static int field_default(struct get *g, const char *name, const char *value)
{
    if (has_field(g, name) || g->o.fields_len == GET_FIELDS_MAX)
        return 0;
    char *copy = strdup(name);
    if (!copy)
        return EXIT_OTHER;
    g->o.fields[g->o.fields_len++] = (struct weft_http_field){copy, value};
    return 0;
}

static int open_data(struct get *g)
{
    const char *d = g->o.data;
    if (!d)
        return 0;
    if (*d == '@' && !(g->data = file_read(d + 1, &g->data_len)))
        return file_fail(d + 1);
    if (*d != '@') {
        g->data = strdup(d);
        g->data_len = strlen(d);
    }
    return g->data ? field_default(g, "Content-Type", "application/x-www-form-urlencoded") : EXIT_OTHER;
}

static int open_cookies(struct get *g)
{
    const char *in = g->o.cookies_in;
    if (!in && !g->o.cookies_out)
        return 0;
    if (weft_http_jar_new(&g->jar) < 0)
        return EXIT_OTHER;
    if (!in)
        return 0;
    if (strchr(in, '='))
        return field_default(g, "Cookie", in);
    size_t len;
    char *text = file_read(in, &len);
    if (!text)
        return file_fail(in);
    weft_err err = weft_http_jar_load(g->jar, text);
    free(text);
    return exit_code(err);
}

static int open_files(struct get *g)
{
    const char *out = g->o.output, *up = g->o.upload;
    g->out = !out || strcmp(out, "-") == 0 ? stdout : NULL;
    g->upload = -1;
    if (up && (g->upload = strcmp(up, "-") == 0 ? dup(STDIN_FILENO) : open(up, O_RDONLY | O_CLOEXEC)) < 0)
        return file_fail(up);
    int r = open_data(g);
    return r ? r : open_cookies(g);
}

static int on_redirect(int count, int status, const char *from, const char *to, void *arg)
{
    struct get *g = arg;
    (void)from;
    if (g->o.verbose)
        fprintf(stderr, "* redirect %d: %d to %s\n", count, status, to);
    return WEFT_HTTP_FOLLOW;
}

static int open_client(struct get *g)
{
    struct weft_tls_config tls = {.ca_file = g->o.cacert, .insecure = g->o.insecure};
    struct weft_http_client_opts c = {.timeout = g->o.time_max ? g->o.time_max : -1, .redirects_max = g->o.follow ? g->o.redirects_max : -1,
                                      .user_agent = g->o.agent, .no_decode = !g->o.compressed, .tls = &tls, .jar = g->jar,
                                      .proxy = g->o.proxy, .no_proxy = g->o.no_proxy, .proxy_from_env = g->o.env_proxy,
                                      .on_redirect = on_redirect, .arg = g};
    weft_err err = weft_http_client_new(&c, &g->client);
    if (err < 0)
        fprintf(stderr, "weft get: %s: %s\n", g->o.proxy ? "the proxy" : "client", weft_strerror(err));   /* it may hold a password */
    return err == 0 ? 0 : g->o.proxy ? EXIT_USAGE : exit_code(err);
}

/* ---- the fetch ---- */

/* -T: the next piece of the file. A read may block, and then another worker goes on. */
static ssize_t upload_read(weft_ctx *ctx, void *arg, void *ret_buf, size_t n)
{
    struct get *g = arg;
    (void)ctx;
    weft_block_begin();
    ssize_t got = read(g->upload, ret_buf, n);
    int e = errno;
    weft_block_end();
    return got < 0 ? -e : got;
}

static const char *method_of(const struct get *g)
{
    return g->o.method ? g->o.method : g->o.head ? "HEAD" : g->o.upload ? "PUT" : g->o.data ? "POST" : "GET";
}

static void tell_request(const struct get *g)
{
    fprintf(stderr, "> %s %s\n", method_of(g), g->o.url);
    for (size_t i = 0; i < g->o.fields_len; i++)
        fprintf(stderr, "> %s: %s\n", g->o.fields[i].name, g->o.fields[i].value);
}

static void tell_head(FILE *to, const char *mark, const char *end, const weft_http_response *r)
{
    struct weft_http_field f;
    int v = weft_http_version(r);
    fprintf(to, "%sHTTP/%d.%d %d%s", mark, v / 10, v % 10, weft_http_status(r), end);
    for (size_t i = 0; weft_http_header_at(r, i, &f); i++)
        fprintf(to, "%s%s: %s%s", mark, f.name, f.value, end);
}

static void tell_times(const weft_http_response *r)
{
    struct weft_http_times t;
    weft_http_times(r, &t);
    fprintf(stderr, "* dns %.3f ms, connect %.3f ms, tls %.3f ms, first byte %.3f ms, total %.3f ms; %llu bytes%s\n", (double)t.dns / 1e6,
            (double)t.connect / 1e6, (double)t.tls / 1e6, (double)t.first_byte / 1e6, (double)t.total / 1e6,
            (unsigned long long)weft_http_wire_bytes(r), t.reused ? ", on a kept connection" : "");
}

static int copy_body(struct get *g, weft_http_response *r)
{
    const void *piece;
    ssize_t n;
    while ((n = weft_http_body_next(NULL, r, &piece)) > 0)
        if (fwrite(piece, 1, (size_t)n, g->out) != (size_t)n)
            return file_fail(g->o.output ? g->o.output : "standard output");
    if (n < 0)
        fprintf(stderr, "weft get: %s\n", weft_http_error_text(r));
    return exit_code((weft_err)n);
}

static int answer(struct get *g, weft_http_response *r)
{
    int status = weft_http_status(r);
    if (g->o.verbose)
        tell_head(stderr, "< ", "\n", r);
    if (g->o.fail && status >= 400) {
        fprintf(stderr, "weft get: the server answered %d\n", status);
        return EXIT_STATUS;
    }
    if (!g->out && !(g->out = fopen(g->o.output, "wb")))
        return file_fail(g->o.output);
    if (g->o.include || g->o.head) {
        tell_head(g->out, "", "\r\n", r);
        fputs("\r\n", g->out);
    }
    return copy_body(g, r);
}

static int fetch(struct get *g)
{
    weft_http_response *r;
    struct weft_http_call call = {.method = method_of(g), .url = g->o.url, .fields = g->o.fields, .fields_len = g->o.fields_len,
                                  .body = g->data, .body_len = g->data_len, .reterr_text = g->why, .reterr_size = sizeof g->why};
    off_t size = g->upload >= 0 ? lseek(g->upload, 0, SEEK_END) : 0;
    if (g->upload >= 0) {
        bool sized = size > 0 && lseek(g->upload, 0, SEEK_SET) == 0;
        call.body_read = upload_read;
        call.body_arg = g;
        call.body_bytes = sized ? size : 0;
        call.expect_continue = !sized || size > 1 << 20;
    }
    if (g->o.verbose)
        tell_request(g);
    weft_err err = weft_http_do(NULL, g->client, &call, &r);
    if (err < 0) {
        fprintf(stderr, "weft get: %s\n", *g->why ? g->why : weft_strerror(err));
        return exit_code(err);
    }
    int code = answer(g, r);
    if (g->o.verbose)
        tell_times(r);
    weft_http_response_free(r);
    return code;
}

/* ---- after ---- */

static int save_cookies(struct get *g)
{
    const char *name = g->o.cookies_out;
    char *text;
    size_t len;
    if (!name || !g->jar)
        return 0;
    if (weft_http_jar_save(g->jar, &text, &len) < 0)
        return EXIT_OTHER;
    FILE *f = strcmp(name, "-") == 0 ? stdout : fopen(name, "wb");
    bool ok = f && fwrite(text, 1, len, f) == len && fflush(f) == 0;
    int e = errno;
    if (f && f != stdout && fclose(f) != 0)
        ok = false;
    else
        errno = e;
    free(text);
    return ok ? 0 : file_fail(name);
}

static int get_end(struct get *g, int code)
{
    if (g->out && (fflush(g->out) != 0 || (g->out != stdout && fclose(g->out) != 0)) && !code)
        code = file_fail(g->o.output ? g->o.output : "standard output");
    if (g->upload >= 0)
        (void)close(g->upload);   /* it was only read */
    weft_http_client_free(g->client);
    weft_http_jar_free(g->jar);
    free(g->data);
    get_options_done(&g->o);
    return code;
}

int get_main(int argc, char **argv)
{
    struct get g = {.upload = -1};
    if (!get_options_parse(argc, argv, &g.o, g.why, sizeof g.why)) {
        fprintf(stderr, "weft get: %s (try: weft get --help)\n", g.why);
        get_options_done(&g.o);
        return EXIT_USAGE;
    }
    if (g.o.help) {
        fputs(get_usage, stdout);
        get_options_done(&g.o);
        return 0;
    }
    *g.why = '\0';
    int code = open_files(&g);
    if (!code)
        code = open_client(&g);
    if (!code) {
        code = fetch(&g);
        int saved = save_cookies(&g);
        code = code ? code : saved;
    }
    return get_end(&g, code);
}
