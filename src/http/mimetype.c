/*
 * mimetype.c - Content-Type by suffix.
 *
 * Role    The types a browser or crawler must be told right; all text is taken for UTF-8. Layer 5.
 * Source  WHATWG MIME Sniffing, IANA media types; Go mime.TypeByExtension.
 */
#include "mimetype.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *const mime_table[][2] = {
    {"html", "text/html; charset=utf-8"}, {"htm", "text/html; charset=utf-8"}, {"css", "text/css; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"}, {"mjs", "text/javascript; charset=utf-8"}, {"json", "application/json"},
    {"xml", "text/xml; charset=utf-8"}, {"xhtml", "application/xhtml+xml"}, {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"}, {"csv", "text/csv; charset=utf-8"}, {"rst", "text/plain; charset=utf-8"},
    {"c", "text/plain; charset=utf-8"}, {"h", "text/plain; charset=utf-8"}, {"py", "text/plain; charset=utf-8"},
    {"svg", "image/svg+xml"}, {"png", "image/png"}, {"jpg", "image/jpeg"}, {"jpeg", "image/jpeg"}, {"gif", "image/gif"},
    {"webp", "image/webp"}, {"avif", "image/avif"}, {"ico", "image/x-icon"}, {"pdf", "application/pdf"},
    {"woff", "font/woff"}, {"woff2", "font/woff2"}, {"ttf", "font/ttf"}, {"wasm", "application/wasm"},
    {"gz", "application/gzip"}, {"zip", "application/zip"}, {"mp3", "audio/mpeg"}, {"ogg", "audio/ogg"},
    {"mp4", "video/mp4"}, {"webm", "video/webm"}, {"atom", "application/atom+xml"}, {"rss", "application/rss+xml"},
};

const char *weft__mime_type(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof mime_table / sizeof *mime_table; i++)
        if (strcasecmp(dot + 1, mime_table[i][0]) == 0)
            return mime_table[i][1];
    return "application/octet-stream";
}
