#!/bin/sh
# Small-stack mode as a stranger uses it: cc x.c $(pkg-config --cflags --libs weft-small) from an installed weft; the tests of
# tests/small pass, linked by gold and by lld, and a program linked by ld.bfd refuses to start.
set -eu
cd "$(dirname "$0")/../.."
build=${WEFT_BUILD:-$PWD/build/release-gcc}
[ -e "$build/src/libweft-small.a" ] || { echo "libweft-small is built by gcc, optimized and unsanitized, for x86-64 only"; exit 77; }
command -v ld.gold >/dev/null || { echo "no ld.gold"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset LD_LIBRARY_PATH MAKEFLAGS MAKELEVEL
fail() { echo "$*"; exit 1; }

scripts/install "$build" "$tmp/p" >/dev/null
export PKG_CONFIG_PATH="$tmp/p/lib/pkgconfig"
gcc -O1 -D_GNU_SOURCE -Itests/include $(pkg-config --cflags weft) -c tests/include/runner.c -o "$tmp/runner.o"
for opt in -O0 -O2; do
    gcc -std=gnu11 -Wall -Wextra -Werror $opt -g -Itests/include tests/small/test_small.c "$tmp/runner.o" -o "$tmp/test_small" \
        $(pkg-config --cflags --libs weft-small) -Wl,-u,weft_num_goroutines -Wl,-u,weft_sleep || fail "$opt does not build"
    timeout 1500 "$tmp/test_small" || fail "$opt fails"
done

lld=$(ls -d /usr/lib/llvm-*/bin/ld.lld /usr/bin/ld.lld 2>/dev/null | tail -1)
if [ -n "$lld" ]; then
    gcc -O2 -B"$(dirname "$lld")" -Itests/include tests/small/test_small.c "$tmp/runner.o" -o "$tmp/by_lld" \
        $(pkg-config --cflags --libs weft-small | sed 's/-fuse-ld=gold/-fuse-ld=lld/') -Wl,-u,weft_num_goroutines -Wl,-u,weft_sleep
    timeout 1500 "$tmp/by_lld" || fail "linked by lld fails"
fi

gcc -O2 -Itests/include tests/small/test_small.c "$tmp/runner.o" -o "$tmp/by_bfd" \
    $(pkg-config --cflags --libs weft-small | sed 's/-fuse-ld=gold/-fuse-ld=bfd/') -Wl,-u,weft_num_goroutines -Wl,-u,weft_sleep
if out=$(timeout 600 "$tmp/by_bfd" 2>&1); then
    fail "a program linked by ld.bfd starts"
fi
case $out in *"linked without gold or lld"*) ;; *) fail "linked by ld.bfd it says: $out" ;; esac
