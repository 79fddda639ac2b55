#!/bin/sh
# libweft-posix preloaded: into a program that is linked with libweft.so, where a sleep then hands the processor on; and into
# programs that know nothing of weft, which do what they did.
set -eu
cd "$(dirname "$0")/../.."
build=${WEFT_BUILD:-$PWD/build/release-gcc}
case $(basename "$build") in *asan*|*tsan*|*ubsan*|cov-*) echo "a preloaded library is not sanitized"; exit 77 ;; esac
lib=$build/src/posix/libweft-posix.so.0
[ -e "$lib" ] || { echo "no libweft-posix.so in $build"; exit 1; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset LD_LIBRARY_PATH
fail() { echo "$*"; exit 1; }

cat >"$tmp/x.c" <<'C'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <weft/weft.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

static void work(int *sum)
{
    pthread_mutex_lock(&m);
    usleep(1000);
    ++*sum;
    pthread_mutex_unlock(&m);
}

int main(void)
{
    bool (*holds)(void) = (bool (*)(void))dlsym(RTLD_DEFAULT, "weft__keep_holds");
    weft_waitgroup wg = {0};
    int sum = 0;

    weft_yield();
    usleep(1000);
    printf("%d", holds());
    for (int i = 0; i < 50; i++)
        weft_waitgroup_go(&wg, work, &sum);
    weft_waitgroup_wait(&wg);
    printf(" %d\n", sum);
    return 0;
}
C
${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -fexceptions -Iinclude "$tmp/x.c" -o "$tmp/x" -L"$build/src" -lweft -Wl,-rpath,"$build/src" || fail "x.c does not build"
out=$(WEFT_PROCS=1 timeout 60 "$tmp/x")
[ "$out" = "1 50" ] || fail "without it: $out, expected 1 50"
out=$(WEFT_PROCS=1 LD_PRELOAD=$lib timeout 60 "$tmp/x")
[ "$out" = "0 50" ] || fail "preloaded: $out, expected 0 50"
${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -fexceptions -Iinclude "$tmp/x.c" -o "$tmp/y" -L"$build/src" -L"$build/src/posix" -Wl,--push-state,--no-as-needed \
    -lweft-posix -Wl,--pop-state -lweft -Wl,-rpath,"$build/src:$build/src/posix" || fail "x.c does not link with -lweft-posix"
out=$(WEFT_PROCS=1 timeout 60 "$tmp/y")
[ "$out" = "0 50" ] || fail "linked: $out, expected 0 50"

out=$(LD_PRELOAD=$lib timeout 60 sh -c 'echo one two | tr a-z A-Z | (sleep 0.01; cat)')
[ "$out" = "ONE TWO" ] || fail "a shell with it prints $out"
out=$(LD_PRELOAD=$lib timeout 120 python3 -c '
import subprocess, socket, threading, time, queue
a, b = socket.socketpair()
q = queue.Queue()
t = [threading.Thread(target=lambda: (time.sleep(0.01), q.put(b.recv(1)))) for _ in range(20)]
[x.start() for x in t]
a.sendall(b"x" * 20)
[x.join() for x in t]
print(q.qsize(), subprocess.run(["echo", "child"], capture_output=True, text=True).stdout.strip())')
[ "$out" = "20 child" ] || fail "python with it prints $out"
