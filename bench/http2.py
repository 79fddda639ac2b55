#!/usr/bin/env python3
"""bench/http2.py - what an HTTP/2 request costs a server, or a client: CPU microseconds, beside the floor, h2o, nginx and Go.

Each round starts the contestants in shuffled order, pinned to the first CPU, with h2load (nghttp2-client) pinned to the
last. The figure is the CPU time of the server's process, by the kernel's count, for each request; a ratio is to the floor of
the same round (bench/floor/h2server.c: epoll and nghttp2, nothing else). Of both, the median over the rounds. Cleartext, prior
knowledge. --fifo runs all under SCHED_FIFO, so that other programs of a busy machine take no part.
"""
import argparse, datetime, json, os, random, re, shutil, socket, statistics, subprocess, sys, tempfile, time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from run import build_go, machine, sh, ROOT, spread

# name: clients, streams of each, requests, goal in microseconds
WORK = {"64x1": (64, 1, 60000, 7.7), "16x32": (16, 32, 400000, 1.0)}
# name: fetches at a time over one connection; the client is measured, bench/floor/h2server.c answers. There is no floor but Go.
CLIENT = {"client_1": 1, "client_64": 64}

NGINX = """daemon off; master_process off; pid {dir}/nginx.pid; error_log /dev/null crit; worker_rlimit_nofile 65536;
events {{ worker_connections 16384; use epoll; multi_accept on; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600; default_type text/plain; server_tokens off;
client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
server {{ listen 127.0.0.1:{port} http2 backlog=4096; location / {{ return 200 "Hello, World!"; }} }} }}
"""
H2O = """num-threads: 1
listen: {{host: 127.0.0.1, port: {port}}}
hosts: {{default: {{paths: {{/: {{file.dir: {dir}}}}}}}}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port):
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)


def cpu_ns(pid):
    return sum(int(open(f"/proc/{pid}/task/{t}/schedstat").read().split()[0]) for t in os.listdir(f"/proc/{pid}/task"))


def command(name, cmd, tmp):
    """The command line, and the port when the program does not tell it."""
    if name not in ("nginx", "h2o"):
        return cmd, 0
    port, conf = free_port(), os.path.join(tmp, "conf")
    with open(conf, "w") as f:
        f.write((NGINX if name == "nginx" else H2O).format(dir=tmp, port=port))
    with open(os.path.join(tmp, "index.html"), "w") as f:   # h2o answers with a file, which it keeps open
        f.write("Hello, World!")
    return cmd + (["-c", conf, "-p", tmp] if name == "nginx" else ["-c", conf]), port


def one(name, cmd, env, work, opt, cpus, tmp):
    clients, streams, requests, _ = WORK[work]
    fifo = ["chrt", "-f", "10"] if opt.fifo else []
    cmd, port = command(name, cmd, tmp)
    server = subprocess.Popen(fifo + cmd, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              preexec_fn=lambda: os.sched_setaffinity(0, {cpus[0]}))
    try:
        if port:
            wait_port(port)
        else:
            port = int(server.stdout.readline().rsplit(":", 1)[1])
        load = fifo + ["h2load", "-c", str(clients), "-m", str(streams), f"http://127.0.0.1:{port}/"]
        pin = lambda: os.sched_setaffinity(0, {cpus[-1]})
        subprocess.run(load + ["-n", str(requests // 10)], capture_output=True, timeout=120, preexec_fn=pin)
        before = cpu_ns(server.pid)
        r = subprocess.run(load + ["-n", str(requests)], capture_output=True, text=True, timeout=300, preexec_fn=pin)
        used = cpu_ns(server.pid) - before
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    done = int(re.search(r"status codes: (\d+) 2xx", r.stdout)[1])
    if done != requests:
        sys.exit(f"bench: {name}: {done} of {requests} answers are 200")
    return used / done / 1000


def one_client(name, exe, work, opt, cpus, bench_dir):
    fifo = ["chrt", "-f", "10"] if opt.fifo else []
    env = dict(os.environ, GOMAXPROCS="1", WEFT_PROCS="1", FETCH_MODE="h2")
    origin = subprocess.Popen(fifo + [os.path.join(bench_dir, "floor-h2server")], stdout=subprocess.PIPE, text=True,
                              preexec_fn=lambda: os.sched_setaffinity(0, {cpus[-1]}))
    try:
        port = origin.stdout.readline().strip().rsplit(":", 1)[1]
        n = str(CLIENT[work])
        cmd = [exe, "http_fetch", "-g", n, "-addr", "127.0.0.1:" + port, "-dur", "1s"] if name == "go" else [exe, "-2", "-p", port, "-c", n]
        r = subprocess.run(fifo + cmd, env=env, capture_output=True, text=True, timeout=60, preexec_fn=lambda: os.sched_setaffinity(0, {cpus[0]}))
    finally:
        origin.kill()
        origin.wait()
        origin.stdout.close()
    if r.returncode:
        sys.exit(f"bench: {name}: {r.stdout} {r.stderr}")
    return json.loads(r.stdout)["cpu_us"]


def measure_client(work, exes, opt, cpus, bench_dir):
    exes = {"weft": os.path.join(bench_dir, "http-fetch"), **({"go": exes["go"][0]} if "go" in exes else {})}
    runs, load0 = {k: [] for k in exes}, os.getloadavg()[0]
    for _ in range(opt.rounds):
        for name in random.sample(list(exes), len(exes)):
            runs[name].append(one_client(name, exes[name], work, opt, cpus, bench_dir))
    res = dict(bench="http2_" + work, rounds=opt.rounds, load=[round(load0, 2), round(os.getloadavg()[0], 2)])
    for name, r in runs.items():
        ratio = statistics.median(a / b for a, b in zip(r, runs.get("go", r)))
        res[name] = dict(cpu_us=round(statistics.median(r), 4), best=round(min(r), 4), spread=spread(r), ratio=round(ratio, 3), runs=[round(x, 4) for x in r])
    cells = " ".join(f"{n} {res[n]['cpu_us']:7.3f} ({res[n]['ratio']:.2f} of Go, +-{res[n]['spread'] * 100:.0f}%)" for n in exes)
    print(f"{res['bench']:22} {cells}  load {res['load'][1]}", flush=True)
    return res


def contestants(opt, bench_dir):
    out = {"floor": [os.path.join(bench_dir, "floor-h2server")], "weft": [os.path.join(bench_dir, "http-hello")]}
    if opt.also:
        out["also"] = [opt.also]
    for peer in ("h2o", "nginx"):
        exe = shutil.which(peer) or shutil.which(peer, path="/usr/sbin")
        if exe and peer not in opt.without:
            out[peer] = [exe]
        elif not exe:
            print(f"bench: no {peer} (apt-get install {peer}): without it", file=sys.stderr)
    go = None if "go" in opt.without else build_go(bench_dir)
    if go:
        out["go"] = [go, "h2c_server"]
    return out


def measure(work, exes, opt, cpus, env):
    runs, ratios = {k: [] for k in exes}, {k: [] for k in exes}
    load0 = os.getloadavg()[0]
    for _ in range(opt.rounds):
        with tempfile.TemporaryDirectory() as tmp:
            os.chmod(tmp, 0o755)   # h2o reads as another user
            got = {name: one(name, exes[name], env, work, opt, cpus, tmp) for name in random.sample(list(exes), len(exes))}
        for name, us in got.items():
            runs[name].append(us)
            ratios[name].append(us / got["floor"])
    res = dict(bench="http2_" + work, rounds=opt.rounds, goal=dict(cpu_us=WORK[work][3]), load=[round(load0, 2), round(os.getloadavg()[0], 2)])
    for name, r in runs.items():
        res[name] = dict(cpu_us=round(statistics.median(r), 4), best=round(min(r), 4), spread=spread(r),
                         ratio=round(statistics.median(ratios[name]), 3), runs=[round(x, 4) for x in r])
    return res


def show(res, exes):
    goal = res["goal"]["cpu_us"]
    cells = " ".join(f"{n} {res[n]['cpu_us']:7.3f} ({res[n]['ratio']:.2f}, +-{res[n]['spread'] * 100:.0f}%)" for n in exes)
    print(f"{res['bench']:22} {cells}  goal cpu_us <= {goal:.2f}: {'met' if res['weft']['cpu_us'] <= goal else 'NOT met'}  load {res['load'][1]}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default="build/release-gcc", help="Meson build folder with bench/http-hello")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", help="not used: runs are counted in requests")
    p.add_argument("--fifo", action="store_true", help="run all under SCHED_FIFO, so that other programs take no part")
    p.add_argument("--only", default="", help="work whose name contains this")
    p.add_argument("--without", default="", help="contestants to leave out: h2o,nginx,go")
    p.add_argument("--also", default="", help="another http-hello, to compare with")
    p.add_argument("--no-save", action="store_true", help="append nothing to bench/results/net.jsonl")
    opt = p.parse_args()
    bench_dir = os.path.join(ROOT, opt.build, "bench")
    if not shutil.which("h2load"):
        print("bench: no h2load (apt-get install nghttp2-client): no HTTP/2 rows", file=sys.stderr)
        return 0
    if not os.path.exists(os.path.join(bench_dir, "floor-h2server")):
        print("bench: floor-h2server is not there: build first, with libnghttp2", file=sys.stderr)
        return 2
    cpus = sorted(os.sched_getaffinity(0))
    env = dict(os.environ, GOMAXPROCS="1", WEFT_PROCS="1")
    exes = contestants(opt, bench_dir)
    meta = dict(commit=sh("git", "rev-parse", "--short", "HEAD"), dirty=bool(sh("git", "status", "--porcelain", "-uno", "src", "include")),
                machine=machine(), go_version=sh("go", "version"), pinned=len(cpus) > 1)
    print(f"machine: {machine()}; load {os.getloadavg()[0]:.2f}; {opt.rounds} rounds; CPU us of the server for a request (ratio to the floor "
          "of the same round)")
    out = []
    for work in [*WORK, *CLIENT]:
        if opt.only in "http2_" + work:
            res = measure(work, exes, opt, cpus, env) if work in WORK else measure_client(work, exes, opt, cpus, bench_dir)
            out.append(dict(time=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), **meta, **res))
            if work in WORK:
                show(res, exes)
    if not opt.no_save and out:
        os.makedirs(os.path.join(HERE, "results"), exist_ok=True)
        with open(os.path.join(HERE, "results", "net.jsonl"), "a") as f:
            f.writelines(json.dumps(r) + "\n" for r in out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
