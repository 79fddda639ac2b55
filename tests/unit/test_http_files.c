/* The folder server: paths, conditions, ranges, and nothing outside of the root. Source: RFC 9110 13, 14; Go http.FileServer. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "http_peer.h"

struct folder {
    char root[64];           /* base/root is served; base/secret must stay unseen */
    char base[48];
    weft_http_files *files;
    weft_http_server *server;
    char url[WEFT_ADDR_TEXT + 16];
    weft_waitgroup wg;
};

static void put_file(const struct folder *f, const char *name, const char *text, size_t len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->base, name);
    FILE *o = fopen(path, "w");
    REQUIRE(o && fwrite(text, 1, len, o) == len);
    fclose(o);
}

static void folder_run(struct folder *f, weft_listener *ln)
{
    EXPECT_EQ(weft_http_serve(NULL, f->server, ln), 0);
}

static void folder_start(struct folder *f)
{
    char path[256];
    memset(f, 0, sizeof *f);
    snprintf(f->base, sizeof f->base, "/tmp/weft_files_XXXXXX");
    REQUIRE(mkdtemp(f->base));
    snprintf(f->root, sizeof f->root, "%s/root", f->base);
    static const char *const dirs[] = {"root", "root/sub", "root/empty", "root/a b"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        snprintf(path, sizeof path, "%s/%s", f->base, dirs[i]);
        REQUIRE(mkdir(path, 0755) == 0);
    }
    put_file(f, "secret", "SECRET", 6);
    put_file(f, "root/index.html", "<p>home", 7);
    put_file(f, "root/sub/index.html", "<p>sub", 6);
    put_file(f, "root/a b/\xc3\xa9%.txt", "odd", 3);
    put_file(f, "root/ten.bin", "0123456789", 10);
    put_file(f, "root/none.bin", "", 0);
    static const char *const links[][2] = {{"../secret", "out"}, {"ten.bin", "in"}, {"..", "up"}, {"sub", "subl"},
        {"/etc/passwd", "abs"}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        snprintf(path, sizeof path, "%s/%s", f->root, links[i][1]);
        REQUIRE(symlink(links[i][0], path) == 0);
    }
    snprintf(path, sizeof path, "%s/fifo", f->root);
    REQUIRE(mkfifo(path, 0644) == 0);
    weft_listener *ln;
    REQUIRE(weft_http_file_server(f->root, &f->files) == 0);
    struct weft_http_server_opts o = {.handler = weft_http_file_handler, .arg = f->files};
    REQUIRE(weft_http_server_new(&o, &f->server) == 0);
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    memcpy(f->url, "http://", 7);
    REQUIRE(weft_listener_addr(ln, f->url + 7, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&f->wg, folder_run, f, ln);
}

static void folder_stop(struct folder *f)
{
    char cmd[128];
    EXPECT_EQ(weft_http_server_shutdown(NULL, f->server), 0);
    weft_waitgroup_wait(&f->wg);
    weft_http_server_free(f->server);
    weft_http_files_free(f->files);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", f->base);
    REQUIRE(system(cmd) == 0);
}

/* A request as written, byte for byte: no client tidies the path. The whole answer. */
static const char *ask(struct folder *f, const char *method, const char *target, const char *fields)
{
    static char out[4096];
    char rq[1024];
    weft_conn *c;
    REQUIRE(weft_dial(NULL, "tcp", f->url + 7, &c) == 0);
    int n = snprintf(rq, sizeof rq, "%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s\r\n", method, target, fields);
    (void)weft_conn_write(NULL, c, rq, (size_t)n);
    size_t len = 0;
    ssize_t r;
    while (len < sizeof out - 1 && (r = weft_conn_read(NULL, c, out + len, sizeof out - 1 - len)) > 0)
        len += (size_t)r;
    out[len] = '\0';
    (void)weft_conn_close(c);
    return out;
}

static const char *get(struct folder *f, const char *target, const char *fields)
{
    return ask(f, "GET", target, fields);
}

static const char *body_of(const char *answer)
{
    const char *b = strstr(answer, "\r\n\r\n");
    return b ? b + 4 : "(none)";
}

#define STATUS(answer, code) EXPECT(strncmp(answer, "HTTP/1.1 " code " ", 13) == 0)

/* Kernels before 5.6, and qemu-user 7.2, have none: symlinks lead nowhere then. */
static bool symlinks_are_followed(void)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};
    long fd = syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how);
    if (fd >= 0)
        close((int)fd);
    return fd >= 0;
}

