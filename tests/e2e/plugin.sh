#!/bin/sh
# A program that knows nothing of weft loads a plugin that uses it: libweft runs inside a shared library, in a thread that
# it did not start, and the program's other threads go on.
set -eu
cd "$(dirname "$0")/../.."
build=${WEFT_BUILD:-$PWD/build/release-gcc}
case $(basename "$build") in release-*|debug-*) ;; *) echo "an installed library is not sanitized"; exit 77 ;; esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset LD_LIBRARY_PATH MAKEFLAGS MAKELEVEL
fail() { echo "$*"; exit 1; }
scripts/install "$build" "$tmp/p" >/dev/null
export PKG_CONFIG_PATH="$tmp/p/lib/pkgconfig"

cat >"$tmp/plugin.c" <<'C'
#include <weft/weft.h>

static void square(long n, weft_sender(long) out)
{
    weft_sleep(WEFT_MS);
    weft_send(out, n * n);
}

/* Adds the squares of 1 .. n, each by a goroutine of its own. */
long plugin_squares(long n);
long plugin_squares(long n)
{
    weft_chan(long) out = weft_make(long);
    long sum = 0;

    for (long i = 1; i <= n; i++)
        weft_go(square, i, out);
    for (long i = 1; i <= n; i++)
        sum += weft_recv(out);
    weft_free(out);
    return sum;
}
C
cat >"$tmp/host.c" <<'C'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static long (*squares)(long);
static long result[4];

static void *work(void *arg)
{
    *(long *)arg = squares(1000);
    return NULL;
}

int main(int argc, char **argv)
{
    void *lib = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    pthread_t t[4];

    if (!lib || !(squares = (long (*)(long))dlsym(lib, "plugin_squares")))
        return fprintf(stderr, "%s\n", dlerror()), 1;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, work, &result[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    printf("%ld %ld %ld %ld\n", result[0], result[1], result[2], result[3]);
    return 0;
}
C
gcc -std=gnu11 -Wall -Wextra -Werror -O2 -fPIC -shared "$tmp/plugin.c" -o "$tmp/plugin.so" $(pkg-config --cflags --libs weft) || fail "the plugin does not build"
gcc -std=gnu11 -Wall -Wextra -Werror -O2 "$tmp/host.c" -o "$tmp/host" -ldl -lpthread || fail "the host does not build"
if ldd "$tmp/host" | grep -q weft; then fail "the host is linked with weft itself"; fi
out=$(timeout 600 "$tmp/host" "$tmp/plugin.so") || fail "the host ends with $?"
[ "$out" = "333833500 333833500 333833500 333833500" ] || fail "the host prints $out"
