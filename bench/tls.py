#!/usr/bin/env python3
"""bench/tls.py - what TLS 1.3 costs: CPU microseconds of a client's fetch, and memory of a server's idle connections.

Each round starts the contestants in shuffled order, pinned to the first CPU, with the program opposite pinned to the second:
bench/floor/tls_origin.c for clients, bench/floor/tls_load.c for servers. A ratio is to the floor of the same round, which is
OpenSSL over one epoll loop. Of both, the median over the rounds. Certificates are made for the run by the openssl program.
"""
import argparse, datetime, json, os, random, statistics, subprocess, sys, tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from run import build_go, machine, sh, ROOT, spread

# name: kind of key, flags of the C clients, mode of the Go one, goal in CPU microseconds of the client
FETCH = {
    "full": ("ec", ["-c", "64", "-e", "-n"], "full", 300),
    "resumed": ("ec", ["-c", "64", "-e"], "resumed", 200),
    "keepalive": ("ec", ["-c", "64"], "keep", 11),
    "full_rsa": ("rsa", ["-c", "64", "-e", "-n"], "full", None),
}
# name: kind of key, connections, goal in bytes of the server's for each
IDLE = {
    "idle_9000": ("ec", 9000, 20000),
    "idle_19000": ("ec", 19000, 20000),
    "idle_9000_rsa": ("rsa", 9000, 20000),
}
FIFO = []   # what goes before the commands of both sides


def make_certs(tmp):
    """An authority and a certificate of 127.0.0.1 for each kind of key."""
    ext = os.path.join(tmp, "ext")
    with open(ext, "w") as f:
        f.write("subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n")
    new = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-newkey", "rsa:2048"]}
    for kind, args in new.items():
        ca, crt = os.path.join(tmp, kind + "-ca"), os.path.join(tmp, kind)
        for cmd in (["req", "-x509", *args, "-nodes", "-subj", "/CN=weft bench authority", "-days", "2", "-keyout", ca + ".key", "-out", ca + ".crt"],
                    ["req", "-new", *args, "-nodes", "-subj", "/CN=bench", "-keyout", crt + ".key", "-out", crt + ".csr"],
                    ["x509", "-req", "-in", crt + ".csr", "-CA", ca + ".crt", "-CAkey", ca + ".key", "-CAcreateserial", "-days", "2", "-extfile", ext,
                     "-out", crt + ".crt"]):
            r = subprocess.run(["openssl", *cmd], capture_output=True, text=True)
            if r.returncode:
                sys.exit("bench: openssl: " + r.stderr[-300:])


