/*
 * fetch_args.h - what the C contestants of bench/fetch.py share: flags, clocks, the line of JSON.
 */
#ifndef BENCH_FETCH_ARGS_H
#define BENCH_FETCH_ARGS_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct fetch_args {
    int port, conns;
    bool each;           /* a connection for each fetch */
    bool wait;           /* CONNS fetches that get no answer: memory instead of time */
    const char *ca;      /* https, with this authority */
    bool full;           /* no session is resumed */
    double work;         /* the floor only: us of computing for each fetch, as a client that does more has it */
    bool read_first;     /* the floor only: no request before all answers that are there have been read */
    bool h2;             /* CONNS fetches at a time over one connection of HTTP/2 */
    double seconds, warm;
};

static inline void fetch_parse(int argc, char **argv, struct fetch_args *ret)
{
    struct rlimit r;
    int o;
    *ret = (struct fetch_args){.conns = 64, .seconds = 1, .warm = 0.3};
    while ((o = getopt(argc, argv, "p:c:s:w:t:x:rneW2")) > 0) {
        if (o == 'p')
            ret->port = (int)strtol(optarg, NULL, 10);
        else if (o == 'c')
            ret->conns = (int)strtol(optarg, NULL, 10);
        else if (o == 's')
            ret->seconds = strtod(optarg, NULL);
        else if (o == 'w')
            ret->warm = strtod(optarg, NULL);
        else if (o == 'e')
            ret->each = true;
        else if (o == 'W')
            ret->wait = true;
        else if (o == 't')
            ret->ca = optarg;
        else if (o == '2')
            ret->h2 = true;
        else if (o == 'n')
            ret->full = true;
        else if (o == 'x')
            ret->work = strtod(optarg, NULL) / 1e6;
        else if (o == 'r')
            ret->read_first = true;
        else
            exit(2);
    }
    if (!ret->port || ret->conns < 1) {
        fprintf(stderr, "usage: %s -p PORT [-c CONNS] [-e | -W | -2] [-x US] [-r] [-t CA_FILE [-n]] [-s SECONDS] [-w WARM_UP]\n", argv[0]);
        exit(2);
    }
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
}

static inline double fetch_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* CPU time of this process, s. */
static inline double fetch_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Anonymous memory that is resident, bytes: heap and stacks. */
static inline double fetch_memory(void)
{
    char line[128];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "RssAnon:", 8) == 0)
            kib = strtod(line + 8, NULL);
    if (f)
        fclose(f);
    return kib * 1024;
}

static inline int fetch_report(uint64_t fetches, uint64_t errors, double seconds, double cpu)
{
    printf("{\"requests\": %llu, \"errors\": %llu, \"seconds\": %.3f, \"cpu_us\": %.4f, \"per_s\": %.0f}\n", (unsigned long long)fetches,
           (unsigned long long)errors, seconds, fetches ? cpu * 1e6 / (double)fetches : 0.0, (double)fetches / seconds);
    return !fetches || errors;
}

static inline int fetch_report_memory(int waiting, double before)
{
    printf("{\"requests\": %d, \"errors\": 0, \"bytes\": %.0f}\n", waiting, (fetch_memory() - before) / waiting);
    return 0;
}

#endif
