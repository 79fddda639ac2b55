/*
 * posix_e2e.h - what the programs with real libraries share: an end with a message, threads and memory of this process.
 */
#ifndef POSIX_E2E_H
#define POSIX_E2E_H
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

/* A number of /proc/self/status. */
static inline size_t status_number(const char *name)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    size_t n = 0;

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            n = strtoul(line + strlen(name), NULL, 10);
    if (f)
        fclose(f);
    return n;
}

static inline int thread_count(void)
{
    return (int)status_number("Threads:");
}

static inline size_t rss_kib(void)
{
    return status_number("VmRSS:");
}

#endif