TEST(http_files, paths_lead_to_files)
{
    struct folder f;
    bool links = symlinks_are_followed();
    folder_start(&f);
    static const char *const want[][2] = {{"/", "<p>home"}, {"/index.html", "<p>home"}, {"/sub/", "<p>sub"}, {"/subl/", "<p>sub"},
        {"/ten.bin", "0123456789"}, {"/ten.bin?x=/..", "0123456789"}, {"/in", "0123456789"}, {"/a%20b/%c3%A9%25.txt", "odd"},
        {"//ten.bin", "0123456789"}, {"/sub/./index.html", "<p>sub"}, {"/none.bin", ""}, {"http://h/ten.bin", "0123456789"}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const char *a = get(&f, want[i][0], "");
        if (!links && (strcmp(want[i][0], "/in") == 0 || strcmp(want[i][0], "/subl/") == 0)) {
            STATUS(a, "404");
            continue;
        }
        STATUS(a, "200");
        EXPECT_STR(body_of(a), want[i][1]);
    }
    EXPECT(strstr(get(&f, "/", ""), "Content-Type: text/html; charset=utf-8\r\n"));
    EXPECT(strstr(get(&f, "/ten.bin", ""), "Content-Type: application/octet-stream\r\n"));
    folder_stop(&f);
}

static void expect_nothing_outside(struct folder *f)
{
    static const char *const bad[] = {"/../secret", "/..%2fsecret", "/%2e%2e/secret", "/sub/../../secret",
        "/.%2e/secret", "/out", "/up/secret",
        "/up/", "/abs", "/sub/..", "/%00", "/ten.bin%00.html", "/ten.bin/", "/ten.bin/x", "/fifo", "/empty/", "/nope",
            "/%zz", "/%2",
        "/%2fetc/passwd", "//etc/passwd"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *a = get(f, bad[i], "");
        if (strncmp(a, "HTTP/1.1 404 ", 13) != 0 || strstr(a, "SECRET") || strstr(a, "root:"))
            weft_test_fail(__FILE__, __LINE__, "%s: %s", bad[i], a);
    }
}

TEST(http_files, nothing_outside_of_the_root_is_served)
{
    struct folder f;
    folder_start(&f);
    expect_nothing_outside(&f);
    folder_stop(&f);
}

void weft__t_files_walk(weft_http_files *files);

/* Kernels before 5.6: component by component, no symlinks at all. */
TEST(http_files, without_openat2_nothing_outside_is_served_either)
{
    struct folder f;
    folder_start(&f);
    weft__t_files_walk(f.files);
    expect_nothing_outside(&f);
    STATUS(get(&f, "/in", ""), "404");
    STATUS(get(&f, "/subl/", ""), "404");
    EXPECT_STR(body_of(get(&f, "/sub/", "")), "<p>sub");
    EXPECT_STR(body_of(get(&f, "/a%20b/%c3%a9%25.txt", "")), "odd");
    EXPECT_STR(body_of(get(&f, "/", "")), "<p>home");
    folder_stop(&f);
}

TEST(http_files, a_folder_without_its_slash_is_redirected)
{
    struct folder f;
    folder_start(&f);
    const char *a = get(&f, "/sub?q", "");
    STATUS(a, "301");
    EXPECT(strstr(a, "\r\nLocation: ./sub/?q\r\n"));
    a = get(&f, "//sub", "");
    EXPECT(strstr(a, "\r\nLocation: ./sub/\r\n"));
    EXPECT(strstr(get(&f, "/a%20b", ""), "\r\nLocation: ./a%20b/\r\n"));
    folder_stop(&f);
}

TEST(http_files, conditions_and_methods)
{
    struct folder f;
    folder_start(&f);
    char modified[64], fields[256];
    const char *a = strstr(get(&f, "/ten.bin", ""), "Last-Modified: ");
    REQUIRE(a && sscanf(a, "Last-Modified: %63[^\r]", modified) == 1);
    snprintf(fields, sizeof fields, "If-Modified-Since: %s\r\n", modified);
    a = get(&f, "/ten.bin", fields);
    STATUS(a, "304");
    EXPECT_STR(body_of(a), "");
    EXPECT(!strstr(a, "Content-Length"));
    STATUS(get(&f, "/ten.bin", "If-Modified-Since: Thu, 01 Jan 1998 00:00:00 GMT\r\n"), "200");
    STATUS(get(&f, "/ten.bin", "If-Modified-Since: yesterday\r\n"), "200");
    a = ask(&f, "HEAD", "/ten.bin", "");
    EXPECT(strstr(a, "Content-Length: 10\r\n"));
    EXPECT_STR(body_of(a), "");
    STATUS(ask(&f, "POST", "/ten.bin", ""), "405");
    folder_stop(&f);
}

