#!/bin/sh
# tests/model/run.sh [NAME...] - checks every Spin model exhaustively, and that each broken variant is caught.
#
# Each model and each of its variants is one test. The last line is "N passed, N failed, N skipped".
# A model's opening comment lists its variants (VARIANTS 1 2 3:) and what each of them breaks.
cd "$(dirname "$0")" || exit 2
if ! command -v spin >/dev/null 2>&1; then
    echo "SKIP model: spin is not installed (apt-get install spin)"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

# One model with one variant: 0 must hold, any other must be caught. One line on stdout, "ok ..." or "FAIL ...".
if [ "${1-}" = --one ]; then
    name=$2 variant=$3 dir=$4/$2.$3
    mkdir -p "$dir" && cp ./*.pml ./*.h "$dir" && cd "$dir" || exit 2
    out=$(spin -a -DBROKEN="$variant" "$name.pml" 2>&1 &&
        ${CC:-gcc} $([ "$variant" = 0 ] && echo -O1 || echo -O0) -w -DCOLLAPSE -DMEMLIM=1500 -DSAFETY -o pan pan.c 2>&1 &&
        timeout "${MODEL_TIMEOUT:-900}" ./pan -m1000000 -n 2>&1)
    errors=$(printf '%s\n' "$out" | sed -n 's/.*errors: *\([0-9]*\).*/\1/p')
    states=$(printf '%s\n' "$out" | sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p')
    short=$(printf '%s\n' "$out" | grep -E 'too small|out of memory|interrupted|exceed|max search depth' | head -1)
    why=$(printf '%s\n' "$out" | sed -n 's/^pan:1: *//p' | head -1)
    if [ "$variant" != 0 ]; then
        if [ "${errors:-0}" != 0 ]; then
            echo "ok   model.$name BROKEN=$variant is caught: $why"
        else
            echo "FAIL model.$name BROKEN=$variant is not caught $short $(printf '%s\n' "$out" | tail -2 | tr '\n' ' ')"
        fi
    elif [ "$errors" = 0 ] && [ -z "$short" ]; then
        echo "ok   model.$name ($states states, exhaustive)"
    else
        echo "FAIL model.$name: ${why:-$short} $(printf '%s\n' "$out" | tail -3 | tr '\n' ' ')" \
            "replay: cd tests/model && spin -a $name.pml && gcc -DSAFETY -o pan pan.c && ./pan && spin -t -p $name.pml"
    fi
    exit 0
fi

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
for f in *.pml; do
    name=${f%.pml}
    if [ $# -gt 0 ]; then
        case " $* " in *" $name "*) ;; *) continue ;; esac
    fi
    for v in 0 $(sed -n 's/^ \* VARIANTS \([0-9 ]*\):.*/\1/p' "$f"); do
        echo "$name $v"
    done
done | xargs -P "$(nproc)" -L 1 sh -c '"$0" --one "$2" "$3" "$1"' "$PWD/run.sh" "$work" >"$work/log"
sort -k2,2 -k3,3 "$work/log"
passed=$(grep -c '^ok ' "$work/log")
failed=$(grep -c '^FAIL ' "$work/log")
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
