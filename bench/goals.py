#!/usr/bin/env python3
"""bench/goals.py [--check] - every row that has a goal, with what was measured last, into docs/proof.md between its two marks.

Reads the newest line of each row in bench/results; make bench-go and make bench-net call it at their end. --check says
whether the page holds what the results hold, and changes nothing.
"""
import json, os, sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import netlib, run
from rows import ROWS

PAGE = os.path.join(run.ROOT, "docs", "proof.md")
BEGIN, END = "<!-- figures: drawn by bench/goals.py -->", "<!-- end of figures -->"
# Where a row misses its goal: the program of bench/floor that shows the limit, as docs/perf/limits.md tells it.
LIMIT = {
    "spawn_batch": "within the spread, no floor program", "wake_random": "floor-cold wake", "sieve_n_1000": "cache misses by perf, no floor program", "mem_parked_n_1000000": "floor-park",
    "mutex_work_g_8": "floor-locks work, hand_off", "workerpool_g_10000": "within the spread, no floor program",
    "syscall_handoff.cpu_goroutine_share_of_solo": "floor-blocked", "panic_mode_try": "floor-locks try",
    "http_keepalive_64": "floor-server; perf of what is ours", "http_keepalive_1000": "floor-server; perf of what is ours",
    "http_own_64": "at the goal: .09 to .107 in six series, .09 without the C library; docs/perf/limits.md",
    "http_pipelined_16": "floor-server; callgrind", "http2_64x1": "floor-h2server", "http2_16x32": "floor-h2server",
    "fetch_20k_64": "floor-client -r, -x", "fetch_1k_64": "floor-client -r, -x", "fetch_1k_1000": "floor-client -r, -x",
    "fetch_each_connection": "floor-client", "http_each_connection": "floor-server 0 defer", "echo_64b_100": "floor-echo: two calls of the kernel",
    "tls_full": "floor-tls_crypto, floor-tls_client", "tls_resumed": "floor-tls_crypto, floor-tls_client", "tls_keepalive": "floor-tls_crypto, floor-tls_client",
}


def newest(path, key):
    """The last saved line of each row, by key(line); none whose weft has failed."""
    last = {}
    for text in open(path, encoding="utf-8"):
        line = json.loads(text)
        if line.get("weft") and (key(line) not in last or line["time"] >= last[key(line)]["time"]):
            last[key(line)] = line
    return last


def said(lines, ok):
    """met, or missed with what limits it; the commit and the load of each."""
    bad = [l for l, good in zip(lines, ok) if good is False]
    limit = LIMIT.get(lines[0]["bench"], "")
    verdict = "not comparable" if None in ok else "met" if not bad else "**missed**" + (f": {limit}" if limit else "")
    commits = dict.fromkeys(l["commit"] + ("+" if l["dirty"] else "") for l in lines)
    return f"{verdict} | {', '.join(commits)} | {max(l['load'][1] for l in lines):.1f}"


def micro_rows(last):
    for r in ROWS:
        lines = [last[r["key"], p] for p in r["procs"] if (r["key"], p) in last]
        if not lines or (r["most"] is None and r["least"] is None and r["goal"] == (None, None)):
            continue
        goals, have, ok = [], [], []
        for l in lines:     # the goal is the row's of today, not that of the day it was measured
            l = dict(l, goal=r["goal"][0 if l["procs"] == 1 else 1], most=r["most"], least=r["least"])
            goals.append(run.goal_text(l))
            own = bool(r["most"] or r["least"])
            have.append(run.fig(l["weft"]) + (f" {r['unit']}" if r["unit"] else "") if own else f"{max(l['ratio'], 0.0001):.3f}")
            ok.append(not run.missed(l))
        goal = goals[0] if len(set(goals)) == 1 else "; ".join(goals)
        yield f"| {r['what']} | {goal} | {'; '.join(have)} | {said(lines, ok)} |"


def net_rows(last):
    for l in last.values():
        if not l["goal"]:
            continue
        ok, have = netlib.met(l)
        what = f"{l['bench']}{': ' + l['what'] if l['what'] else ''}"
        yield f"| {what} | {netlib.goal_text(l)} | {'' if have is None else netlib.fig(have)} | {said([l], [ok])} |"


def figures():
    micro = newest(os.path.join(HERE, "results", "micro.jsonl"), lambda l: (l["bench"], l["procs"]))
    net = newest(netlib.RESULTS, lambda l: l["bench"])
    head = "| row | goal | measured | | commit | load |\n|---|---|---|---|---|---|"
    return "\n".join([BEGIN, "", "Issue 4, `make bench-go`: weft / Go at 1; 2 processors, or weft's own figure where the goal has a unit.", "", head,
                      *micro_rows(micro), "", "Issue 5, `make bench-net`: the ratio to the floor (or peer) of the same rounds, or weft's own figure.", "", head,
                      *net_rows(net), "", END])


def main():
    page = open(PAGE, encoding="utf-8").read()
    before, rest = page.split(BEGIN)
    drawn = before + figures() + rest.split(END)[1]
    if "--check" in sys.argv:
        print("goals: docs/proof.md " + ("holds the saved figures" if drawn == page else "is behind the saved figures: bench/goals.py"))
        return int(drawn != page)
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
