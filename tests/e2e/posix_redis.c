/*
 * posix_redis.c SOCKET N - N goroutines, each with its own hiredis connection, wait in BLPOP at the same time.
 *
 * Nobody is served before the server says that N clients are blocked. Then each gets its own value. Prints what it took.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <weft/weft.h>

#include "posix_e2e.h"

static const char *path;
static _Atomic int served;

static redisContext *dial(void)
{
    redisContext *c = redisConnectUnix(path);

    if (!c || c->err)
        die("connect: %s", c ? c->errstr : "no memory");
    return c;
}

static void ask(int i)
{
    char want[32];
    redisContext *c = dial();
    redisReply *r = redisCommand(c, "BLPOP key%d 0", i);

    snprintf(want, sizeof want, "value%d", i);
    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements != 2 || strcmp(r->element[1]->str, want) != 0)
        die("BLPOP key%d: %s", i, c->errstr);
    freeReplyObject(r);
    redisFree(c);
    atomic_fetch_add_explicit(&served, 1, memory_order_relaxed);
}

static int blocked(redisContext *c)
{
    redisReply *r = redisCommand(c, "INFO clients");
    const char *at = r && r->type == REDIS_REPLY_STRING ? strstr(r->str, "blocked_clients:") : NULL;
    int n = at ? (int)strtol(at + strlen("blocked_clients:"), NULL, 10) : -1;

    freeReplyObject(r);
    return n;
}

int main(int argc, char **argv)
{
    int n = argc == 3 ? (int)strtol(argv[2], NULL, 10) : 0;
    weft_waitgroup wg = {0};

    if (n < 1)
        die("usage: posix_redis SOCKET N");
    path = argv[1];
    size_t before = rss_kib();
    redisContext *c = dial();
    for (int i = 0; i < n; i++)
        weft_waitgroup_go(&wg, ask, i);
    while (blocked(c) < n)
        weft_sleep(5 * WEFT_MS);
    size_t waiting = rss_kib();
    int threads = thread_count();
    if (atomic_load_explicit(&served, memory_order_relaxed) != 0)
        die("somebody was served before");
    for (int i = 0; i < n; i++)
        freeReplyObject(redisCommand(c, "RPUSH key%d value%d", i, i));
    weft_waitgroup_wait(&wg);
    redisFree(c);
    printf("%d waited at the same time on %d processors: %d threads, %zu bytes of user memory each\n",
           atomic_load_explicit(&served, memory_order_relaxed), weft_procs(0), threads, (waiting - before) * 1024 / (size_t)n);
    return 0;
}
