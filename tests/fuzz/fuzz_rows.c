/*
 * fuzz_rows.c - rows of CSV and JSON lines, read back.
 *
 * Checks W1 and W2: whatever the strings hold, a row is one record of valid UTF-8, and reading it by RFC 4180 or RFC 8259
 * gives the strings back, with U+FFFD where they were ill-formed. "url NUL title NUL type NUL error".
 */
#include "../../crawl/store/rows.h"
#include "fuzz.h"

/* s with each ill-formed piece as U+FFFD: what a reader should get. */
static void check_utf8(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    for (size_t i = 0; i < n;) {
        int step = text_utf8_step(p + i, n - i);
        CHECK(step > 0);
        i += (size_t)step;
    }
}

static void check_field(const char *have, size_t n, const char *want)
{
    struct text t = {0};
    text_add_utf8(&t, want, strlen(want));
    CHECK(t.len == n && (!n || memcmp(t.p, have, n) == 0));
    text_done(&t);
}

/* The next CSV field at *s, which moves behind it and its comma; *quoted says of CRLF. */
static void csv_next(const char **s, const char *end, struct text *out)
{
    text_clear(out, 0);
    if (*s < end && **s == '"') {
        for (++*s;; ++*s) {
            CHECK(*s < end);
            if (**s == '"' && (*s + 1 == end || (*s)[1] != '"'))
                break;
            *s += **s == '"';
            text_addc(out, **s);
        }
        ++*s;
    } else {
        while (*s < end && !strchr(",\r\n", **s)) {
            CHECK(**s != '"');
            text_addc(out, *(*s)++);
        }
    }
}

static void check_csv(const struct row *r, const struct text *t)
{
    const char *s = t->p, *end = s + t->len, *const want[] = {r->url, r->final_url, NULL, NULL, r->content_type, r->title, NULL, r->error};
    struct text f = {0};
    for (int i = 0; i < 8; i++) {
        csv_next(&s, end, &f);
        if (want[i])
            check_field(text_str(&f), f.len, want[i]);
        CHECK(s < end && (i < 7 ? *s++ == ',' : *s == '\r'));
    }
    CHECK(end - s == 2 && s[1] == '\n');
    text_done(&f);
}

/* A JSON string at *s, behind its quote. */
static void json_next(const char **s, const char *end, struct text *out)
{
    text_clear(out, 0);
    for (;; ++*s) {
        CHECK(*s < end && (unsigned char)**s >= 0x20);
        if (**s == '"')
            break;
        if (**s != '\\') {
            text_addc(out, **s);
            continue;
        }
        ++*s;
        CHECK(*s < end && strchr("\"\\u", **s));
        if (**s != 'u') {
            text_addc(out, **s);
            continue;
        }
        CHECK(end - *s > 5);
        char hex[5] = {(*s)[1], (*s)[2], (*s)[3], (*s)[4]};
        text_addc(out, (char)strtoul(hex, NULL, 16));
        *s += 4;
    }
    ++*s;
}

static void check_json(const struct row *r, const struct text *t)
{
    static const char *const keys[] = {"{\"url\":\"", ",\"final_url\":\"", NULL, ",\"title\":\"", ",\"error\":\""};
    const char *s = t->p, *end = s + t->len, *const want[] = {r->url, r->final_url, r->content_type, r->title, r->error};
    struct text f = {0};
    for (int i = 0; i < 5; i++) {
        static const char type[] = "\"content_type\":\"", error[] = "\"error\":\"";
        const char *key = i == 2 ? type : i == 4 ? error : keys[i];
        if (i == 2 || i == 4)   /* numbers stand before it */
            while (s < end && *s != '"' ? true : s < end && strncmp(s, key, strlen(key)) != 0)
                s++;
        CHECK((size_t)(end - s) > strlen(key) && strncmp(s, key, strlen(key)) == 0);
        s += strlen(key);
        json_next(&s, end, &f);
        check_field(text_str(&f), f.len, want[i]);
    }
    CHECK(end - s == 2 && s[0] == '}' && s[1] == '\n' && !memchr(t->p, '\n', t->len - 1));
    text_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    int status = fuzz_byte(&in);
    char *url = fuzz_until(&in, '\0', NULL), *title = fuzz_until(&in, '\0', NULL), *type = fuzz_until(&in, '\0', NULL),
         *error = fuzz_text(&in, in.n, NULL);
    struct row r = {.url = url, .final_url = title, .status = status - 1, .bytes = (int64_t)size, .content_type = type, .title = title,
                    .ns = (int64_t)size * 1000000, .error = error};
    struct text csv = {0}, json = {0};
    row_write(ROW_CSV, &r, &csv);
    row_write(ROW_JSONL, &r, &json);
    check_utf8(csv.p, csv.len);
    check_utf8(json.p, json.len);
    check_csv(&r, &csv);
    check_json(&r, &json);
    text_done(&csv);
    text_done(&json);
    free(url);
    free(title);
    free(type);
    free(error);
    return 0;
}