TEST(http_files, single_ranges)
{
    static const struct {
        const char *range, *status, *body, *content_range;
    } want[] = {
        {"bytes=0-0", "206", "0", "bytes 0-0/10"}, {"bytes=3-5", "206", "345", "bytes 3-5/10"}, {"bytes=7-", "206",
            "789", "bytes 7-9/10"},
        {"bytes=7-100", "206", "789", "bytes 7-9/10"}, {"bytes=-3", "206", "789", "bytes 7-9/10"}, {"bytes=-100",
            "206", "0123456789", "bytes 0-9/10"},
        {"bytes=10-", "416", NULL, "bytes */10"}, {"bytes=-0", "416", NULL, "bytes */10"}, {"bytes=5-3", "200",
            "0123456789", NULL},
        {"bytes=0-8,3-9", "200", "0123456789", NULL}, {"bytes=20-,3-4", "206", "34", "bytes 3-4/10"}, {"lines=1-2", "200", "0123456789", NULL},
        {"bytes=", "200",
            "0123456789", NULL},
        {"bytes=99999999999999999999-", "200", "0123456789", NULL},
    };
    struct folder f;
    folder_start(&f);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char fields[128], line[64];
        snprintf(fields, sizeof fields, "Range: %s\r\n", want[i].range);
        const char *a = get(&f, "/ten.bin", fields);
        if (strncmp(a + 9, want[i].status, 3) != 0)
            weft_test_fail(__FILE__, __LINE__, "%s: %s", want[i].range, a);
        if (want[i].body)
            EXPECT_STR(body_of(a), want[i].body);
        snprintf(line, sizeof line, "\r\nContent-Range: %s\r\n", want[i].content_range ? want[i].content_range : "");
        EXPECT(!strstr(a, "\r\nContent-Range:") == !want[i].content_range);
        EXPECT(!want[i].content_range || strstr(a, line));
    }
    STATUS(get(&f, "/ten.bin", "Range: bytes=0-0\r\nIf-Range: Thu, 01 Jan 1998 00:00:00 GMT\r\n"), "200");
    STATUS(get(&f, "/none.bin", "Range: bytes=0-\r\n"), "416");
    folder_stop(&f);
}

TEST(http_files, several_ranges_come_as_parts)
{
    struct folder f;
    folder_start(&f);
    const char *a = get(&f, "/ten.bin", "Range: bytes=0-1, 3-4,-1\r\n"), *b = strstr(a, "boundary=");
    char mark[64], want[600];
    unsigned long stated = 0;
    STATUS(a, "206");
    REQUIRE(b && sscanf(b, "boundary=%63[^\r]", mark) == 1);
    REQUIRE(sscanf(strstr(a, "Content-Length:"), "Content-Length: %lu", &stated) == 1);
    snprintf(want, sizeof want,
             "--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n"
             "--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 3-4/10\r\n\r\n34\r\n"
             "--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 9-9/10\r\n\r\n9\r\n--%s--\r\n", mark, mark, mark, mark);
    EXPECT_STR(body_of(a), want);
    EXPECT_EQ(stated, strlen(want));
    STATUS(get(&f, "/ten.bin", "Range: bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,0-0,1-1,2-2,3-3,4-4,5-5,6-6\r\n"), "200");
    folder_stop(&f);
}

TEST(http_files, entity_tags_tell_versions_apart)
{
    struct folder f;
    char tag[64], fields[300];
    folder_start(&f);
    const char *a = strstr(get(&f, "/ten.bin", ""), "ETag: ");
    REQUIRE(a && sscanf(a, "ETag: %63[^\r]", tag) == 1);
    const struct {
        const char *format, *status;
    } want[] = {
        {"If-None-Match: %s\r\n", "304"}, {"If-None-Match: W/%s\r\n", "304"}, {"If-None-Match: \"x\", %s\r\n", "304"},
        {"If-None-Match: \"x\"\r\n", "200"}, {"If-None-Match: *\r\n", "304"}, {"If-Match: %s\r\n", "200"}, {"If-Match: *\r\n", "200"},
        {"If-Match: \"x\"\r\n", "412"}, {"If-Match: W/%s\r\n", "412"}, {"If-Unmodified-Since: Thu, 01 Jan 1998 00:00:00 GMT\r\n", "412"},
        {"If-None-Match: \"x\"\r\nIf-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n", "200"},
        {"Range: bytes=1-2\r\nIf-Range: %s\r\n", "206"}, {"Range: bytes=1-2\r\nIf-Range: \"x\"\r\n", "200"},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const char *format = want[i].format, *at = strstr(format, "%s");
        snprintf(fields, sizeof fields, "%.*s%s%s", at ? (int)(at - format) : (int)strlen(format), format, at ? tag : "", at ? at + 2 : "");
        const char *b = get(&f, "/ten.bin", fields);
        if (strncmp(b + 9, want[i].status, 3) != 0)
            weft_test_fail(__FILE__, __LINE__, "%s: %s", fields, b);
    }
    put_file(&f, "root/ten.bin", "01234567890", 11);
    snprintf(fields, sizeof fields, "If-None-Match: %s\r\n", tag);
    STATUS(get(&f, "/ten.bin", fields), "200");
    folder_stop(&f);
}

