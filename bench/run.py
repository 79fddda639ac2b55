#!/usr/bin/env python3
"""bench/run.py - weft-bench and gobench by turns; medians, ratios, JSON lines, a page.

Contestants alternate (weft, Go, weft, Go ...), each in a fresh process pinned to as many CPUs as it has procs. The figure of
a row is the median over the rounds of the medians that the processes print. A ratio below 1 means that weft needs less.
"""
import argparse, datetime, html, json, os, platform, shutil, statistics, subprocess, sys, tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, HERE)
from rows import ROWS

GO_SRC = os.path.join(os.path.dirname(ROOT), "shared", "bench", "go")
GO_MORE = os.path.join(HERE, "go")       # twins of rows that came later, built into the same program


def sh(*cmd):
    try:
        return subprocess.run(cmd, capture_output=True, text=True, cwd=ROOT).stdout.strip()
    except OSError:
        return ""


def build_go(out_dir):
    """gobench in the build folder, or None with the reason on stderr."""
    exe = os.path.join(out_dir, "gobench")
    if not os.path.isdir(GO_SRC):
        print(f"bench: no Go twin ({os.path.relpath(GO_SRC, ROOT)} is missing): weft alone", file=sys.stderr)
        return None
    files = [os.path.join(d, f) for d in (GO_SRC, GO_MORE) for f in sorted(os.listdir(d))]
    if not os.path.exists(exe) or os.path.getmtime(exe) < max(map(os.path.getmtime, files)):
        try:
            with tempfile.TemporaryDirectory() as src:
                for f in files:
                    shutil.copy(f, src)
                subprocess.run(["go", "build", "-o", exe, "."], cwd=src, check=True)
        except (OSError, subprocess.CalledProcessError) as e:
            print(f"bench: go build failed ({e}): weft alone", file=sys.stderr)
            return None
    return exe


def run_one(exe, args, procs, cpus, timeout):
    """One process; its JSON line, or None with the reason on stderr."""
    env = dict(os.environ, GOMAXPROCS=str(procs), WEFT_PROCS=str(procs))
    pin = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
    try:
        r = subprocess.run([exe, *args], env=env, preexec_fn=pin, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        print(f"bench: {os.path.basename(exe)} {' '.join(args)}: no end after {timeout} s", file=sys.stderr)
        return None
    if r.returncode != 0 or not r.stdout.strip():
        print(f"bench: {os.path.basename(exe)} {' '.join(args)}: status {r.returncode}: {r.stderr.strip()[:400]}", file=sys.stderr)
        return None
    return json.loads(r.stdout.strip().splitlines()[-1])


def warm_memory(exe, pages):
    """Touches and frees them: what follows finds pages that the host has backed, whoever comes first."""
    if pages and os.path.exists(exe):
        subprocess.run([exe, "touch", str(pages)], stdout=subprocess.DEVNULL)


def value(line, field, is_go):
    if field == "mem":
        b = line["bytes_per_unit"]
        return b + b / 512 if is_go else b + line["pte_bytes_per_unit"]
    return line.get(field)


def spread(xs):
    """Half of the range between the extremes, as a share of the median."""
    m = statistics.median(xs)
    return round((max(xs) - min(xs)) / 2 / m, 3) if m else 0.0


def summary(lines, field, is_go):
    xs = [v for v in (value(l, field, is_go) for l in lines) if v is not None]
    if not xs:
        return None
    cpu = [l["cpu_ns_per_op"] for l in lines if "cpu_ns_per_op" in l]
    s = dict(median=round(statistics.median(xs), 4), best=round(min(xs), 4), spread=spread(xs), runs=[round(x, 4) for x in xs])
    if cpu:
        s["cpu_ns_per_op"] = round(statistics.median(cpu), 4)
    for f in ("late_p99_us", "p99_us"):
        if f in lines[0]:
            s["p99"] = statistics.median(l[f] for l in lines)
    return s


def measure(rows, exes, opt, save):
    """Rows of the same command share its runs. Each goes to save() as soon as it is there."""
    meta = dict(commit=sh("git", "rev-parse", "--short", "HEAD"), dirty=bool(sh("git", "status", "--porcelain", "-uno")),
                machine=machine(), compiler=opt.compiler, go_version=sh("go", "version"), pinned=not opt.no_pin)
    groups = {}
    for r in rows:
        for p in opt.procs:
            if p in r["procs"]:
                groups.setdefault((r["exe"], tuple(r["args"]), p), []).append(r)
    out = []
    cpus_all = sorted(os.sched_getaffinity(0))
    bench_dir = os.path.dirname(exes["weft"])
    for (program, args, procs), rs in groups.items():
        if program != "weft-bench" and not os.path.exists(os.path.join(bench_dir, program)):
            print(f"bench: {rs[0]['what']}: this build has no {program}", file=sys.stderr)
            continue
        cpus = None if opt.no_pin else set(cpus_all[-procs:])
        exes = dict(exes, weft=os.path.join(bench_dir, program))
        lines = {k: [] for k in exes}
        floor, floors = rs[0]["floor"], []
        load0 = os.getloadavg()[0]
        for _ in range(opt.rounds):
            for k, exe in exes.items():
                if k == "go" and not rs[0]["twin"]:
                    continue
                warm_memory(os.path.join(bench_dir, "floor-park"), rs[0]["warm"])
                l = run_one(exe, [*args, "-reps", str(opt.reps)], procs, cpus, opt.timeout)
                if l:
                    lines[k].append(l)
            if floor and os.path.exists(os.path.join(bench_dir, floor[0])):
                warm_memory(os.path.join(bench_dir, "floor-park"), rs[0]["warm"])
                l = run_one(os.path.join(bench_dir, floor[0]), floor[1:], procs, cpus, opt.timeout)
                if l:
                    floors.append(l)
        for r in rs:
            res = dict(time=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), **meta, bench=r["key"],
                       what=r["what"], unit=r["unit"], procs=procs, rounds=opt.rounds, reps=opt.reps,
                       load=[round(load0, 2), round(os.getloadavg()[0], 2)], goal=r["goal"][0 if procs == 1 else 1], most=r["most"], least=r["least"], twin=r["twin"])
            for k in exes:
                if k == "go" and not r["twin"]:
                    continue
                res[k] = summary(lines[k], r["field"], k == "go") if lines[k] else None
                if lines[k]:
                    res["n"] = lines[k][0].get("n")
            if res.get("weft") and res.get("go"):
                w, g = res["weft"], res["go"]
                res["ratio"] = round(w["median"] / g["median"], 3) if g["median"] else None
                if w.get("cpu_ns_per_op") and g.get("cpu_ns_per_op"):
                    res["cpu_ratio"] = round(w["cpu_ns_per_op"] / g["cpu_ns_per_op"], 3)
            if floors and value(floors[0], r["field"], False) is not None:
                res["floor"] = summary(floors, r["field"], False)
            out.append(res)
            save(res)
            print_row(res)
    return out


