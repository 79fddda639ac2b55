/*
 * rows.c - rows as CSV (RFC 4180) and JSON lines (RFC 8259).
 *
 * Role    Workers write their rows here, each into its own buffer; writer.c only moves bytes.
 * Near    writer.c; docs/design/crawl.md lists the columns.
 * Invariants
 *   W1  a row is exactly one record: a CSV field with a comma, quote, CR or LF is quoted; JSON escapes all controls.
 *   W2  the output is valid UTF-8: each ill-formed piece becomes U+FFFD, NUL becomes U+FFFD too in CSV.
 */
#include "rows.h"
#include <string.h>

void row_head(enum row_format format, struct text *out)
{
    if (format == ROW_CSV)
        text_adds(out, "url,final_url,status,bytes,content_type,title,ms,error\r\n");
}

static void csv_field(struct text *out, const char *s)
{
    if (!s || !*s)
        return;
    size_t n = strlen(s);
    if (!s[strcspn(s, ",\"\r\n")]) {
        text_add_utf8(out, s, n);
        return;
    }
    text_addc(out, '"');
    for (const char *end = s + n; s < end;) {
        const char *q = memchr(s, '"', (size_t)(end - s));
        size_t part = (size_t)((q ? q + 1 : end) - s);
        text_add_utf8(out, s, part);
        if (q)
            text_addc(out, '"');
        s += part;
    }
    text_addc(out, '"');
}

static void json_string(struct text *out, const char *s)
{
    const unsigned char *p = (const unsigned char *)(s ? s : ""), *end = p + strlen((const char *)p);
    text_addc(out, '"');
    while (p < end) {
        int step = text_utf8_step(p, (size_t)(end - p));
        if (step < 0) {
            text_adds(out, "\xef\xbf\xbd");                           /* W2 */
            p -= step;
            continue;
        }
        if (*p == '"' || *p == '\\')
            text_addc(out, '\\');
        if (*p < 0x20 || *p == 0x7f)
            text_addf(out, "\\u%04x", *p);
        else
            text_add(out, p, (size_t)step);
        p += step;
    }
    text_addc(out, '"');
}

static void row_csv(const struct row *r, struct text *out)
{
    csv_field(out, r->url);
    text_addc(out, ',');
    csv_field(out, r->final_url);
    text_addf(out, ",%d,%lld,", r->status, (long long)r->bytes);
    csv_field(out, r->content_type);
    text_addc(out, ',');
    csv_field(out, r->title);
    text_addf(out, ",%lld.%lld,", (long long)(r->ns / 1000000), (long long)(r->ns / 100000 % 10));
    csv_field(out, r->error);
    text_adds(out, "\r\n");
}

static void row_json(const struct row *r, struct text *out)
{
    text_adds(out, "{\"url\":");
    json_string(out, r->url);
    text_adds(out, ",\"final_url\":");
    json_string(out, r->final_url);
    text_addf(out, ",\"status\":%d,\"bytes\":%lld,\"content_type\":", r->status, (long long)r->bytes);
    json_string(out, r->content_type);
    text_adds(out, ",\"title\":");
    json_string(out, r->title);
    text_addf(out, ",\"ms\":%lld.%lld,\"error\":", (long long)(r->ns / 1000000), (long long)(r->ns / 100000 % 10));
    json_string(out, r->error);
    text_adds(out, "}\n");
}

void row_write(enum row_format format, const struct row *row, struct text *out)
{
    if (format == ROW_CSV)
        row_csv(row, out);
    else
        row_json(row, out);
}
