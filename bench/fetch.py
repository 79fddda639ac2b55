#!/usr/bin/env python3
"""bench/fetch.py - what an HTTP fetch costs a client: CPU microseconds, or bytes while it waits, beside the floor and Go. See netlib.py.

Against bench/floor/origin.c. Bytes are the anonymous memory that each of 5,000 fetches without an answer adds. Lookups of names go
to bench/floor/names.c; only weft has a program for them.

Under a row of CPU time stands how often each contestant was taken off its CPU: a floor that was, by dozens a second, had company there, which
costs a program with a monitor more than one without (docs/perf/limits.md). Such a series is no quiet figure.
"""
import os, resource, statistics, sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netlib as net

# name: bytes of body, flags of the C contestants, (goroutines, mode) of the Go one, unit, goal
WORK = {
    "1k_64": (1024, ["-c", "64"], (64, ""), "cpu_us", ("ratio", 6.0 / 5.2)),
    "20k_64": (20480, ["-c", "64"], (64, ""), "cpu_us", ("ratio", 7.0 / 6.05)),
    "1k_1000": (1024, ["-c", "1000"], (1000, ""), "cpu_us", ("ratio", 1.2)),
    "each_connection": (1024, ["-c", "64", "-e"], (64, "each"), "cpu_us", ("ratio", 36 / 33.5)),
    "lookup_1000": ("names", ["-c", "1000"], None, "cpu_us", ("cpu_us", 15)),
    "lookup_known": ("names", ["-c", "1", "-W"], None, "cpu_us", ("cpu_us", 0.2)),
    "waiting_5000": (1024, ["-c", "5000", "-W", "-w", "3"], (5000, "wait"), "bytes", ("bytes", 4600)),
    "waiting_19000": (1024, ["-c", "19000", "-W", "-w", "6"], (19000, "wait"), "bytes", ("bytes", 4600)),
}


def taken_now():
    """How often programs that have ended were taken off a CPU that they still wanted."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_nivcsw


def main():
    opt = net.arguments(__doc__, seconds=0.6).parse_args()
    bench_dir = net.start(opt, "floor-origin", "CPU us of the client for a fetch, or bytes for one that waits (ratio to the floor of the same round)")
    if not bench_dir:
        return 2
    at = lambda name: os.path.join(bench_dir, name)
    clients = {"floor": at("floor-client"), "weft": at("http-fetch"), **opt.beside}
    go = net.go_program(opt, bench_dir)
    if go:
        clients["go"] = go
    rows = []
    for key, (body, flags, twin, unit, goal) in WORK.items():
        if opt.only not in "fetch_" + key:
            continue
        names = body == "names"
        exes = {"weft": at("dns-lookup"), **opt.beside} if names else clients
        taken = {name: [] for name in exes}

        def one(name, exe):
            origin = [at("floor-names")] if names else [at("floor-origin"), str(body)]
            with net.Server(origin, net.OPPOSITE) as s:
                cmd = [exe, "-p", str(s.port), "-s", str(opt.seconds), *flags]
                if name == "go":
                    cmd = [exe, "http_fetch", "-g", str(twin[0]), "-addr", f"127.0.0.1:{s.port}", "-dur", f"{opt.seconds}s"]
                before = taken_now()
                r = net.run_json(cmd, net.UNDER_TEST, net.env(FETCH_MODE=twin[1] if twin else ""), 120, f"{name} {key}")
                taken[name].append((taken_now() - before) / opt.seconds)
            return r and r[unit]
        rows.append(net.measure("fetch_" + key, exes, one, unit, goal, opt))
        if unit == "cpu_us":
            print("  taken off its CPU, times a second: " + ", ".join(f"{name} {statistics.median(t):.0f}" for name, t in taken.items() if t), flush=True)
    return net.finish(rows, opt, clients["weft"])


if __name__ == "__main__":
    sys.exit(main())
