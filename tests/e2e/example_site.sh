#!/bin/sh
# What `make run` does: the bundled site is served and crawled, each page once, the broken link is reported, robots.txt obeyed.
set -eu
cd "$(dirname "$0")/../.."
build=${WEFT_BUILD:-$PWD/build/release-gcc}
unset ARGS
out=$(timeout 1000 scripts/run "$build" 2>&1) || { echo "$out"; exit 1; }
python3 - <<'PY'
import csv, sys, urllib.parse
rows = list(csv.DictReader(open("build/pages.csv")))
got = {urllib.parse.urlsplit(r["url"])._replace(scheme="", netloc="").geturl(): r for r in rows}
pages = """/ /index.html /warp.html /weft.html /loom.html /glossary.html /patterns/ /patterns/plain.html /patterns/twill.html
/patterns/satin.html /patterns/satin.html?from=twill /yarn/ /yarn/index.html /yarn/wool.html /yarn/silk.html""".split()
want = {p: "200" for p in pages} | {"/notes/old-looms.html": "404"}
bad = []
if len(rows) != len(got):
    bad.append(f"{len(rows)} rows for {len(got)} URLs: a page came twice")
bad += [f"{p} is missing" for p in want if p not in got]
bad += [f"{p} was fetched" for p in got if p not in want]
bad += [f"{p} has status {got[p]['status']}, expected {s}" for p, s in want.items() if p in got and got[p]["status"] != s]
if "/" in got and got["/"]["title"] != "The weaver's handbook":
    bad.append("the first page's title is " + got["/"]["title"])
print("\n".join(bad))
sys.exit(bool(bad))
PY
