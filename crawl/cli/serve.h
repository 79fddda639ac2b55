/* serve.h - `weft serve DIR`. */
#ifndef CRAWL_CLI_SERVE_H
#define CRAWL_CLI_SERVE_H
/* argv[0] is "serve". Returns the exit status: 0, 1 (cannot serve), 2 (bad command line). */
int serve_main(int argc, char **argv);
#endif
