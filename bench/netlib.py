"""bench/netlib.py - what http.py, http2.py, fetch.py, echo.py and tls.py share: rounds by turns, ratios, a line of JSON, a page.

The contestants of a row run by turns, in shuffled order each round: the program under test pinned to the first CPU, the one
opposite to the last. A ratio is to another contestant of the same round, the floor where there is one; of figures and ratios the
median over the rounds counts. Rows go to bench/results/net.jsonl, and the newest of each to docs/perf/net.md.
"""
import argparse, datetime, json, os, random, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from run import build_go, machine, sh, ROOT, spread

RESULTS, PAGE = os.path.join(HERE, "results", "net.jsonl"), os.path.join(ROOT, "docs", "perf", "net.md")
FIFO = []                 # what goes before every command: chrt, where asked for
CPUS = sorted(os.sched_getaffinity(0))
UNDER_TEST, OPPOSITE = CPUS[0], CPUS[-1]
UNITS = {"cpu_us": "us", "user_bytes": "B", "bytes": "B", "calls": "calls"}


def arguments(doc, rounds=5, seconds=1.0, without="go"):
    ap = argparse.ArgumentParser(description=doc.splitlines()[0])
    ap.add_argument("--build", default="build/release-gcc", help="Meson build folder with the contestants in bench/")
    ap.add_argument("--rounds", type=int, default=rounds, help="of memory 2 at most")
    ap.add_argument("--seconds", type=float, default=seconds, help="of each run, after a warm-up")
    ap.add_argument("--only", default="", help="rows whose name contains this")
    ap.add_argument("--without", default="", help="contestants to leave out: " + without)
    ap.add_argument("--beside", action="append", default=[], help="NAME=PROGRAM: one contestant more, which is used as weft's")
    ap.add_argument("--fifo", action="store_true", help="all under SCHED_FIFO, so that other programs of a busy machine take no part")
    ap.add_argument("--no-save", action="store_true", help="no line in bench/results/net.jsonl, no page")
    return ap


def start(opt, needs, what):
    """The folder of the contestants, or None when `needs` is not there; says what will be measured."""
    bench_dir = os.path.join(ROOT, opt.build, "bench")
    if opt.fifo:
        FIFO[:] = ["chrt", "-f", "30"]
    opt.beside = dict(b.split("=", 1) for b in opt.beside)
    opt.without = opt.without.split(",")
    if not os.path.exists(os.path.join(bench_dir, needs)):
        print(f"bench: {os.path.join(opt.build, 'bench', needs)} is not there: build first", file=sys.stderr)
        return None
    print(f"machine: {machine()}; load {os.getloadavg()[0]:.2f}; {opt.rounds} rounds of {opt.seconds} s; {what}", flush=True)
    return bench_dir


def go_program(opt, bench_dir):
    return None if "go" in opt.without else build_go(bench_dir)


def tokio_program(opt, bench_dir):
    """The server of bench/tokio in the build folder, or None: without cargo, or its packages, that contestant is left out."""
    exe = os.path.join(bench_dir, "tokio", "release", "tokio-echo")
    if "tokio" in opt.without:
        return None
    try:
        subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", os.path.join(HERE, "tokio", "Cargo.toml"),
                        "--target-dir", os.path.join(bench_dir, "tokio")], check=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as e:
        print(f"bench: cargo build failed ({e}): no Tokio", file=sys.stderr)
        return None
    return exe


def pin(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


def env(**more):
    return dict(os.environ, GOMAXPROCS="1", WEFT_PROCS="1", **more)


class Server:
    """A process that is up once it has printed a line that ends with ":PORT"; `port`: it prints none, but will listen there."""

    def __init__(self, cmd, cpu, environ=None, port=0):
        self.p = subprocess.Popen(FIFO + cmd, env=environ or env(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=pin(cpu))
        self.port = port
        if port:
            wait_port(port)

    def __enter__(self):
        try:
            self.port = self.port or int(self.p.stdout.readline().strip().rsplit(":", 1)[1])
        except (IndexError, ValueError):
            self.__exit__()
            raise RuntimeError("did not start")
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port):
    import socket, time
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)


def run_json(cmd, cpu, environ=None, timeout=60, what=""):
    """A program's line of JSON, or None with the reason on stderr."""
    try:
        r = subprocess.run(FIFO + cmd, env=environ or env(), capture_output=True, text=True, timeout=timeout, preexec_fn=pin(cpu))
    except subprocess.TimeoutExpired:
        print(f"bench: {what}: no end after {timeout} s", file=sys.stderr)
        return None
    try:
        if r.returncode == 0:
            return json.loads(r.stdout)
    except ValueError:
        pass   # not one answer: no figure
    print(f"bench: {what}: {(r.stderr.strip() or r.stdout.strip() or 'no figure')[:300]}", file=sys.stderr)
    return None


def attempt(one, name, exe, bench):
    try:
        return one(name, exe)
    except (RuntimeError, OSError, subprocess.SubprocessError) as e:
        print(f"bench: {name} {bench}: {e}", file=sys.stderr)
        return None


