#!/bin/sh
# tests/model/run.sh [NAME...] - checks every Spin model exhaustively, and that each broken variant is caught.
#
# Each model and each of its variants is one test. The last line is "N passed, N failed, N skipped".
# A model's opening comment says how many variants it has (VARIANTS n) and what each of them breaks.
cd "$(dirname "$0")" || exit 2
if ! command -v spin >/dev/null 2>&1; then
    echo "SKIP model: spin is not installed (apt-get install spin)"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# check NAME VARIANT FLAGS: VARIANT 0 must hold, any other must be caught.
check()
{
    name=$1 variant=$2
    dir=$work/$name.$variant
    mkdir -p "$dir" && cp ./*.pml ./*.h "$dir"
    out=$(cd "$dir" && spin -a -DBROKEN="$variant" "$name.pml" 2>&1 &&
        ${CC:-gcc} -O1 -w -DCOLLAPSE ${MEM:--DMEMLIM=1500} -DSAFETY -o pan pan.c 2>&1 &&
        timeout "${MODEL_TIMEOUT:-60}" ./pan -m1000000 -n 2>&1)
    errors=$(printf '%s\n' "$out" | sed -n 's/.*errors: *\([0-9]*\).*/\1/p')
    states=$(printf '%s\n' "$out" | sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p')
    short=$(printf '%s\n' "$out" | grep -E 'too small|out of memory|interrupted|exceed|max search depth' | head -1)
    why=$(printf '%s\n' "$out" | sed -n 's/^pan:1: *//p' | head -1)
    if [ "$variant" = 0 ]; then
        if [ "$errors" = 0 ] && [ -z "$short" ]; then
            passed=$((passed + 1))
            echo "ok   model.$name ($states states, exhaustive)"
        else
            failed=$((failed + 1))
            echo "FAIL model.$name: ${why:-$short} $(printf '%s\n' "$out" | tail -3 | tr '\n' ' ')"
            echo "     replay: cd tests/model && spin -a $name.pml && gcc -O2 -w -DSAFETY -o pan pan.c && ./pan && spin -t -p $name.pml"
        fi
    elif [ -n "$errors" ] && [ "$errors" != 0 ]; then
        passed=$((passed + 1))
        echo "ok   model.$name BROKEN=$variant is caught: $why"
    else
        failed=$((failed + 1))
        echo "FAIL model.$name BROKEN=$variant is not caught ${short} $(printf '%s\n' "$out" | tail -2 | tr '\n' ' ')"
    fi
}

variants()
{
    seq 1 "$(sed -n 's/^ \* VARIANTS \([0-9]*\):.*/\1/p' "$1.pml")"
}

for f in *.pml; do
    name=${f%.pml}
    if [ $# -gt 0 ]; then
        case " $* " in *" $name "*) ;; *) continue ;; esac
    fi
    check "$name" 0
    for v in $(variants "$name"); do
        check "$name" "$v"
    done
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