TEST(http_files, a_large_file_arrives_whole)
{
    struct folder f;
    folder_start(&f);
    enum { SIZE = 3 << 20 };
    char *data = malloc(SIZE), *body, url[256];
    for (int i = 0; i < SIZE; i++)
        data[i] = (char)(i * 7 + (i >> 11));
    put_file(&f, "root/large", data, SIZE);
    snprintf(url, sizeof url, "%s/large", f.url);
    weft_http_client *c = client_with(NULL);
    weft_http_response *r;
    size_t len;
    REQUIRE(weft_http_get(NULL, c, url, &r) == 0);
    EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), 0);
    EXPECT(len == SIZE && memcmp(body, data, SIZE) == 0);
    free(body);
    weft_http_response_free(r);
    struct weft_http_field part = {"Range", "bytes=1000000-2000000"};
    struct weft_http_call call = {.url = url, .fields = &part, .fields_len = 1};
    REQUIRE(weft_http_do(NULL, c, &call, &r) == 0);
    EXPECT_EQ(weft_http_status(r), 206);
    EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), 0);
    EXPECT(len == 1000001 && memcmp(body, data + 1000000, len) == 0);
    free(body);
    free(data);
    weft_http_response_free(r);
    weft_http_client_free(c);
    folder_stop(&f);
}

static char *page_of(weft_http_client *c, const struct folder *f, const char *path, const char *method, int want)
{
    weft_http_response *r;
    char url[300], *body;
    size_t len;
    snprintf(url, sizeof url, "%s%s", f->url, path);
    REQUIRE(weft_http_do(NULL, c, &(struct weft_http_call){.url = url, .method = method}, &r) == 0);
    EXPECT_EQ(weft_http_status(r), want);
    EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), 0);
    weft_http_response_free(r);
    return body;
}

TEST(http_files, folders_are_listed_only_where_that_is_wanted)
{
    struct folder f;
    folder_start(&f);
    put_file(&f, "root/a b/<i>&'\"#?:.txt", "", 0);
    weft_http_client *c = client_with(NULL);
    char *body = page_of(c, &f, "/a%20b/", NULL, 404);
    free(body);
    weft_http_files_list(f.files, true);
    body = page_of(c, &f, "/a%20b/", NULL, 200);
    EXPECT(strstr(body, "<pre>\n<a href=\"./%3Ci%3E%26%27%22%23%3F%3A.txt\">&lt;i&gt;&amp;&#39;&#34;#?:.txt</a>\n"
                        "<a href=\"./%C3%A9%25.txt\">\xc3\xa9%.txt</a>\n</pre>\n"));
    free(body);
    free(page_of(c, &f, "/a%20b/%3Ci%3E%26%27%22%23%3F%3A.txt", NULL, 200));
    body = page_of(c, &f, "/empty/", NULL, 200);
    EXPECT(strstr(body, "<pre>\n</pre>\n"));
    free(body);
    body = page_of(c, &f, "/", NULL, 200);
    EXPECT_STR(body, "<p>home");   /* an index is shown instead */
    free(body);
    body = page_of(c, &f, "/empty/", "HEAD", 200);
    EXPECT_STR(body, "");
    free(body);
    static const char *const none[] = {"/up/", "/ten.bin/", "/none/", "/a%20b/none/"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        free(page_of(c, &f, none[i], NULL, 404));
    char path[200];
    snprintf(path, sizeof path, "%s/index.html", f.root);
    REQUIRE(unlink(path) == 0);
    body = page_of(c, &f, "/", NULL, 200);
    EXPECT(strstr(body, "<a href=\"./sub/\">sub/</a>\n") && strstr(body, "<a href=\"./up\">up</a>\n") && strstr(body, "./ten.bin"));
    EXPECT(strstr(body, "./a%20b/") < strstr(body, "./ten.bin"));
    free(body);
    weft_http_client_free(c);
    folder_stop(&f);
}
