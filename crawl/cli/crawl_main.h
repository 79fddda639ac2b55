/*
 * crawl_main.h - the subcommand `weft crawl`.
 */
#ifndef CRAWL_MAIN_H
#define CRAWL_MAIN_H

/** crawl_main - weft crawl; argv[0] is the subcommand. Returns the exit status. */
int crawl_main(int argc, char **argv);

#endif
