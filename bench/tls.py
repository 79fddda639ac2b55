#!/usr/bin/env python3
"""bench/tls.py - what TLS 1.3 costs: CPU us of a client's fetch, and memory of a server's idle connections. See netlib.py.

Opposite are bench/floor/tls_origin.c for clients and bench/floor/tls_load.c for servers; the floor is OpenSSL over one epoll loop.
"crypto" is what a client's cryptography takes alone (bench/floor/tls_crypto.c), all else looked up and decoded before.
Certificates are made for the run by the openssl program.
"""
import os, subprocess, sys, tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netlib as net

# name: kind of key, flags of the C clients, mode of the Go one and of the crypto, goal
FETCH = {
    "full": ("ec", ["-c", "64", "-e", "-n"], "full", ("of go", 300 / 390)),
    "resumed": ("ec", ["-c", "64", "-e"], "resumed", ("of go", 200 / 301)),
    "keepalive": ("ec", ["-c", "64"], "keep", ("of go", 11 / 35)),
    "full_rsa": ("rsa", ["-c", "64", "-e", "-n"], "full", None),
}
# name: kind of key, connections, goal in bytes of the server's for each
IDLE = {
    "idle_9000": ("ec", 9000, ("user_bytes", 20000)),
    "idle_19000": ("ec", 19000, ("user_bytes", 20000)),
    "idle_2000_rsa": ("rsa", 2000, ("user_bytes", 20000)),
}


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


def fetch(key, name, exe, opt, bench_dir, tmp):
    kind, flags, mode, _ = FETCH[key]
    ca, crt = os.path.join(tmp, kind + "-ca.crt"), os.path.join(tmp, kind)
    if name == "crypto":
        r = net.run_json([exe, mode, "X25519", crt + ".key", os.path.join(tmp, kind + "-ca.key"), str(opt.seconds)], net.UNDER_TEST, what=f"crypto {key}")
        return r and r["cpu_us"]
    with net.Server([os.path.join(bench_dir, "floor-tls-origin"), crt + ".crt", crt + ".key", "1024"], net.OPPOSITE) as s:
        cmd = [exe, "-p", str(s.port), "-s", str(opt.seconds), "-t", ca, *flags]
        if name == "go":
            cmd = [exe, "tls_fetch", "-g", flags[1], "-addr", f"127.0.0.1:{s.port}", "-dur", f"{opt.seconds}s"]
        r = net.run_json(cmd, net.UNDER_TEST, net.env(TLS_MODE=mode, TLS_CA=ca), what=f"{name} {key}")
    return r and r["cpu_us"]


def idle(key, name, exe, opt, bench_dir, tmp):
    kind, conns, _ = IDLE[key]
    crt = os.path.join(tmp, kind)
    cmd = {"floor": [exe, crt + ".crt", crt + ".key", "13"], "openssl": [exe, "-k", crt + ".crt", crt + ".key", "13"],
           "go": [exe, "tls_server"]}.get(name, [exe, "127.0.0.1:0", crt + ".crt", crt + ".key"])
    with net.Server(cmd, net.UNDER_TEST, net.env(TLS_CERT=crt + ".crt", TLS_KEY=crt + ".key")) as s:
        r = net.run_json([os.path.join(bench_dir, "floor-tls-load"), str(s.port), str(conns), "1", str(s.p.pid)], net.OPPOSITE, None, 240, f"{name} {key}")
    return r and r["user_bytes"]


def main():
    opt = net.arguments(__doc__, seconds=0.6, without="go,openssl (which keeps its buffers)").parse_args()
    bench_dir = net.start(opt, "floor-tls-load", "CPU us of the client for a fetch, or bytes of the server for an idle connection "
                          "(ratio to the floor of the same round)")
    if not bench_dir:
        return 2
    at = lambda name: os.path.join(bench_dir, name)
    clients = {"floor": at("floor-tls-client"), "weft": at("http-fetch"), "crypto": at("floor-tls-crypto"), **opt.beside}
    servers = {"floor": at("floor-tls-origin"), "weft": at("http-hello"), **opt.beside}
    if "openssl" not in opt.without:
        servers["openssl"] = at("floor-tls-origin")
    go = net.go_program(opt, bench_dir)
    if go:
        clients["go"] = servers["go"] = go
    rows = []
    with tempfile.TemporaryDirectory() as tmp:
        make_certs(tmp)
        for key in FETCH:
            if opt.only in "tls_" + key:
                rows.append(net.measure("tls_" + key, clients, lambda n, e: fetch(key, n, e, opt, bench_dir, tmp), "cpu_us", FETCH[key][3], opt))
        for key in IDLE:
            if opt.only in "tls_" + key:   # one round: memory differs by less than 1 %, and so many handshakes take their time
                exes = {n: e for n, e in servers.items() if n != "openssl" or key != "idle_19000"}
                rows.append(net.measure("tls_" + key, exes, lambda n, e: idle(key, n, e, opt, bench_dir, tmp), "user_bytes", IDLE[key][2], opt,
                                        memory_rounds=1))
    return net.finish(rows, opt, clients["weft"])


if __name__ == "__main__":
    sys.exit(main())
