#!/usr/bin/env python3
"""bench/connections.py - so many idle keep-alive connections at once, over several server processes, and what each takes.

Starts http-hello as often as the limit of descriptors asks for, each with a port of its own, and as many processes that hold
connections (bench/floor/hold.c) from 16 loopback addresses each. While all are held, a sample is asked once more on each. It
prints the servers' own memory (resident, anonymous) and the kernel's (slab, both ends: it is one machine) for a connection.
docs/perf/connections.md has the arithmetic for a million.
"""
import argparse, os, resource, subprocess, sys, time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from run import machine, ROOT

CACHES = ("TCP", "sock_inode_cache", "dentry", "filp", "eventpoll_epi", "eventpoll_pwq", "nf_conntrack", "request_sock_TCP", "skbuff_head_cache")


def anon_bytes(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as f:
            total += sum(int(l.split()[1]) for l in f if l.startswith("RssAnon:")) * 1024
    return total


def meminfo():
    with open("/proc/meminfo") as f:
        return {l.split(":")[0]: int(l.split()[1]) * 1024 for l in f}


def slabs():
    """Bytes of the slabs of each cache; empty where they may not be read."""
    try:
        with open("/proc/slabinfo") as f:
            rows = [l.split() for l in f if not l.startswith(("#", "slabinfo"))]
    except OSError:
        return {}
    return {r[0]: int(r[14]) * int(r[5]) * resource.getpagesize() for r in rows}


def start(cmd, **kw):
    return subprocess.Popen(cmd, stdout=subprocess.PIPE, text=True, **kw)


def held(p, what):
    line = p.stdout.readline()
    if not line.startswith(what):
        raise RuntimeError(f"{' '.join(p.args)}: {line.strip() or 'ended'}")
    return line.split()[1:]


def run(opt, bench_dir):
    """Lines to print."""
    left, each, servers, holders = opt.conns, opt.per_process, [], []
    env = dict(os.environ, WEFT_PROCS=str(opt.procs))
    try:
        while left > 0:
            servers.append(start([os.path.join(bench_dir, "http-hello")], env=env, stderr=subprocess.DEVNULL))
            left -= each
        ports = [s.stdout.readline().strip().rsplit(":", 1)[1] for s in servers]
        pids = [s.pid for s in servers]
        for i, port in enumerate(ports):   # the first connection of each brings what the process needs once
            subprocess.run([os.path.join(bench_dir, "floor-hold"), str(100 + i), port, "1"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        time.sleep(0.5)
        user0, mem0, slab0, t = anon_bytes(pids), meminfo(), slabs(), time.monotonic()
        left = opt.conns
        for i, port in enumerate(ports):
            holders.append(start([os.path.join(bench_dir, "floor-hold"), str(i), port, str(min(each, left))], stdin=subprocess.PIPE))
            left -= each
        total = sum(int(held(h, "held")[0]) for h in holders)
        t = time.monotonic() - t
        time.sleep(opt.seconds)
        user, mem, slab = anon_bytes(pids) - user0, meminfo(), slabs()
        for h in holders:
            h.stdin.write(f"{opt.sample}\n")
            h.stdin.flush()
        answers = [held(h, "answered") for h in holders]
        yield f"held at once: {total} connections, {len(servers)} server processes, {len(holders)} clients; all up after {t:.1f} s"
        yield (f"asked again while all are held: {sum(int(a[0]) for a in answers)} on {len(holders)} processes, all answered, "
               f"{sum(float(a[1]) for a in answers) / len(answers):.0f} us each")
        yield f"the servers' own memory: {user / total:.0f} bytes a connection"
        kernel = mem["Slab"] - mem0["Slab"]
        yield f"the kernel's slabs, both ends: {kernel / total:.0f} bytes a connection ({kernel / 2 / total:.0f} an end)"
        parts = [f"{c} {(slab[c] - slab0[c]) / total:.0f}" for c in CACHES if c in slab and slab[c] - slab0.get(c, 0) > 16 * total]
        if parts:
            yield "  of it: " + ", ".join(parts)
    finally:
        for p in holders + servers:   # holders first: their resets leave no port behind
            p.kill()
            p.wait()


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build/release-gcc")
    ap.add_argument("--conns", type=int, default=50000)
    ap.add_argument("--per-process", type=int, default=0, help="default: what the limit of descriptors allows")
    ap.add_argument("--procs", type=int, default=1, help="WEFT_PROCS of each server")
    ap.add_argument("--sample", type=int, default=200, help="connections of each process that are asked again")
    ap.add_argument("--seconds", type=float, default=1.0, help="to wait before memory is read")
    opt = ap.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    opt.per_process = opt.per_process or min(hard - 100, 250000)
    bench_dir = os.path.join(ROOT, opt.build, "bench")
    if not os.path.exists(os.path.join(bench_dir, "floor-hold")):
        print("bench: floor-hold is not there: build first", file=sys.stderr)
        return 2
    print(f"machine: {machine()}; load {os.getloadavg()[0]:.2f}; {opt.conns} connections, at most {opt.per_process} a process", flush=True)
    try:
        for line in run(opt, bench_dir):
            print(line, flush=True)
    except (RuntimeError, subprocess.CalledProcessError, IndexError) as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