class Server:
    """A process that prints "... 127.0.0.1:PORT" when it is up."""

    def __init__(self, cmd, cpu, env):
        self.p = subprocess.Popen(FIFO + cmd, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                  preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
        self.port = self.p.stdout.readline().strip().rsplit(":", 1)[-1]

    def stop(self):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()


def run_json(cmd, env, cpu, timeout, what):
    try:
        r = subprocess.run(FIFO + cmd, env=env, capture_output=True, text=True, timeout=timeout, preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    except subprocess.TimeoutExpired:
        r = None
    if not r or r.returncode or not r.stdout:
        print(f"bench: {what}: {(r.stderr.strip() or r.stdout.strip())[:300] if r else 'no end'}", file=sys.stderr)
        return None
    try:
        return json.loads(r.stdout)
    except ValueError:
        print(f"bench: {what}: no figure: {r.stdout.strip()[:200]}", file=sys.stderr)   # not one fetch ended
        return None


def one_fetch(key, name, exe, opt, tmp, cpus):
    kind, flags, mode, _ = FETCH[key]
    ca, crt = os.path.join(tmp, kind + "-ca.crt"), os.path.join(tmp, kind)
    env = dict(os.environ, GOMAXPROCS="1", WEFT_PROCS="1", TLS_MODE=mode, TLS_CA=ca)
    s = Server([opt.origin, crt + ".crt", crt + ".key", "1024"], cpus[-1], env)
    try:
        cmd = [exe, "-p", s.port, "-s", str(opt.seconds), "-t", ca, *flags]
        if name == "go":
            cmd = [exe, "tls_fetch", "-g", flags[1], "-addr", "127.0.0.1:" + s.port, "-dur", f"{opt.seconds}s"]
        return run_json(cmd, env, cpus[0], 60 + opt.seconds, f"{name} {key}")
    finally:
        s.stop()


def one_idle(key, name, exe, opt, tmp, cpus):
    kind, conns, _ = IDLE[key]
    crt = os.path.join(tmp, kind)
    env = dict(os.environ, GOMAXPROCS="1", WEFT_PROCS="1", TLS_CERT=crt + ".crt", TLS_KEY=crt + ".key")
    cmd = {"floor": [exe, crt + ".crt", crt + ".key", "13"], "openssl": [exe, "-k", crt + ".crt", crt + ".key", "13"],
           "go": [exe, "tls_server"]}.get(name, [exe, "127.0.0.1:0", crt + ".crt", crt + ".key"])
    s = Server(cmd, cpus[0], env)
    try:
        return run_json([opt.load, s.port, str(conns), "1", str(s.p.pid)], env, cpus[-1], 240, f"{name} {key}")
    finally:
        s.stop()


def measure(key, exes, opt, tmp, cpus):
    fetch = key in FETCH
    one, unit = (one_fetch, "cpu_us") if fetch else (one_idle, "user_bytes")
    goal = (FETCH if fetch else IDLE)[key][-1]
    runs = {k: [] for k in exes}
    ratios = {k: [] for k in exes}
    load0 = os.getloadavg()[0]
    rounds = opt.rounds if fetch else min(opt.rounds, 3)
    for _ in range(rounds):
        got = {}
        for name in random.sample(list(exes), len(exes)):
            got[name] = one(key, name, exes[name], opt, tmp, cpus)
        for name, r in got.items():
            if r and got.get("floor"):
                runs[name].append(r[unit])
                ratios[name].append(r[unit] / got["floor"][unit])
    res = dict(bench="tls_" + key, rounds=rounds, seconds=opt.seconds, goal={unit: goal}, load=[round(load0, 2), round(os.getloadavg()[0], 2)])
    for name in exes:
        res[name] = {unit: round(statistics.median(runs[name]), 3), "best": round(min(runs[name]), 3), "spread": spread(runs[name]),
                     "ratio": round(statistics.median(ratios[name]), 3), "runs": [round(x, 3) for x in runs[name]]} if runs[name] else None
    return res


def show(res, exes):
    unit, goal = next(iter(res["goal"].items()))
    cells = " ".join(f"{n} {r[unit]:8.1f} ({r['ratio']:.2f}, +-{r['spread'] * 100:.0f}%)" if (r := res[n]) else f"{n} failed" for n in exes)
    met = "" if goal is None else f"  goal {unit} <= {goal}: {'met' if res['weft'] and res['weft'][unit] <= goal else 'NOT met'}"
    print(f"{res['bench']:18} {cells}{met}  load {res['load'][1]}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build/release-gcc", help="Meson build folder with bench/http-fetch")
    ap.add_argument("--rounds", type=int, default=5, help="of idle connections 3 at most")
    ap.add_argument("--seconds", type=float, default=1.0, help="of each run, after a warm-up")
    ap.add_argument("--only", default="", help="work whose name contains this")
    ap.add_argument("--without", default="", help="contestants to leave out: go,openssl (which keeps its buffers)")
    ap.add_argument("--beside", action="append", default=[], help="NAME=PROGRAM: one client or server more, as http-fetch or http-hello")
    ap.add_argument("--no-save", action="store_true", help="append nothing to bench/results/net.jsonl")
    ap.add_argument("-f", "--fifo", action="store_true", help="both sides under SCHED_FIFO: other programs of a busy machine take no part")
    opt = ap.parse_args()
    if opt.fifo:
        FIFO.extend(["chrt", "-f", "10"])
    bench_dir = os.path.join(ROOT, opt.build, "bench")
    opt.origin, opt.load = (os.path.join(bench_dir, "floor-tls-" + n) for n in ("origin", "load"))
    cpus = sorted(os.sched_getaffinity(0))
    if not os.path.exists(opt.load):
        print(f"bench: {os.path.relpath(opt.load, ROOT)} is not there: build first", file=sys.stderr)
        return 2
    beside = dict(b.split("=", 1) for b in opt.beside)
    clients = {"floor": os.path.join(bench_dir, "floor-tls-client"), "weft": os.path.join(bench_dir, "http-fetch"), **beside}
    servers = {"floor": opt.origin, "weft": os.path.join(bench_dir, "http-hello"), **beside}
    if "openssl" not in opt.without:
        servers["openssl"] = opt.origin
    go = None if "go" in opt.without else build_go(bench_dir)
    if go:
        clients["go"] = servers["go"] = go
    compiler = next((l for l in sh("readelf", "-p", ".comment", clients["weft"]).splitlines() if "]" in l), "").split("]")[-1].strip()
    meta = dict(commit=sh("git", "rev-parse", "--short", "HEAD"), dirty=bool(sh("git", "status", "--porcelain", "-uno", "src", "include")),
                machine=machine(), compiler=compiler, go_version=sh("go", "version"), openssl=sh("openssl", "version"), pinned=len(cpus) > 1)
    print(f"machine: {machine()}; load {os.getloadavg()[0]:.2f}; {opt.rounds} rounds of {opt.seconds} s; CPU us of the client for a fetch, or "
          "bytes of the server for an idle connection (ratio to the floor of the same round)")
    out = []
    with tempfile.TemporaryDirectory() as tmp:
        make_certs(tmp)
        for key in [*FETCH, *IDLE]:
            if opt.only in key:
                exes = clients if key in FETCH else servers
                res = measure(key, exes, opt, tmp, cpus)
                out.append(dict(time=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), **meta, **res))
                show(res, exes)
    if not opt.no_save:
        os.makedirs(os.path.join(HERE, "results"), exist_ok=True)
        with open(os.path.join(HERE, "results", "net.jsonl"), "a") as f:
            f.writelines(json.dumps(r) + "\n" for r in out)
    return 1 if any(v is None for r in out for k, v in r.items()) else 0


if __name__ == "__main__":
    sys.exit(main())
