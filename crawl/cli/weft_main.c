/*
 * weft_main.c - the program `weft`: picks the subcommand.
 */
#include "crawl_main.h"
#include "get.h"
#include "serve.h"
#include <stdio.h>
#include <string.h>
#include <weft/base.h>

static void usage(FILE *to)
{
    fputs("usage: weft COMMAND\n\n"
          "  weft crawl [flags] URL...         crawl the hosts of the URLs; rows go to pages.csv\n"
          "  weft crawl [flags] --list FILE    fetch a list of URLs\n"
          "  weft get [flags] URL              fetch one URL, as curl does\n"
          "  weft serve DIR [--addr HOST:PORT] serve a folder over HTTP\n"
          "  weft version                      print the version\n"
          "  weft help                         this text\n\n"
          "weft crawl --help, weft get --help and weft serve --help list the flags.\n",
          to);
}

int main(int argc, char **argv)
{
    const char *cmd = argc > 1 ? argv[1] : "";
    if (!strcmp(cmd, "crawl"))
        return crawl_main(argc - 1, argv + 1);
    if (!strcmp(cmd, "get"))
        return get_main(argc - 1, argv + 1);
    if (!strcmp(cmd, "serve"))
        return serve_main(argc - 1, argv + 1);
    if (!strcmp(cmd, "version") || !strcmp(cmd, "--version") || !strcmp(cmd, "-V")) {
        puts("weft " WEFT_VERSION);
        return 0;
    }
    if (!strcmp(cmd, "help") || !strcmp(cmd, "--help") || !strcmp(cmd, "-h")) {
        usage(stdout);
        return 0;
    }
    if (*cmd)
        fprintf(stderr, "weft: unknown command \"%s\" (weft help lists them)\n", cmd);
    else
        usage(stderr);
    return 2;
}
