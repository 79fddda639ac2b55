/*
 * sse.c - server-sent events: a response that never ends, a piece at a time.
 *
 * Role    The text of an event, each in one chunk, sent at once. Near reply.c. Layer 5.
 * Limits  event and id are one line each; an event's text is built in memory.
 * Source  HTML Living Standard, 9.2 Server-sent events.
 */
#include "server_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

weft_err weft_http_sse_begin(weft_http_writer *w)
{
    weft_err err = weft_http_reply_field(w, "Content-Type", "text/event-stream");
    if (err == 0)
        err = weft_http_reply_field(w, "Cache-Control", "no-cache");
    if (err == 0)
        err = weft_http_reply_field(w, "X-Accel-Buffering", "no");   /* a proxy in between would hold it back */
    return err < 0 ? err : weft_http_reply_flush(w);
}

static bool one_line(const char *s)
{
    return !s || !s[strcspn(s, "\r\n")];
}

/* "data: " before each line of text; CR, LF and CRLF end lines. */
static void put_lines(FILE *f, const char *text)
{
    for (const char *s = text;;) {
        size_t n = strcspn(s, "\r\n");
        fprintf(f, "data: %.*s\n", (int)n, s);
        if (!s[n])
            return;
        s += n + (s[n] == '\r' && s[n + 1] == '\n' ? 2 : 1);
    }
}

weft_err weft_http_sse_send(weft_http_writer *w, const struct weft_http_event *e)
{
    char *text = NULL;
    size_t len = 0;
    if (!one_line(e->event) || !one_line(e->id) || (e->data && strlen(e->data) > WEFT_IO_MAX))
        return WEFT_EINVAL;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return WEFT_ENOMEM;
    if (e->id)
        fprintf(f, "id: %s\n", e->id);
    if (e->event)
        fprintf(f, "event: %s\n", e->event);
    if (e->retry > 0)
        fprintf(f, "retry: %lld\n", (long long)(e->retry / WEFT_MS));
    if (e->data)
        put_lines(f, e->data);
    else if (!e->id && !e->event && e->retry <= 0)
        fputs(":\n", f);   /* nothing to say: a comment keeps the connection known to be alive */
    fputc('\n', f);
    weft_err err = fclose(f) == 0 ? weft_http_reply_write(w, text, len) : WEFT_ENOMEM;
    free(text);
    return err < 0 ? err : weft_http_reply_flush(w);
}
