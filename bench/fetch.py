#!/usr/bin/env python3
"""bench/fetch.py - what an HTTP fetch costs a client: CPU microseconds, or bytes while it waits, beside the floor and Go.

Each round starts the contestants in shuffled order, pinned to the first CPU, against bench/floor/origin.c pinned to the
second. The figure is the CPU time of the client's process for each fetch, or the anonymous memory that each of 5,000
fetches without an answer adds; a ratio is to the floor of the same round. Of both, the median over the rounds.
"""
import argparse, datetime, json, os, random, statistics, subprocess, sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from run import build_go, machine, sh, ROOT, spread

# name: bytes of body, flags of the C contestants, (goroutines, mode) of the Go one, figure, goal. "names" instead of bytes: lookups
# of names beside bench/floor/names.c, which only weft has a program for
WORK = {
    "1k_64": (1024, ["-c", "64"], (64, ""), "cpu_us", ("ratio", 6.0 / 5.2)),
    "20k_64": (20480, ["-c", "64"], (64, ""), "cpu_us", ("ratio", 7.0 / 6.05)),
    "1k_1000": (1024, ["-c", "1000"], (1000, ""), "cpu_us", ("ratio", 1.2)),
    "each_connection": (1024, ["-c", "64", "-e"], (64, "each"), "cpu_us", ("ratio", 36 / 33.5)),
    "lookup_1000": ("names", ["-c", "1000"], None, "cpu_us", ("cpu_us", 15)),
    "lookup_known": ("names", ["-c", "1", "-W"], None, "cpu_us", ("cpu_us", 0.2)),
    "waiting_5000": (1024, ["-c", "5000", "-W", "-w", "3"], (5000, "wait"), "bytes", ("bytes", 4600)),
}


def one(name, exe, key, opt, origin, cpus):
    """One run: the contestant's JSON, or None with the reason on stderr."""
    body, flags, go, _, _ = WORK[key]
    g, mode = go or (0, "")
    env = dict(os.environ, GOMAXPROCS="1", WEFT_PROCS="1", FETCH_MODE=mode)
    dns = body == "names"
    if dns:
        origin, exe = (os.path.join(os.path.dirname(origin), x) for x in ("floor-names", "dns-lookup"))
    s = subprocess.Popen([origin] if dns else [origin, str(body)], stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {cpus[-1]}))
    try:
        port = s.stdout.readline().strip().rsplit(":", 1)[1]
        cmd = [exe, "-p", port, "-s", str(opt.seconds), *flags]
        if name == "go":
            cmd = [exe, "http_fetch", "-g", str(g), "-addr", "127.0.0.1:" + port, "-dur", f"{opt.seconds}s"]
        r = subprocess.run(cmd, env=env, capture_output=True, text=True, timeout=60 + opt.seconds,
                           preexec_fn=lambda: os.sched_setaffinity(0, {cpus[0]}))
    except subprocess.TimeoutExpired:
        r = None
    finally:
        s.kill()
        s.wait()
        s.stdout.close()
    if not r or r.returncode:
        print(f"bench: {name} {key}: {r.stderr.strip() or r.stdout.strip() if r else 'no end'}", file=sys.stderr)
        return None
    try:
        return json.loads(r.stdout)
    except ValueError:
        print(f"bench: {name} {key}: no figure: {r.stdout.strip()[:200]}", file=sys.stderr)   # not one fetch ended
        return None


def measure(key, exes, opt, origin, cpus):
    figure, goal = WORK[key][3:]
    if WORK[key][2] is None:
        exes = {"weft": exes["weft"]}
    runs = {k: [] for k in exes}
    ratios = {k: [] for k in exes}
    load0 = os.getloadavg()[0]
    for _ in range(opt.rounds):
        got = {}
        for name in random.sample(list(exes), len(exes)):
            got[name] = one(name, exes[name], key, opt, origin, cpus)
        for name, r in got.items():
            base = got.get("floor") if "floor" in exes else r
            if r and base:
                runs[name].append(r[figure])
                ratios[name].append(r[figure] / base[figure])
    res = dict(bench="fetch_" + key, rounds=opt.rounds, seconds=opt.seconds, goal=dict([goal]), load=[round(load0, 2), round(os.getloadavg()[0], 2)])
    for name in exes:
        if runs[name]:
            res[name] = {figure: round(statistics.median(runs[name]), 4), "best": round(min(runs[name]), 4), "spread": spread(runs[name]),
                         "ratio": round(statistics.median(ratios[name]), 3), "runs": [round(x, 4) for x in runs[name]]}
        else:
            res[name] = None
    return res


def show(key, res, exes):
    figure = WORK[key][3]
    kind, value = next(iter(res["goal"].items()))
    cells = " ".join(f"{n} {r[figure]:8.2f} ({r['ratio']:.2f}, +-{r['spread'] * 100:.0f}%)" if (r := res[n]) else f"{n} failed"
                     for n in exes if n in res)
    met = res["weft"] and res["weft"][kind] <= value
    print(f"{res['bench']:22} {cells}  goal {kind} <= {value:.2f}: {'met' if met else 'NOT met'}  load {res['load'][1]}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build/release-gcc", help="Meson build folder with bench/http-fetch")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--seconds", type=float, default=1.0, help="of each run, after a warm-up")
    ap.add_argument("--only", default="", help="work whose name contains this")
    ap.add_argument("--without", default="", help="contestants to leave out: go")
    ap.add_argument("--beside", action="append", default=[], help="NAME=PROGRAM: one contestant more, with the flags of http-fetch")
    ap.add_argument("--no-save", action="store_true", help="append nothing to bench/results/net.jsonl")
    opt = ap.parse_args()
    bench_dir = os.path.join(ROOT, opt.build, "bench")
    origin, cpus = os.path.join(bench_dir, "floor-origin"), sorted(os.sched_getaffinity(0))
    if not os.path.exists(origin):
        print(f"bench: {os.path.relpath(origin, ROOT)} is not there: build first", file=sys.stderr)
        return 2
    exes = {"floor": os.path.join(bench_dir, "floor-client"), "weft": os.path.join(bench_dir, "http-fetch")}
    exes.update(b.split("=", 1) for b in opt.beside)
    go = None if "go" in opt.without else build_go(bench_dir)
    if go:
        exes["go"] = go
    compiler = next((l for l in sh("readelf", "-p", ".comment", exes["weft"]).splitlines() if "]" in l), "").split("]")[-1].strip()
    meta = dict(commit=sh("git", "rev-parse", "--short", "HEAD"), dirty=bool(sh("git", "status", "--porcelain", "-uno", "src", "include")),
                machine=machine(), compiler=compiler, go_version=sh("go", "version"), pinned=len(cpus) > 1)
    print(f"machine: {machine()}; load {os.getloadavg()[0]:.2f}; {opt.rounds} rounds of {opt.seconds} s; CPU us of the client for a fetch, or "
          "bytes for one that waits (ratio to the floor of the same round)")
    out = []
    for key in WORK:
        if opt.only in key:
            res = measure(key, exes, opt, origin, cpus)
            out.append(dict(time=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), **meta, **res))
            show(key, res, exes)
    if not opt.no_save:
        os.makedirs(os.path.join(HERE, "results"), exist_ok=True)
        with open(os.path.join(HERE, "results", "net.jsonl"), "a") as f:
            f.writelines(json.dumps(r) + "\n" for r in out)
    return 1 if any(r[n] is None for r in out for n in exes if n in r) else 0


if __name__ == "__main__":
    sys.exit(main())
