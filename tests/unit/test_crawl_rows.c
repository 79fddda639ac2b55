/*
 * test_crawl_rows.c - rows of CSV and JSON, UTF-8 repair.
 *
 * Role    store/rows.c, base/text.c.
 */
#include "../../crawl/store/rows.h"
#include <weft_test.h>

static const char *row_as(enum row_format format, const char *title, const char *error)
{
    static struct text t;
    struct row r = {.url = "http://h/a", .final_url = "http://h/b", .status = 200, .bytes = 1234,
                    .content_type = "text/html; charset=utf-8", .title = title, .ns = 12345678, .error = error};
    text_clear(&t, 0);
    row_write(format, &r, &t);
    return text_str(&t);
}

TEST(crawl_rows, csv_quotes_only_where_it_must)
{
    EXPECT_STR(row_as(ROW_CSV, "plain", NULL), "http://h/a,http://h/b,200,1234,text/html; charset=utf-8,plain,12.3,\r\n");
    EXPECT_STR(row_as(ROW_CSV, "a,b \"c\"", "x\ny"),
               "http://h/a,http://h/b,200,1234,text/html; charset=utf-8,\"a,b \"\"c\"\"\",12.3,\"x\ny\"\r\n");
    EXPECT_STR(row_as(ROW_CSV, "\"", ""), "http://h/a,http://h/b,200,1234,text/html; charset=utf-8,\"\"\"\",12.3,\r\n");
}

TEST(crawl_rows, csv_begins_with_the_columns)
{
    struct text t = {0};
    row_head(ROW_CSV, &t);
    EXPECT_STR(text_str(&t), "url,final_url,status,bytes,content_type,title,ms,error\r\n");
    text_clear(&t, 0);
    row_head(ROW_JSONL, &t);
    EXPECT_STR(text_str(&t), "");
    text_done(&t);
}

TEST(crawl_rows, json_escapes_what_it_must)
{
    EXPECT_STR(row_as(ROW_JSONL, "a\"b\\c\x01\n\x7f", NULL),
               "{\"url\":\"http://h/a\",\"final_url\":\"http://h/b\",\"status\":200,\"bytes\":1234,\"content_type\":"
               "\"text/html; charset=utf-8\",\"title\":\"a\\\"b\\\\c\\u0001\\u000a\\u007f\",\"ms\":12.3,\"error\":\"\"}\n");
}

TEST(crawl_rows, ill_formed_utf8_is_replaced)
{
    struct text t = {0};
    text_add_utf8(&t, "a\xff\xc3\xa9\xe2\x82z\xed\xa0\x80\xf4\x90\xc0\xaf\xf0\x9f\x98", 18);
    EXPECT_STR(t.p, "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    text_done(&t);
    EXPECT(strstr(row_as(ROW_CSV, "\xe9t\xe9", NULL), "\xef\xbf\xbdt\xef\xbf\xbd") != NULL);
    EXPECT(strstr(row_as(ROW_JSONL, "\xe9", NULL), "\"\xef\xbf\xbd\"") != NULL);
}

TEST(crawl_rows, empty_strings_and_failures)
{
    struct text t = {0};
    row_write(ROW_CSV, &(struct row){.url = "http://h/", .status = -1, .error = "connection refused"}, &t);
    EXPECT_STR(t.p, "http://h/,,-1,0,,,0.0,connection refused\r\n");
    text_done(&t);
}
