/* get_options.h - the command line of `weft get`. */
#ifndef CRAWL_CLI_GET_OPTIONS_H
#define CRAWL_CLI_GET_OPTIONS_H
#include <stdbool.h>
#include <weft/http.h>

enum { GET_FIELDS_MAX = 64 };

struct get_options {
    const char *url, *method, *output, *data, *upload, *proxy, *no_proxy, *cacert, *cookies_in, *cookies_out, *agent;
    struct weft_http_field fields[GET_FIELDS_MAX];   /* names malloc'ed, freed by get_options_done */
    size_t fields_len;
    int64_t time_max;          /* ns; 0: none */
    int redirects_max;
    bool head, include, follow, insecure, verbose, fail, compressed, env_proxy, help;
};

/* False: reterr has a sentence. Help asked for: true, with help set. */
bool get_options_parse(int argc, char **argv, struct get_options *ret, char *reterr, size_t n);
void get_options_done(struct get_options *o);
extern const char get_usage[];

#endif
