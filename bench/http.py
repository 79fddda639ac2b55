#!/usr/bin/env python3
"""bench/http.py - what an HTTP request costs a server: CPU microseconds, beside the floor, Go and nginx.

Each round starts the contestants in shuffled order, pinned to the first CPU, with bench/floor/load.c pinned to the second.
The figure is the CPU time of the process under test for each request; a ratio is to the floor of the same round. Of both,
the median over the rounds. Or, for idle connections, the process's own memory for each of them (resident, anonymous).
"""
import argparse, datetime, json, os, random, statistics, subprocess, sys, tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from run import build_go, machine, sh, ROOT, spread

# name: load's flags, goal (ratio to the floor, microseconds, or bytes)
WORK = {
    "keepalive_64": (["-c", "64"], ("ratio", 1.10)),
    "keepalive_1000": (["-c", "1000"], ("ratio", 1.10)),
    "pipelined_16": (["-c", "64", "-d", "16"], ("cpu_us", 0.75)),
    "each_connection": (["-c", "64", "-e"], ("ratio", 33 / 31)),
    "idle_9000": (["-c", "9000", "-i"], ("user_bytes", 800)),
    "idle_19000": (["-c", "19000", "-i"], ("user_bytes", 800)),
}

NGINX = """daemon off; master_process off; pid {dir}/nginx.pid; error_log /dev/null crit; worker_rlimit_nofile 65536;
events {{ worker_connections 16384; use epoll; multi_accept on; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600; tcp_nodelay on; default_type text/plain; server_tokens off;
client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "Hello, World!"; }} }} }}
"""


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A contestant's process; its port once it is up."""

    def __init__(self, name, exe, cpu, tmp):
        env = dict(os.environ, GOMAXPROCS="1", WEFT_PROCS="1")
        port = 0
        if name == "nginx":
            port = free_port()
            conf = os.path.join(tmp, "nginx.conf")
            with open(conf, "w") as f:
                f.write(NGINX.format(dir=tmp, port=port))
            cmd = [exe, "-c", conf, "-p", tmp]
        elif name == "go":
            cmd = [exe, "http_server", "-addr", "127.0.0.1:0"]
        else:
            cmd = [exe]
            if name.startswith("weft-uring"):
                env["WEFT_POLL"] = name[len("weft-"):]
        self.p = subprocess.Popen(cmd, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                  preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
        self.port = port or int(self.p.stdout.readline().rsplit(":", 1)[1])
        if port:
            self.wait_port()

    def wait_port(self):
        import socket, time
        for _ in range(200):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)

    def stop(self):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()


def contestants(opt, bench_dir):
    out = {"floor": os.path.join(bench_dir, "floor-server"), "weft": os.path.join(bench_dir, "http-hello")}
    if "uring" in opt.more:
        out["weft-uring"] = out["weft-uring-poll"] = out["weft"]
        if os.path.exists(os.path.join(bench_dir, "floor-uring")):
            out["floor-uring"] = os.path.join(bench_dir, "floor-uring")
    go = None if "go" in opt.without else build_go(bench_dir)
    if go:
        out["go"] = go
    nginx = sh("sh", "-c", "command -v nginx")
    if nginx and "nginx" not in opt.without:
        out["nginx"] = nginx
    elif not nginx:
        print("bench: no nginx (apt-get install nginx-light): without it", file=sys.stderr)
    return out


def one(name, exe, flags, opt, load, cpus):
    """One run: the load's JSON, or None with the reason on stderr."""
    with tempfile.TemporaryDirectory() as tmp:
        s = Server(name, exe, cpus[0], tmp)
        try:
            r = subprocess.run([load, "-p", str(s.port), "-s", str(opt.seconds), *flags, str(s.p.pid)], capture_output=True, text=True,
                               timeout=60 + opt.seconds, preexec_fn=lambda: os.sched_setaffinity(0, {cpus[-1]}))
        except subprocess.TimeoutExpired:
            r = None
        finally:
            s.stop()
    if not r or r.returncode:
        print(f"bench: {name} {' '.join(flags)}: {r.stderr.strip() if r else 'no end'}", file=sys.stderr)
        return None
    return json.loads(r.stdout)


def measure(key, exes, opt, load, cpus):
    flags, goal = WORK[key]
    unit = "user_bytes" if goal[0] == "user_bytes" else "cpu_us"
    runs = {k: [] for k in exes}
    ratios = {k: [] for k in exes}
    load0 = os.getloadavg()[0]
    for _ in range(opt.rounds):
        got = {}
        for name in random.sample(list(exes), len(exes)):
            got[name] = one(name, exes[name], flags, opt, load, cpus)
        for name, r in got.items():
            if r and got.get("floor"):
                runs[name].append(r[unit])
                ratios[name].append(r[unit] / max(got["floor"][unit], 1e-9))
    res = dict(bench="http_" + key, rounds=opt.rounds, seconds=opt.seconds, goal=dict([goal]), load=[round(load0, 2), round(os.getloadavg()[0], 2)])
    for name in exes:
        if runs[name]:
            res[name] = dict([(unit, round(statistics.median(runs[name]), 4))], best=round(min(runs[name]), 4), spread=spread(runs[name]),
                             ratio=round(statistics.median(ratios[name]), 3), runs=[round(x, 4) for x in runs[name]])
        else:
            res[name] = None
    return res


def show(res, exes):
    kind, value = next(iter(res["goal"].items()))
    unit = "user_bytes" if kind == "user_bytes" else "cpu_us"
    cells = " ".join(f"{n} {r[unit]:7.3f} ({r['ratio']:.2f}, +-{r['spread'] * 100:.0f}%)" if (r := res[n]) else f"{n} failed" for n in exes)
    met = res["weft"] and res["weft"][kind] <= value
    print(f"{res['bench']:22} {cells}  goal {kind} <= {value:.2f}: {'met' if met else 'NOT met'}  load {res['load'][1]}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build/release-gcc", help="Meson build folder with bench/http-hello")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--seconds", type=float, default=1.0, help="of each run, after a warm-up")
    ap.add_argument("--only", default="", help="work whose name contains this")
    ap.add_argument("--without", default="", help="contestants to leave out: go,nginx")
    ap.add_argument("--more", default="", help="uring: also weft on io_uring, taking and polling, and the floor through io_uring")
    ap.add_argument("--no-save", action="store_true", help="append nothing to bench/results/net.jsonl")
    opt = ap.parse_args()
    bench_dir = os.path.join(ROOT, opt.build, "bench")
    load, cpus = os.path.join(bench_dir, "floor-load"), sorted(os.sched_getaffinity(0))
    if not os.path.exists(load):
        print(f"bench: {os.path.relpath(load, ROOT)} is not there: build first", file=sys.stderr)
        return 2
    exes = contestants(opt, bench_dir)
    compiler = next((l for l in sh("readelf", "-p", ".comment", exes["weft"]).splitlines() if "]" in l), "").split("]")[-1].strip()
    meta = dict(commit=sh("git", "rev-parse", "--short", "HEAD"), dirty=bool(sh("git", "status", "--porcelain", "-uno", "src", "include")),
                machine=machine(), compiler=compiler, go_version=sh("go", "version"), pinned=len(cpus) > 1)
    print(f"machine: {machine()}; load {os.getloadavg()[0]:.2f}; {opt.rounds} rounds of {opt.seconds} s; CPU us of the server for a request "
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
