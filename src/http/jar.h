/* jar.h - the client's side of a cookie jar. Layer 5. */
#ifndef WEFT_HTTP_JAR_H
#define WEFT_HTTP_JAR_H
#include "http_int.h"

/* The Cookie field's value for a request to url, malloc'ed; NULL when there is none. */
char *weft__jar_give(weft_http_jar *jar, const struct weft__url *url);
/* A Set-Cookie field's value, from a response of url. One that the rules refuse is dropped. */
void weft__jar_take(weft_http_jar *jar, const struct weft__url *url, const char *value);

#endif
