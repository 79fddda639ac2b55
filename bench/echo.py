#!/usr/bin/env python3
"""bench/echo.py - what an echoed message costs a TCP server: CPU microseconds, beside the floor and Go.

Each round starts the contestants in shuffled order, pinned to the first CPU, with the load of bench/floor/echo.c pinned to the
second. The figure is the CPU time of the process under test for each message; a ratio is to the floor of the same round. Of
both, the median over the rounds.
"""
import argparse, datetime, json, os, random, statistics, subprocess, sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from run import build_go, machine, sh, ROOT, spread

# name: the load's flags, goal. The goal is 5.8 us where the floor took 6.3
WORK = {
    "64b_100": (["-c", "100", "-b", "64"], ("ratio", 5.8 / 6.3)),
    "64b_1": (["-c", "1", "-b", "64"], ("ratio", 1.10)),
    "4k_100": (["-c", "100", "-b", "4000"], ("ratio", 1.10)),
}


def one(name, exe, flags, opt, load, cpus):
    """One run: the load's JSON, or None with the reason on stderr."""
    env = dict(os.environ, GOMAXPROCS="1", WEFT_PROCS="1")
    cmd = [exe, "echo_server"] if name == "go" else [exe]
    s = subprocess.Popen(cmd, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {cpus[0]}))
    try:
        port = s.stdout.readline().strip().rsplit(":", 1)[1]
        r = subprocess.run([load, "-p", port, "-s", str(opt.seconds), *flags, str(s.pid)], capture_output=True, text=True,
                           timeout=60 + opt.seconds, preexec_fn=lambda: os.sched_setaffinity(0, {cpus[-1]}))
    except (subprocess.TimeoutExpired, IndexError):
        r = None
    finally:
        s.kill()
        s.wait()
        s.stdout.close()
    if not r or r.returncode:
        print(f"bench: {name} {' '.join(flags)}: {r.stderr.strip() if r else 'no end'}", file=sys.stderr)
        return None
    return json.loads(r.stdout)


def measure(key, exes, opt, load, cpus):
    flags, goal = WORK[key]
    runs, ratios = {k: [] for k in exes}, {k: [] for k in exes}
    load0 = os.getloadavg()[0]
    for _ in range(opt.rounds):
        got = {}
        for name in random.sample(list(exes), len(exes)):
            got[name] = one(name, exes[name], flags, opt, load, cpus)
        for name, r in got.items():
            if r and got.get("floor"):
                runs[name].append(r["cpu_us"])
                ratios[name].append(r["cpu_us"] / got["floor"]["cpu_us"])
    res = dict(bench="echo_" + key, rounds=opt.rounds, seconds=opt.seconds, goal=dict([goal]), load=[round(load0, 2), round(os.getloadavg()[0], 2)])
    for name in exes:
        res[name] = dict(cpu_us=round(statistics.median(runs[name]), 4), best=round(min(runs[name]), 4), spread=spread(runs[name]),
                         ratio=round(statistics.median(ratios[name]), 3), runs=[round(x, 4) for x in runs[name]]) if runs[name] else None
    return res


def show(res, exes):
    kind, value = next(iter(res["goal"].items()))
    cells = " ".join(f"{n} {r['cpu_us']:7.3f} ({r['ratio']:.2f}, +-{r['spread'] * 100:.0f}%)" if (r := res[n]) else f"{n} failed" for n in exes)
    met = res["weft"] and res["weft"][kind] <= value
    print(f"{res['bench']:22} {cells}  goal {kind} <= {value:.2f}: {'met' if met else 'NOT met'}  load {res['load'][1]}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build/release-gcc", help="Meson build folder with bench/tcp-echo")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--seconds", type=float, default=1.0, help="of each run, after a warm-up")
    ap.add_argument("--only", default="", help="work whose name contains this")
    ap.add_argument("--without", default="", help="contestants to leave out: go")
    ap.add_argument("--beside", action="append", default=[], help="NAME=PROGRAM: one contestant more, which prints its port as they do")
    ap.add_argument("--no-save", action="store_true", help="append nothing to bench/results/net.jsonl")
    opt = ap.parse_args()
    bench_dir = os.path.join(ROOT, opt.build, "bench")
    load, cpus = os.path.join(bench_dir, "floor-echo"), sorted(os.sched_getaffinity(0))
    if not os.path.exists(load):
        print(f"bench: {os.path.relpath(load, ROOT)} is not there: build first", file=sys.stderr)
        return 2
    exes = {"floor": load, "weft": os.path.join(bench_dir, "tcp-echo")}
    exes.update(b.split("=", 1) for b in opt.beside)
    go = None if "go" in opt.without else build_go(bench_dir)
    if go:
        exes["go"] = go
    compiler = next((l for l in sh("readelf", "-p", ".comment", exes["weft"]).splitlines() if "]" in l), "").split("]")[-1].strip()
    meta = dict(commit=sh("git", "rev-parse", "--short", "HEAD"), dirty=bool(sh("git", "status", "--porcelain", "-uno", "src", "include")),
                machine=machine(), compiler=compiler, go_version=sh("go", "version"), pinned=len(cpus) > 1)
    print(f"machine: {machine()}; load {os.getloadavg()[0]:.2f}; {opt.rounds} rounds of {opt.seconds} s; CPU us of the server for a message "
          "(ratio to the floor of the same round)")
    out = []
    for key in WORK:
        if opt.only in key:
            res = measure(key, exes, opt, load, cpus)
            out.append(dict(time=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), **meta, **res))
            show(res, exes)
    if not opt.no_save:
        os.makedirs(os.path.join(HERE, "results"), exist_ok=True)
        with open(os.path.join(HERE, "results", "net.jsonl"), "a") as f:
            f.writelines(json.dumps(r) + "\n" for r in out)
    return 1 if any(r[n] is None for r in out for n in exes) else 0


if __name__ == "__main__":
    sys.exit(main())
