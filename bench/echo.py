#!/usr/bin/env python3
"""bench/echo.py - what an echoed message costs a TCP server: CPU microseconds, beside the floor, Go and Tokio. See netlib.py.

The load is bench/floor/echo.c. A goal is a ratio to the floor: the issue's is 5.8 us where the floor took 6.3 and Tokio 5.6.
"""
import os, sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netlib as net

# name: the load's flags, goal
WORK = {
    "64b_100": (["-c", "100", "-b", "64"], ("ratio", 5.8 / 6.3)),
    "64b_1": (["-c", "1", "-b", "64"], ("ratio", 1.10)),
    "4k_100": (["-c", "100", "-b", "4000"], ("ratio", 1.10)),
}


def main():
    opt = net.arguments(__doc__, seconds=0.6, without="go, tokio").parse_args()
    bench_dir = net.start(opt, "floor-echo", "CPU us of the server for a message (ratio to the floor of the same round)")
    if not bench_dir:
        return 2
    load = os.path.join(bench_dir, "floor-echo")
    exes = {"floor": load, "weft": os.path.join(bench_dir, "tcp-echo"), **opt.beside}
    go = net.go_program(opt, bench_dir)
    if go:
        exes["go"] = go
    tokio = net.tokio_program(opt, bench_dir)
    if tokio:
        exes["tokio"] = tokio
    rows = []
    for key, (flags, goal) in WORK.items():
        if opt.only not in "echo_" + key:
            continue

        def one(name, exe):
            with net.Server([exe, "echo_server"] if name == "go" else [exe], net.UNDER_TEST) as s:
                r = net.run_json([load, "-p", str(s.port), "-s", str(opt.seconds), *flags, str(s.p.pid)], net.OPPOSITE, what=f"{name} {key}")
            return r and r["cpu_us"]
        rows.append(net.measure("echo_" + key, exes, one, "cpu_us", goal, opt))
    return net.finish(rows, opt, exes["weft"])


if __name__ == "__main__":
    sys.exit(main())
