#!/usr/bin/env python3
"""bench/http.py - what an HTTP request costs a server: CPU microseconds, beside the floor, Go and nginx. See netlib.py.

The load is bench/floor/load.c. Or the system calls of a request, which perf counts where it may; or of the CPU time what is user
space's, by perf's samples. Or, for idle connections, the process's own memory for each of them (resident, anonymous).
"""
import os, subprocess, sys, tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netlib as net

# name: load's flags, unit, goal
WORK = {
    "keepalive_64": (["-c", "64"], "cpu_us", ("ratio", 1.10)),
    "calls_64": (["-c", "64"], "calls", ("calls", 2.1)),
    "own_64": (["-c", "64"], "own", ("ratio", 0.5 / 5.0)),
    "keepalive_1000": (["-c", "1000"], "cpu_us", ("ratio", 1.10)),
    "pipelined_16": (["-c", "64", "-d", "16"], "cpu_us", ("ratio", 0.75 / 0.58)),
    "each_connection": (["-c", "64", "-e"], "cpu_us", ("ratio", 33 / 31)),
    "idle_9000": (["-c", "9000", "-i"], "user_bytes", ("user_bytes", 800)),
    "idle_19000": (["-c", "19000", "-i"], "user_bytes", ("user_bytes", 800)),
}

NGINX = """daemon off; master_process off; pid {dir}/nginx.pid; error_log /dev/null crit; worker_rlimit_nofile 65536;
events {{ worker_connections 32768; use epoll; multi_accept on; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600; tcp_nodelay on; default_type text/plain; server_tokens off;
client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "Hello, World!"; }} }} }}
"""


def contestants(opt, bench_dir):
    out = {"floor": os.path.join(bench_dir, "floor-server"), "weft": os.path.join(bench_dir, "http-hello"), **opt.beside}
    if "uring" in opt.more:
        out["weft-uring"] = out["weft-uring-poll"] = out["weft"]
        if os.path.exists(os.path.join(bench_dir, "floor-uring")):
            out["floor-uring"] = os.path.join(bench_dir, "floor-uring")
    go = net.go_program(opt, bench_dir)
    if go:
        out["go"] = go
    nginx = net.sh("sh", "-c", "command -v nginx")
    if nginx and "nginx" not in opt.without:
        out["nginx"] = nginx
    elif not nginx:
        print("bench: no nginx (apt-get install nginx-light): without it", file=sys.stderr)
    return out


def server(name, exe, tmp):
    environ, port, cmd = net.env(), 0, [exe]
    if name == "nginx":
        port, conf = net.free_port(), os.path.join(tmp, "nginx.conf")
        with open(conf, "w") as f:
            f.write(NGINX.format(dir=tmp, port=port))
        cmd = [exe, "-c", conf, "-p", tmp]
    elif name == "go":
        cmd = [exe, "http_server", "-addr", "127.0.0.1:0"]
    elif name.startswith("weft-uring"):
        environ["WEFT_POLL"] = name[len("weft-"):]
    return net.Server(cmd, net.UNDER_TEST, environ, port)


COUNT = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter"]


