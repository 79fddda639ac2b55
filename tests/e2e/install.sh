#!/bin/sh
# What `make install` leaves is enough for a stranger: cc x.c $(pkg-config --cflags --libs weft), by gcc and by clang,
# and the program runs with no LD_LIBRARY_PATH. Also DESTDIR, the static library, and no name exported but weft's.
set -eu
cd "$(dirname "$0")/../.."
build=${WEFT_BUILD:-$PWD/build/release-gcc}
case $(basename "$build") in release-*|debug-*) ;; *) echo "an installed library is not sanitized"; exit 77 ;; esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset LD_LIBRARY_PATH MAKEFLAGS MAKELEVEL
fail() { echo "$*"; exit 1; }

scripts/install "$build" "$tmp/p" >/dev/null
for f in lib/libweft.so lib/libweft.so.0 lib/libweft.a lib/libweft-posix.so lib/libweft-posix.a lib/pkgconfig/weft-posix.pc lib/pkgconfig/weft.pc include/weft/weft.h include/weft/go.h; do
    [ -e "$tmp/p/$f" ] || fail "make install PREFIX=DIR leaves no $f"
done
for h in include/weft/*.h; do
    [ -e "$tmp/p/$h" ] || fail "$h is not installed: see include/weft/meson.build"
done
[ -x "$tmp/p/bin/weft" ] || fail "make install leaves no bin/weft"
"$tmp/p/bin/weft" --help >/dev/null || fail "the installed weft --help ends with $?"

scripts/install "$build" /opt/weft "$tmp/d" >/dev/null
[ -e "$tmp/d/opt/weft/lib/libweft.so" ] || fail "DESTDIR is not honoured"
grep -qx 'prefix=/opt/weft' "$tmp/d/opt/weft/lib/pkgconfig/weft.pc" || fail "weft.pc names DESTDIR, or not PREFIX"

cat >"$tmp/x.c" <<'C'
#include <stdio.h>
#include <weft/weft.h>

static void square(int n, weft_sender(int) out)
{
    weft_send(out, n * n);
}

int main(void)
{
    weft_chan(int) squares = weft_make(int);
    int sum = 0;

    for (int i = 1; i <= 10; i++)
        weft_go(square, i, squares);
    for (int i = 1; i <= 10; i++)
        sum += weft_recv(squares);
    printf("%d\n", sum);
    weft_free(squares);
    return 0;
}
C

cat >"$tmp/y.c" <<'C'
#include <stdio.h>
#include <weft/weft.h>

static void many(int a, int b, int c, int d, int e, int f, int g, int h)
{
    weft_panic("%d", a + b + c + d + e + f + g + h);
}

static void few(int a)
{
    weft_panic("%d", a);
}

static void put(int *to, int a, int b, int c, int d, int e, int f, int g)
{
    *to = a + b + c + d + e + f + g;
}

static void hand(weft_sender(int) out, int v)
{
    weft_send(out, v);
}

static void deferred(int *to)
{
    weft_defer(put, to, 1, 2, 3, 4, 5, 6, 7);
    weft_defer(put, to, 7, 7, 7, 7, 7, 7, 7);
}

int main(void)
{
    int sum = 0;

    weft_chan(int) c = weft_make(int);
    weft_go(hand, c, 1);
    sum = weft_recv(c);
    weft_free(c);
    printf("%d ", sum);
    printf("%s ", weft_try(many, 1, 2, 3, 4, 5, 6, 7, 8));
    printf("%s ", weft_try(few, 7));
    deferred(&sum);
    printf("%d\n", sum);
    return 0;
}
C

# only this weft.pc, so that nothing else of ours helps
export PKG_CONFIG_PATH="$tmp/p/lib/pkgconfig"
compilers=gcc
for c in clang-19 clang clang-14; do command -v $c >/dev/null && compilers="gcc $c" && break; done
for cc in $compilers; do
    for opt in -O0 -O2; do
        # -Werror: a user's -Wall must stay silent
        $cc -std=gnu11 -Wall -Wextra -Werror $opt "$tmp/x.c" -o "$tmp/x" $(pkg-config --cflags --libs weft) || fail "$cc $opt does not build x.c"
        out=$(timeout 300 "$tmp/x") || fail "$cc $opt: x ends with $?"
        [ "$out" = 385 ] || fail "$cc $opt: x prints $out, expected 385"
        # a program at fixed addresses calls by its linkage table, and the dynamic linker behind that keeps few registers
        $cc -std=gnu11 -Wall -Wextra -Werror $opt -fno-pie -no-pie -Wl,-z,lazy "$tmp/y.c" -o "$tmp/y" $(pkg-config --cflags --libs weft) || fail "$cc $opt does not build y.c"
        out=$(timeout 300 "$tmp/y") || fail "$cc $opt: y ends with $?"
        [ "$out" = "1 36 7 28" ] || fail "$cc $opt: y prints $out, expected 1 36 7 28"
        $cc -std=gnu11 $opt "$tmp/x.c" -o "$tmp/xs" $(pkg-config --static --cflags --libs weft | sed 's/-lweft/-l:libweft.a/') || fail "$cc $opt: no static link"
        out=$(timeout 300 "$tmp/xs") || fail "$cc $opt: static x ends with $?"
        [ "$out" = 385 ] || fail "$cc $opt: static x prints $out, expected 385"
        ! readelf -d "$tmp/xs" | grep -q libweft || fail "the static program still asks for libweft.so"
    done
    # no flag of ours but those
    $cc "$tmp/x.c" -o "$tmp/x" $(pkg-config --cflags --libs weft) || fail "$cc by its own defaults does not build x.c"
done

# with libweft-posix a blocking call hands the processor on: 50 sleeps and locks on one processor, shared and static
cat >"$tmp/b.c" <<'C'
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <weft/weft.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static int sum;

static void work(void)
{
    pthread_mutex_lock(&m);
    usleep(1000);
    sum++;
    pthread_mutex_unlock(&m);
}

int main(void)
{
    weft_waitgroup wg = {0};

    for (int i = 0; i < 50; i++)
        weft_waitgroup_go(&wg, work);
    weft_waitgroup_wait(&wg);
    printf("%d\n", sum);
    return 0;
}
C
for cc in $compilers; do
    $cc -std=gnu11 -Wall -Wextra -Werror "$tmp/b.c" -o "$tmp/b" $(pkg-config --cflags --libs weft-posix) || fail "$cc does not build b.c"
    $cc -std=gnu11 "$tmp/b.c" -o "$tmp/bs" -Wl,--whole-archive "$tmp/p/lib/libweft-posix.a" -Wl,--no-whole-archive \
        $(pkg-config --static --cflags --libs weft | sed 's/-lweft/-l:libweft.a/') || fail "$cc: no static link of b.c"
    for x in b bs; do
        out=$(WEFT_PROCS=1 timeout 60 "$tmp/$x") || fail "$cc: $x ends with $?"
        [ "$out" = 50 ] || fail "$cc: $x prints $out, expected 50"
    done
    readelf -d "$tmp/b" | grep -q libweft-posix || fail "b does not ask for libweft-posix.so"
    readelf -Ws --dyn-syms "$tmp/bs" | grep -q ' pthread_mutex_lock$' || fail "bs does not define pthread_mutex_lock for its libraries"
done

# the library gives away no name that is not weft's
strange=$(nm -D --defined-only "$tmp/p/lib/libweft.so" | awk '{print $3}' | grep -v '^weft_' || true)
[ -z "$strange" ] || fail "libweft.so exports: $strange"
