#!/usr/bin/env python3
"""bench/http2.py - what an HTTP/2 request costs a server, or a client: CPU us, beside the floor, h2o, nginx and Go. See netlib.py.

The load is h2load (nghttp2-client). The figure is the CPU time of the server's process, by the kernel's count, for each request; the
floor is bench/floor/h2server.c: epoll and nghttp2, nothing else. Cleartext, prior knowledge. The goals are the issue's, 7.7 us where
h2o took 7.65 and 1.0 where it took 0.80: ratios to h2o. A client's fetches go to the floor's server; there is no floor of theirs but Go.
"""
import os, re, shutil, subprocess, sys, tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netlib as net

# name: clients, streams of each, requests for a second of --seconds, goal
WORK = {"64x1": (64, 1, 25000, ("of h2o", 7.7 / 7.65)), "16x32": (16, 32, 100000, ("of h2o", 1.0 / 0.80))}
# name: fetches at a time over one connection
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


def cpu_ns(pid):
    return sum(int(open(f"/proc/{pid}/task/{t}/schedstat").read().split()[0]) for t in os.listdir(f"/proc/{pid}/task"))


def contestants(opt, bench_dir):
    out = {"floor": os.path.join(bench_dir, "floor-h2server"), "weft": os.path.join(bench_dir, "http-hello"), **opt.beside}
    for peer in ("h2o", "nginx"):
        exe = shutil.which(peer) or shutil.which(peer, path="/usr/sbin")
        if exe and peer not in opt.without:
            out[peer] = exe
        elif not exe:
            print(f"bench: no {peer} (apt-get install {peer}): without it", file=sys.stderr)
    go = net.go_program(opt, bench_dir)
    if go:
        out["go"] = go
    return out


def server(name, exe, tmp):
    if name not in ("nginx", "h2o"):
        return net.Server([exe, "h2c_server"] if name == "go" else [exe], net.UNDER_TEST)
    port, conf = net.free_port(), os.path.join(tmp, "conf")
    os.chmod(tmp, 0o755)   # h2o reads as another user
    with open(conf, "w") as f:
        f.write((NGINX if name == "nginx" else H2O).format(dir=tmp, port=port))
    with open(os.path.join(tmp, "index.html"), "w") as f:   # h2o answers with a file, which it keeps open
        f.write("Hello, World!")
    return net.Server([exe] + (["-c", conf, "-p", tmp] if name == "nginx" else ["-c", conf]), net.UNDER_TEST, None, port)


def serve(name, exe, work, opt):
    clients, streams, requests, _ = WORK[work]
    requests = max(int(requests * opt.seconds), clients * streams)
    with tempfile.TemporaryDirectory() as tmp, server(name, exe, tmp) as s:
        load = net.FIFO + ["h2load", "-c", str(clients), "-m", str(streams), f"http://127.0.0.1:{s.port}/"]
        subprocess.run(load + ["-n", str(max(requests // 10, clients * streams))], capture_output=True, timeout=120, preexec_fn=net.pin(net.OPPOSITE))
        before = cpu_ns(s.p.pid)
        r = subprocess.run(load + ["-n", str(requests)], capture_output=True, text=True, timeout=300, preexec_fn=net.pin(net.OPPOSITE))
        used = cpu_ns(s.p.pid) - before
    done = re.search(r"status codes: (\d+) 2xx", r.stdout)
    if not done or int(done[1]) != requests:
        print(f"bench: {name} {work}: {done and done[1]} of {requests} answers are 200", file=sys.stderr)
        return None
    return used / requests / 1000


def fetch(name, exe, work, opt, bench_dir):
    n = str(CLIENT[work])
    with net.Server([os.path.join(bench_dir, "floor-h2server")], net.OPPOSITE) as s:
        cmd = [exe, "-2", "-p", str(s.port), "-c", n, "-s", str(opt.seconds)]
        if name == "go":
            cmd = [exe, "http_fetch", "-g", n, "-addr", f"127.0.0.1:{s.port}", "-dur", f"{opt.seconds}s"]
        r = net.run_json(cmd, net.UNDER_TEST, net.env(FETCH_MODE="h2"), what=f"{name} {work}")
    return r and r["cpu_us"]


def main():
    opt = net.arguments(__doc__, without="h2o,nginx,go").parse_args()
    if not shutil.which("h2load"):
        print("bench: no h2load (apt-get install nghttp2-client): no HTTP/2 rows", file=sys.stderr)
        return 0
    bench_dir = net.start(opt, "floor-h2server", "CPU us of the server for a request (ratio to the floor of the same round)")
    if not bench_dir:
        return 2
    exes, rows = contestants(opt, bench_dir), []
    clients = {"weft": os.path.join(bench_dir, "http-fetch"), **({"go": exes["go"]} if "go" in exes else {})}
    for work in WORK:
        if opt.only in "http2_" + work:
            rows.append(net.measure("http2_" + work, exes, lambda name, exe: serve(name, exe, work, opt), "cpu_us", WORK[work][3], opt))
    for work in CLIENT:
        if opt.only in "http2_" + work:
            rows.append(net.measure("http2_" + work, clients, lambda name, exe: fetch(name, exe, work, opt, bench_dir), "cpu_us", None, opt, "go"))
    return net.finish(rows, opt, exes["weft"])


if __name__ == "__main__":
    sys.exit(main())
