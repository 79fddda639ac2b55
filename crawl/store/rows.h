/*
 * rows.h - what is known of a fetched URL, as a line of CSV or JSON.
 */
#ifndef CRAWL_ROWS_H
#define CRAWL_ROWS_H
#include "../base/text.h"
#include <stdint.h>

enum row_format { ROW_CSV, ROW_JSONL };

/* Strings may be NULL (empty) and hold any bytes. */
struct row {
    const char *url;          /* as first asked for, canonical */
    const char *final_url;    /* that answered, or that a redirect points to */
    int status;               /* HTTP status; -1: the fetch failed, error says why */
    int64_t bytes;            /* of the body, decoded, as far as it was read */
    const char *content_type; /* the header, as it came */
    const char *title;
    int64_t ns;               /* time that the fetches took */
    const char *error;
};

/** row_head - the line before the first row; nothing for JSON lines. */
void row_head(enum row_format format, struct text *out);
/** row_write - append a row with its line end. The output is valid UTF-8 whatever the strings hold. */
void row_write(enum row_format format, const struct row *row, struct text *out);

#endif
