#!/bin/sh
# First light, items 4 and 5: many goroutines, and none held up by C loops or blocking calls, with 1, 2 and 8 procs.
# The figures are printed when it fails, and by: tests/e2e/accept_sched.sh
set -u
build=${WEFT_BUILD:-$(cd "$(dirname "$0")/../.." && pwd)/build/release-gcc}
[ -x "$build/tests/accept_sched" ] || { echo "accept_sched is not built in $build"; exit 1; }
status=0
for procs in 1 2 8; do
    WEFT_PROCS=$procs timeout 1000 "$build/tests/accept_sched" || { echo "accept_sched with WEFT_PROCS=$procs ends with $?"; status=1; }
done
exit $status