def measure(bench, exes, one, unit, goal, opt, base="floor", what="", memory_rounds=2):
    """One row. one(name, exe) gives a figure or None; goal: None, or (unit or "ratio" or "of NAME", value)."""
    runs, ratios = {k: [] for k in exes}, {k: [] for k in exes}
    load0 = os.getloadavg()[0]
    rounds = min(opt.rounds, memory_rounds) if unit not in ("cpu_us", "calls") else opt.rounds
    base = base if base in exes else "weft"
    peer = goal[0][3:] if goal and goal[0].startswith("of ") else None
    against = {k: [] for k in exes if k not in ("weft", base)}
    for _ in range(rounds):
        got = {name: attempt(one, name, exes[name], bench) for name in random.sample(list(exes), len(exes))}
        for name, x in got.items():
            if x is not None and got[base] is not None:
                runs[name].append(x)
                ratios[name].append(x / max(got[base], 1e-9))
        for name in against:
            if got[name] and got["weft"]:
                against[name].append(got["weft"] / got[name])
    res = dict(bench=bench, what=what, rounds=rounds, seconds=opt.seconds, unit=unit, goal=dict([goal]) if goal else {}, base=base,
               load=[round(load0, 2), round(os.getloadavg()[0], 2)])
    if against.get(peer):
        res["of " + peer] = round(statistics.median(against[peer]), 3)
    for name in exes:
        r = runs[name]
        res[name] = {unit: round(statistics.median(r), 4), "best": round(min(r), 4), "spread": spread(r), "ratio": round(statistics.median(ratios[name]), 3),
                     "runs": [round(x, 4) for x in r]} if r else None
        if r and against.get(name):
            res[name]["weft"] = round(statistics.median(against[name]), 3)
    res["contestants"] = list(exes)
    show(res)
    return res


def met(res):
    """True, False, or None where there is no goal or nothing to hold against it; and what was compared."""
    if not res["goal"] or not res.get("weft"):
        return None, None
    kind, value = next(iter(res["goal"].items()))
    have = res.get(kind) if kind.startswith("of ") else res["weft"][kind]
    return (None if have is None else have <= value), have


def fig(x):
    return f"{x:,.0f}" if x >= 1000 else f"{x:.4g}"


def show(res):
    cells = " ".join(f"{n} {fig(r[res['unit']])} ({r['ratio']:.2f}, +-{r['spread'] * 100:.0f}%)" if (r := res[n]) else f"{n} failed" for n in res["contestants"])
    ok, have = met(res)
    goal = ""
    if res["goal"]:
        kind, value = next(iter(res["goal"].items()))
        goal = f"  goal {kind} <= {fig(value)}: " + ("not comparable" if ok is None else f"{fig(have)}, {'met' if ok else 'NOT met'}")
    beside = ", ".join(f"{r['weft']:.2f} of {n}" for n in res["contestants"] if (r := res[n]) and "weft" in r)
    print(f"{res['bench']:22} {cells}{goal}{'; weft ' + beside if beside else ''}  load {res['load'][1]}", flush=True)


def finish(rows, opt, exe):
    """Saves the rows and draws the page. The exit status."""
    compiler = next((l for l in sh("readelf", "-p", ".comment", exe).splitlines() if "]" in l), "").split("]")[-1].strip()
    meta = dict(time=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), commit=sh("git", "rev-parse", "--short", "HEAD"),
                dirty=bool(sh("git", "status", "--porcelain", "-uno", "src", "include")), machine=machine(), compiler=compiler,
                go_version=sh("go", "version"), openssl=sh("openssl", "version"), pinned=len(CPUS) > 1, fifo=bool(FIFO))
    if not opt.no_save and rows:
        os.makedirs(os.path.dirname(RESULTS), exist_ok=True)
        with open(RESULTS, "a") as f:
            f.writelines(json.dumps({**meta, **r}) + "\n" for r in rows)
        draw()
    return 1 if any(r[n] is None for r in rows for n in r["contestants"]) else 0


def cell(res, name):
    r = res.get(name)
    more = f" ({r['weft']:.2f})" if r and "weft" in r else ""
    return fig(r[res['unit']]) + more if r else "failed" if name in res["contestants"] else ""


def goal_text(res):
    if not res["goal"]:
        return ""
    kind, value = next(iter(res["goal"].items()))
    return f"{fig(value)} {UNITS[kind]}" if kind in UNITS else f"{value:.3g} of {res['base'] if kind == 'ratio' else kind[3:]}"


def draw():
    latest = {}
    for l in open(RESULTS):
        r = json.loads(l)
        if "contestants" in r:
            latest[r["bench"]] = r
    lines = ["# The net beside floors and peers", "",
             "Drawn by the scripts of `make bench-net` from bench/results/net.jsonl, the newest line of each row; bench/netlib.py says how it is measured. us: CPU of the process under "
             "test for each request, fetch, message or lookup; B: its own memory for each connection or fetch; calls: its system calls for each request. Ratio: of the medians' round by round, to the floor, or to Go where "
             "there is none; in brackets behind a peer: weft divided by it. Rows that miss their goal: limits.md.", "",
             "| row | goal | weft | ratio | floor | h2o | nginx | Go | others | met | rounds | load | commit |", "|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for r in latest.values():
        ok, have = met(r)
        others = ", ".join(f"{n} {cell(r, n)}" for n in r["contestants"] if n not in ("weft", "floor", "h2o", "nginx", "go"))
        said = "" if not r["goal"] else "not comparable" if ok is None else ("yes" if ok else "no") + f", {fig(have)}"
        ratio = f"{r['weft']['ratio']:.2f}" if r.get("weft") and r["base"] != "weft" else ""
        lines.append(f"| {r['bench']}, {UNITS[r['unit']]}{': ' + r['what'] if r['what'] else ''} | {goal_text(r)} | {cell(r, 'weft')} | {ratio} | {cell(r, 'floor')} | {cell(r, 'h2o')} | "
                     f"{cell(r, 'nginx')} | {cell(r, 'go')} | {others} | {said} | {r['rounds']} | {r['load'][1]} | {r['commit']}{'+' if r['dirty'] else ''} |")
    any_row = next(iter(latest.values()))
    lines += ["", f"{any_row['machine']}; {any_row['compiler']}; {any_row['go_version']}; {any_row['openssl']}. A + after a commit: the tree had changes."]
    with open(PAGE, "w") as f:
        f.write("\n".join(lines) + "\n")