def machine():
    model = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} CPUs, Linux {platform.release().split('-')[0]}"


def goal_text(r):
    if r.get("most"):
        return f"{r['most']} {r['unit']}"
    return f">= {r['least']}" if r.get("least") else "" if r["goal"] is None else f"{r['goal']}"


def missed(r):
    if r.get("most") or r.get("least"):
        m = r["weft"]["median"]
        return m > r["most"] if r.get("most") else m < r["least"]
    return bool(r["goal"]) and r.get("ratio") is not None and r["ratio"] > r["goal"]


def fig(s):
    if not s:
        return "failed"
    m = s["median"]
    return f"{m:,.0f}" if m >= 1000 else f"{m:.1f}" if m >= 10 else f"{m:.2f}"


def print_head():
    print(f"{'work':44} {'procs':>5} {'weft':>10} {'Go':>10} {'unit':>4} {'ratio':>7} {'goal':>6} {'cpu':>6} {'spread w/g':>11} {'load':>5}")


def print_row(r):
    w, g = r.get("weft"), r.get("go")
    sp = "/".join(f"{s['spread'] * 100:.0f}%" for s in (w, g) if s)
    ratio = f"{r['ratio']:.3f}" if r.get("ratio") is not None else "-"
    goal = goal_text(r) or "-"
    cpu = f"{r['cpu_ratio']:.2f}" if r.get("cpu_ratio") is not None else "-"
    print(f"{r['what'][:44]:44} {r['procs']:>5} {fig(w):>10} {fig(g) if 'go' in r else '-':>10} {r['unit']:>4} {ratio:>7} {goal:>6} {cpu:>6} "
          f"{sp:>11} {r['load'][1]:>5}", flush=True)
    if r.get("floor"):
        of_go = f", {r['floor']['median'] / g['median']:.3f} of Go" if g else ""
        print(f"{'  its floor':44} {r['procs']:>5} {fig(r['floor']):>10}{of_go}", flush=True)


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>weft: measured beside Go</title>
<style>body{{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}}table{{border-collapse:collapse;width:100%}}
td,th{{padding:.2rem .5rem;text-align:right;border-bottom:1px solid #ddd;font-variant-numeric:tabular-nums}}td:first-child,th:first-child{{text-align:left}}
.bar{{position:relative;width:10rem;height:.8rem;background:#eee}}.bar i{{position:absolute;left:0;top:0;bottom:0;background:#4a8}}.bar.over i{{background:#c64}}
.bar b{{position:absolute;top:-2px;bottom:-2px;width:2px;background:#222}}.small{{color:#555;font-size:.85rem}}</style>
<h1>weft, measured beside Go</h1>
<p>Drawn by <code>bench/run.py --draw</code> from <code>bench/results/*.jsonl</code>, the newest line of each row. Contestants ran by turns on
the same machine, pinned alike; each figure is the median over the rounds, the ratio is weft / Go (less is better). The black mark is the goal; a goal with a unit, or
with &gt;=, is one for weft's own figure. What limits the rows that miss theirs: <a href="limits.md">limits.md</a>. A floor does the same steps without a scheduler (bench/floor).</p>
{tables}
"""


def draw(results_dir, page):
    latest = {}
    for f in sorted(os.listdir(results_dir)):
        if f.endswith(".jsonl"):
            for l in open(os.path.join(results_dir, f)):
                r = json.loads(l)
                if r.get("weft") and r.get("what"):
                    k = (r["bench"], r["procs"])
                    if k not in latest or r["time"] >= latest[k]["time"]:
                        latest[k] = r
    tables = ""
    for procs in sorted({p for _, p in latest}):
        rows = ""
        for r in latest.values():
            if r["procs"] != procs:
                continue
            ratio = r.get("ratio")
            width = min(ratio or 0, 1.25) / 1.25 * 100
            over = " over" if missed(r) else ""
            mark = f'<b style="left:{min(r["goal"], 1.25) / 1.25 * 100:.1f}%"></b>' if r["goal"] else ""
            go, floor = (fig(r[k]) if r.get(k) else "" for k in ("go", "floor"))
            rows += (f"<tr><td>{html.escape(r['what'])}<td>{fig(r['weft'])}<td>{go}<td>{floor}<td>{r['unit']}<td>{'' if ratio is None else f'{ratio:.3f}'}"
                     f"<td>{html.escape(goal_text(r))}<td>{'missed' if over else ''}"
                     f'<td><div class="bar{over}"><i style="width:{width:.1f}%"></i>{mark}</div><td class="small">{r["load"][1]}<td class="small">{r["commit"]}'
                     f"{'+' if r['dirty'] else ''}")
        any_row = next(r for r in latest.values() if r["procs"] == procs)
        tables += (f"<h2>{procs} proc{'s' if procs > 1 else ''}</h2><p class=small>{html.escape(any_row['machine'])}; {html.escape(any_row['go_version'])}; "
                   f"{html.escape(any_row['compiler'])}. A + after the commit: the tree had changes.</p>"
                   f"<table><tr><th>work<th>weft<th>Go<th>floor<th>unit<th>ratio<th>goal<th><th><th>load<th>commit{rows}</table>\n")
    os.makedirs(os.path.dirname(page), exist_ok=True)
    with open(page, "w") as f:
        f.write(PAGE.format(tables=tables or "<p>No results yet: <code>make bench</code>.</p>"))


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build/release-gcc", help="Meson build folder with bench/weft-bench")
    ap.add_argument("--all", action="store_true", help="all rows, not just the first table")
    ap.add_argument("--only", help="rows whose key or name contains this")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--reps", type=int, default=3, help="timed runs in each process")
    ap.add_argument("--procs", type=lambda s: [int(x) for x in s.split(",")], default=[1, 2])
    ap.add_argument("--timeout", type=float, default=120, help="seconds for one process")
    ap.add_argument("--no-pin", action="store_true")
    ap.add_argument("--no-save", action="store_true", help="append nothing to bench/results")
    ap.add_argument("--weft-only", action="store_true")
    ap.add_argument("--draw", action="store_true", help="only draw docs/perf/index.html")
    opt = ap.parse_args()
    results, page = os.path.join(HERE, "results"), os.path.join(ROOT, "docs", "perf", "index.html")
    if opt.draw:
        draw(results, page)
        return 0
    bench_dir = os.path.join(ROOT, opt.build, "bench")
    exe = os.path.join(bench_dir, "weft-bench")
    if not os.path.exists(exe):
        print(f"bench: {os.path.relpath(exe, ROOT)} is not there: build first", file=sys.stderr)
        return 2
    opt.compiler = next((l for l in sh("readelf", "-p", ".comment", exe).splitlines() if "]" in l), "").split("]")[-1].strip()
    exes = {"weft": exe}
    go = None if opt.weft_only else build_go(bench_dir)
    if go:
        exes["go"] = go
    rows = [r for r in ROWS if (opt.all or r["first"] or opt.only) and (not opt.only or opt.only in r["key"] or opt.only in r["what"])]
    print(f"machine: {machine()}; load {os.getloadavg()[0]:.2f}; {opt.rounds} rounds x {opt.reps} runs, by turns"
          f"{'' if opt.no_pin else ', pinned to as many CPUs as procs'}")
    print_head()
    os.makedirs(results, exist_ok=True)

    def save(r):
        if not opt.no_save:
            with open(os.path.join(results, "micro.jsonl"), "a") as f:
                f.write(json.dumps(r) + "\n")

    out = measure(rows, exes, opt, save)
    if not opt.no_save:
        draw(results, page)
    failed = sum(1 for r in out if any(k in r and r[k] is None for k in exes if k == "weft" or r["twin"]))
    if failed:
        print(f"bench: {failed} rows without a figure", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
