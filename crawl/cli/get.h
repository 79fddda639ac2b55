/* get.h - `weft get URL`. */
#ifndef CRAWL_CLI_GET_H
#define CRAWL_CLI_GET_H
/* argv[0] is "get". Returns the exit status; the usage text lists them. */
int get_main(int argc, char **argv);
#endif