def calls_counted():
    """Whether perf is here and may count system calls."""
    try:
        return subprocess.run([*COUNT, "-o", os.devnull, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


def calls_of(pid, load, what):
    """System calls of the process for each answer, its warm-up and the connections' beginning included."""
    with tempfile.NamedTemporaryFile("r") as out:
        r = net.run_json([*COUNT, "-o", out.name, "-p", str(pid), "--", *load], net.OPPOSITE, None, 120, what)
        lines = [x.split(",") for x in out if x[0].isdigit()]
    return int(lines[0][0]) / r["answers"] if r and lines else None


SAMPLE = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "1999"]


def after_syscall(mem, ip):
    """Whether ip is where the kernel returns to: behind a syscall instruction of x86."""
    try:
        return os.pread(mem, 2, int(ip, 16) - 2) == b"\x0f\x05"
    except OSError:
        return False


def kernel_share(path, pid=None):
    """Of the samples in a file of perf's those that are in the kernel's half of the addresses; None where there is none of a kind.
    With a pid, whose process is still there: also those on the very instruction that the kernel returns to. The sample's interrupt came
    while the kernel was on its way out with interrupts off; the instruction itself is one of a thousand."""
    ips = subprocess.run(["perf", "script", "-i", path, "-F", "ip"], capture_output=True, text=True).stdout.split()
    kernel = sum(len(ip) == 16 and ip[0] in "89abcdef" for ip in ips)
    if not 0 < kernel < len(ips):
        return None
    if pid:
        mem = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        kernel += sum(after_syscall(mem, ip) for ip in ips if not (len(ip) == 16 and ip[0] in "89abcdef"))
        os.close(mem)
    return kernel / len(ips)


def samples_taken():
    """Whether perf is here and may look into the kernel."""
    with tempfile.NamedTemporaryFile() as out:
        try:
            r = subprocess.run([*SAMPLE, "-o", out.name, "--", sys.executable, "-c", "import os\nfor _ in range(20000): os.stat('/')"], capture_output=True)
        except OSError:
            return False
        return r.returncode == 0 and kernel_share(out.name) is not None


def own_of(pid, load, what):
    """CPU us of the process in user space for each answer: its share of the samples, of the scheduler's count."""
    with tempfile.NamedTemporaryFile() as out:
        r = net.run_json([*SAMPLE, "-o", out.name, "-p", str(pid), "--", *load], net.OPPOSITE, None, 120, what)
        kernel = kernel_share(out.name, pid) if r else None
    return None if kernel is None else r["cpu_us"] * (1 - kernel)


def main():
    ap = net.arguments(__doc__, seconds=0.6, without="go,nginx")
    ap.add_argument("--more", default="", help="uring: also weft on io_uring, taking and polling, and the floor through io_uring")
    opt = ap.parse_args()
    bench_dir = net.start(opt, "floor-load", "CPU us of the server for a request (ratio to the floor of the same round)")
    if not bench_dir:
        return 2
    load, exes, rows = os.path.join(bench_dir, "floor-load"), contestants(opt, bench_dir), []
    for key, (flags, unit, goal) in WORK.items():
        if opt.only not in "http_" + key:
            continue
        if unit == "calls" and not calls_counted():
            print("bench: perf counts no system calls here: without http_calls_64", file=sys.stderr)
            continue

        if unit == "own" and not samples_taken():
            print("bench: perf takes no samples of the kernel here: without http_own_64", file=sys.stderr)
            continue
        those, what = exes, ""
        if unit == "own":   # beside the floor's whole time: its own user space, too
            those, what = {**exes, "floor-own": exes["floor"]}, "in user space, by samples; the floor's whole time, of which floor-own"

        def one(name, exe, unit=unit, key=key, flags=flags):
            with tempfile.TemporaryDirectory() as tmp, server(name, exe, tmp) as s:
                seconds = opt.seconds * (4 if unit in ("calls", "own") else 1)   # what the connections' beginning takes is shared out
                cmd = [load, "-p", str(s.port), "-s", str(seconds), *flags, str(s.p.pid)]
                if unit == "calls":
                    return calls_of(s.p.pid, cmd, f"{name} {key}")
                if unit == "own" and name != "floor":
                    return own_of(s.p.pid, cmd, f"{name} {key}")
                r = net.run_json(cmd, net.OPPOSITE, None, 120, f"{name} {key}")
            return r and r["cpu_us" if unit == "own" else unit]
        rows.append(net.measure("http_" + key, those, one, "cpu_us" if unit == "own" else unit, goal, opt, what=what))
    return net.finish(rows, opt, exes["weft"])


if __name__ == "__main__":
    sys.exit(main())
