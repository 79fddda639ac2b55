#!/usr/bin/env python3
"""bench/http2.py - what an HTTP/2 request costs a server: CPU microseconds, beside Go; h2load is the client.

Each round starts the contestants in shuffled order, pinned to the first CPU, with h2load (nghttp2-client) pinned to the
last. The figure is the CPU time of the server's process, by the kernel's count, for each request; the median over the rounds.
Cleartext, prior knowledge. -f runs both under SCHED_FIFO, so that other programs of a busy machine take no part.
"""
import argparse, datetime, json, os, random, re, statistics, subprocess, sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from run import build_go, machine, spread

# name: clients, streams of each, requests, goal in microseconds
WORK = {"64x1": (64, 1, 60000, 7.7), "16x32": (16, 32, 400000, 1.0)}


def cpu_ns(pid):
    return sum(int(open(f"/proc/{pid}/task/{t}/schedstat").read().split()[0]) for t in os.listdir(f"/proc/{pid}/task"))


def one(cmd, env, work, opt, cpus):
    clients, streams, requests, _ = WORK[work]
    fifo = ["chrt", "-f", "10"] if opt.fifo else []
    server = subprocess.Popen(fifo + cmd, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              preexec_fn=lambda: os.sched_setaffinity(0, {cpus[0]}))
    try:
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
        sys.exit(f"bench: {cmd[0]}: {done} of {requests} answers are 200")
    return used / done / 1000


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("bench_dir", help="build/.../bench, where http-hello is")
    p.add_argument("-r", "--rounds", type=int, default=5)
    p.add_argument("-f", "--fifo", action="store_true")
    p.add_argument("--without", default="", help="contestants to leave out")
    p.add_argument("--also", default="", help="another http-hello, to compare with")
    p.add_argument("-o", "--out", help="append lines of JSON to this file")
    opt = p.parse_args()
    opt.bench_dir = os.path.abspath(opt.bench_dir)
    cpus = sorted(os.sched_getaffinity(0))
    env = dict(os.environ, GOMAXPROCS="1", WEFT_PROCS="1")
    contestants = {"weft": [os.path.join(opt.bench_dir, "http-hello")]}
    if opt.also:
        contestants["also"] = [opt.also]
    go = None if "go" in opt.without else build_go(opt.bench_dir)
    if go:
        contestants["go"] = [go, "h2c_server"]
    for work in WORK:
        runs = {k: [] for k in contestants}
        load0 = os.getloadavg()[0]
        for _ in range(opt.rounds):
            for name in random.sample(list(contestants), len(contestants)):
                runs[name].append(one(contestants[name], env, work, opt, cpus))
        res = dict(bench="http2_" + work, rounds=opt.rounds, goal=dict(cpu_us=WORK[work][3]), load=[round(load0, 2), round(os.getloadavg()[0], 2)])
        for name, r in runs.items():
            res[name] = dict(cpu_us=round(statistics.median(r), 3), best=round(min(r), 3), spread=spread(r))
        print(json.dumps(res))
        if opt.out:
            with open(opt.out, "a") as f:
                f.write(json.dumps(dict(machine=machine(), date=datetime.date.today().isoformat(), **res)) + "\n")


if __name__ == "__main__":
    main()
