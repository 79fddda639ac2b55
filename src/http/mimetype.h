/* mimetype.h - Content-Type by a file name's suffix. Layer 5. */
#ifndef WEFT_HTTP_MIMETYPE_H
#define WEFT_HTTP_MIMETYPE_H
/* Never NULL; "application/octet-stream" for what is not known. */
const char *weft__mime_type(const char *name);
#endif
