#!/usr/bin/env python3
"""The HTTP client against other people's servers: nginx, h2o, Go's net/http, Python's http.server, webgen, and sockets that
answer wrongly. What is not installed is left out, and said.

Loopback only. WEFT_BUILD names the build, whose tests/accept_peers fetches what it is told, all with one client. Prints each
failed expectation; ends with 0 or 1."""
import gzip, http.server, os, shutil, socket, ssl, subprocess, sys, tempfile, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXE = os.path.join(os.environ.get("WEFT_BUILD", ""), "tests", "accept_peers")
if not os.path.exists(EXE):
    print("WEFT_BUILD has no tests/accept_peers")
    sys.exit(77)
EXE = os.path.abspath(EXE)
tmp = tempfile.TemporaryDirectory(prefix="weft-peers-")
os.chdir(tmp.name)
BIG = os.urandom(1 << 16) * 20      # 1.25 MiB
TEXT = b"all work and no play\n" * 4000
failures, left_out, running = 0, [], []


def hash_of(b):
    """FNV-1a, as the program has it."""
    h = 2166136261
    for x in b:
        h = (h ^ x) * 16777619 & 0xffffffff
    return h


class Client:
    def __init__(self, *args):
        self.p = subprocess.Popen([EXE, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def get(self, url, method="GET", body="-", ask=0, coded=0):
        """What came: (status or error, version, reused, bytes, hash, end, redirects)."""
        self.p.stdin.write(f"{method} {url} {body} {ask} {coded}\n")
        self.p.stdin.flush()
        *status, version, reused, n, h, end, redirects = self.p.stdout.readline().split()
        status = " ".join(status)
        return (int(status) if status.isdigit() else status, int(version), int(reused), int(n), int(h), int(end), int(redirects))

    def nap(self, ms):
        self.p.stdin.write(f"nap {ms}\n")
        self.p.stdin.flush()

    def close(self):
        self.p.stdin.close()
        if self.p.wait(60) != 0:
            fail(f"accept_peers ended with {self.p.returncode}")


def fail(what):
    global failures
    failures += 1
    print(f"FAIL {what}", flush=True)


def same(what, got, want):
    """want: as got, where None stands for anything."""
    if len(got) != len(want) or any(w is not None and g != w for g, w in zip(got, want)):
        fail(f"{what}: got {got}, want {want}")


def free_ports(n):
    """n ports that nobody has: each is held until all are chosen, or one might be chosen twice."""
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def start(cmd, port, **more):
    """A server's process, once something listens."""
    p = subprocess.Popen(cmd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    running.append(p)
    for _ in range(1200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return True
        if p.poll() is not None:
            left_out.append(f"{os.path.basename(cmd[0])} does not start: {p.stderr.read().decode(errors='replace').strip()[-200:]}")
            return False
        time.sleep(0.05)
    left_out.append(f"{os.path.basename(cmd[0])} does not listen")
    return False


os.mkdir("www")
for name, data in (("hello", b"hello\n"), ("big", BIG), ("text.txt", TEXT), ("empty", b"")):
    with open(f"www/{name}", "wb") as f:
        f.write(data)
HELLO, TEXT_HASH, BIG_HASH = hash_of(b"hello\n"), hash_of(TEXT), hash_of(BIG)


def files(peer, base, client=None, coded=None):
    """What any server of files does alike."""
    c = client or Client()
    same(f"{peer} first", c.get(base + "/hello"), (200, 11, 0, 6, HELLO, 0, 0))
    for _ in range(20):
        same(f"{peer} keep-alive", c.get(base + "/hello"), (200, 11, 1, 6, HELLO, 0, 0))
    same(f"{peer} HEAD", c.get(base + "/big", "HEAD"), (200, 11, 1, 0, None, 0, 0))
    same(f"{peer} empty", c.get(base + "/empty"), (200, 11, 1, 0, None, 0, 0))
    same(f"{peer} big", c.get(base + "/big"), (200, 11, 1, len(BIG), BIG_HASH, 0, 0))
    same(f"{peer} 404", c.get(base + "/none"), (404, 11, 1, None, None, 0, 0))
    same(f"{peer} text", c.get(base + "/text.txt"), (200, 11, 1, len(TEXT), TEXT_HASH, 0, 0))
    if coded:
        raw = c.get(base + "/text.txt", coded=1)
        same(f"{peer} not asked for a coding", raw, (200, 11, None, len(TEXT), TEXT_HASH, 0, 0))
    if not client:
        c.close()


# ---- nginx ----

NGINX = """daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.log; events {{ worker_connections 64; }}
http {{ access_log off; keepalive_timeout 600; default_type text/plain; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b;
fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e; root {dir}/www; gzip on; gzip_types text/plain; gzip_min_length 100;
server {{ listen 127.0.0.1:{port}; listen 127.0.0.1:{tls} ssl; ssl_certificate {dir}/crt; ssl_certificate_key {dir}/key;
location = /204 {{ return 204; }} location = /moved {{ return 302 /hello; }} location = /round {{ return 301 /round; }}
location = /etag {{ return 304; }} location = /post {{ client_max_body_size 9m; return 200 "taken"; }}
location = /small {{ client_max_body_size 1k; proxy_pass http://127.0.0.1:{port}/post; }} }}
server {{ listen 127.0.0.1:{short}; keepalive_timeout 150ms; keepalive_requests 5; }} }}
"""


def certificate():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key", "-out", "crt", "-days",
                    "2", "-subj", "/CN=t", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)


def nginx():
    port, tls, short = free_ports(3)
    certificate()
    with open("nginx.conf", "w") as f:
        f.write(NGINX.format(dir=tmp.name, port=port, tls=tls, short=short))
    if not start(["nginx", "-c", f"{tmp.name}/nginx.conf", "-p", tmp.name, "-e", f"{tmp.name}/nginx.log"], port):
        return
    base = f"http://127.0.0.1:{port}"
    files("nginx", base, coded=True)
    c = Client("crt")
    files("nginx over TLS", f"https://127.0.0.1:{tls}", c)
    same("nginx 204", c.get(base + "/204"), (204, 11, 0, 0, None, 0, 0))
    same("nginx 304", c.get(base + "/etag"), (304, 11, 1, 0, None, 0, 0))
    same("nginx redirect", c.get(base + "/moved"), (200, 11, 1, 6, HELLO, 0, 1))
    if not isinstance(c.get(base + "/round")[0], str):
        fail("nginx: a redirect to itself has an end")
    same("nginx body", c.get(base + "/post", "POST", 100000), (200, 11, None, 5, None, 0, 0))
    same("nginx 100-continue", c.get(base + "/post", "POST", 3000000, ask=1), (200, 11, None, 5, None, 0, 0))
    same("nginx 413, asked", c.get(base + "/small", "POST", 3000000, ask=1), (413, 11, None, None, None, 0, 0))
    same("nginx 413, not asked", c.get(base + "/small", "POST", 8000000), (413, 11, None, None, None, 0, 0))
    base = f"http://127.0.0.1:{short}"
    for i in range(12):                  # nginx says close with every fifth, and closes the others when they are idle
        same("nginx closes", c.get(base + "/hello"), (200, 11, None, 6, HELLO, 0, 0))
        if i % 4 == 3:
            c.nap(400)
    c.close()


# ---- h2o ----

def h2o():
    [port] = free_ports(1)
    with open("h2o.conf", "w") as f:
        f.write(f"num-threads: 1\npid-file: {tmp.name}/h2o.pid\nerror-log: {tmp.name}/h2o.log\nuser: {'root' if os.getuid() == 0 else os.getlogin()}\n"
                f"listen:\n  host: 127.0.0.1\n  port: {port}\ngzip: ON\nhosts:\n  default:\n    paths:\n      /:\n        file.dir: {tmp.name}/www\n"
                "      /moved:\n        redirect: /hello\n")
    if start(["h2o", "-c", "h2o.conf"], port):
        base = f"http://127.0.0.1:{port}"
        files("h2o", base)
        c = Client()
        same("h2o redirect", c.get(base + "/moved"), (200, 11, None, None, None, 0, None))
        c.close()


# ---- Go ----

GO = """package main
import ("io"; "net"; "net/http"; "fmt"; "os"; "compress/gzip")
func main() {
	m := http.NewServeMux()
	m.HandleFunc("/chunks", func(w http.ResponseWriter, r *http.Request) { for i := 0; i < 50; i++ { fmt.Fprintf(w, "piece %d\\n", i); w.(http.Flusher).Flush() } })
	m.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { http.NewResponseController(w).EnableFullDuplex(); io.Copy(w, r.Body) })
	m.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Encoding", "gzip"); g := gzip.NewWriter(w); g.Write([]byte("hello\\n")); g.Close() })
	m.HandleFunc("/refuse", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 413) })
	m.HandleFunc("/204", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	m.HandleFunc("/etag", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) })
	m.HandleFunc("/see", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/hello", 303) })
	m.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("some")); w.(http.Flusher).Flush(); panic(http.ErrAbortHandler) })
	m.HandleFunc("/close", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close"); w.Write([]byte("hello\\n")) })
	m.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Link", "</x>"); w.WriteHeader(103); w.Write([]byte("hello\\n")) })
	m.Handle("/", http.FileServer(http.Dir("www")))
	ln, err := net.Listen("tcp", os.Args[1]); if err != nil { panic(err) }
	http.Serve(ln, m)
}
"""


def go():
    with open("serve.go", "w") as f:
        f.write(GO)
    built = subprocess.run(["go", "build", "-o", "serve", "serve.go"], capture_output=True, text=True, timeout=600, env=dict(os.environ, GOFLAGS="-mod=mod"))
    if built.returncode:
        left_out.append("go does not build: " + built.stderr.strip()[-200:])
        return
    [port] = free_ports(1)
    if not start(["./serve", f"127.0.0.1:{port}"], port):
        return
    base = f"http://127.0.0.1:{port}"
    files("Go", base)
    c = Client()
    pieces = b"".join(b"piece %d\n" % i for i in range(50))
    same("Go chunks", c.get(base + "/chunks"), (200, 11, 0, len(pieces), hash_of(pieces), 0, 0))
    same("Go gzip", c.get(base + "/gzip"), (200, 11, 1, 6, HELLO, 0, 0))
    same("Go 204", c.get(base + "/204"), (204, 11, 1, 0, None, 0, 0))
    same("Go 304", c.get(base + "/etag"), (304, 11, 1, 0, None, 0, 0))
    same("Go 103 first", c.get(base + "/early"), (200, 11, 1, 6, HELLO, 0, 0))
    for n, ask in ((0, 1), (10, 0), (10, 1), (4000000, 0), (4000000, 1)):
        same(f"Go echo {n} {ask}", c.get(base + "/echo", "POST", n, ask), (200, 11, None, n, None, 0, 0))
    same("Go refuses", c.get(base + "/refuse", "POST", 8000000), (413, 11, None, None, None, 0, 0))
    same("Go refuses, asked", c.get(base + "/refuse", "POST", 8000000, 1), (413, 11, None, None, None, 0, 0))
    same("Go 303", c.get(base + "/see", "POST", 10), (200, 11, None, 6, HELLO, 0, 1))
    got = c.get(base + "/abort")
    if got[0] != 200 or got[5] >= 0:
        fail(f"Go abort: a cut body has no error: {got}")
    for _ in range(3):
        same("Go closes", c.get(base + "/close"), (200, 11, None, 6, HELLO, 0, 0))
    c.close()


# ---- Python ----

class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a):
        pass

    def __init__(self, *a, **k):
        super().__init__(*a, directory="www", **k)


class Quiet11(Quiet):
    protocol_version = "HTTP/1.1"


def python():
    for handler in (Quiet, Quiet11):
        s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        s.daemon_threads = True
        threading.Thread(target=s.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{s.server_address[1]}"
        c = Client()
        for i in range(3):               # HTTP/1.0: without keep-alive each answer ends its connection
            same(f"Python {handler.__name__}", c.get(base + "/hello"), (200, 10 if handler is Quiet else 11, int(i > 0 and handler is Quiet11), 6, HELLO, 0, 0))
        same("Python big", c.get(base + "/big"), (200, None, None, len(BIG), BIG_HASH, 0, 0))
        same("Python HEAD", c.get(base + "/big", "HEAD"), (200, None, None, 0, None, 0, 0))
        c.close()
        s.shutdown()


# ---- sockets that answer wrongly ----

class Wrong:
    """Answers request after request of each connection with what `say` gives for its number on that connection and its head; an
    answer of None closes."""

    def __init__(self, say):
        self.ln, self.say, self.conns = socket.create_server(("127.0.0.1", 0)), say, 0
        self.base = f"http://127.0.0.1:{self.ln.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            c, _ = self.ln.accept()
            self.conns += 1
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        with c:
            for number in range(1000):
                head = b""
                while b"\r\n\r\n" not in head:
                    more = c.recv(65536)
                    if not more:
                        return
                    head += more
                out = self.say(number, head)
                if out is None:
                    return
                c.sendall(out)
                if b"Connection: close" in out or b"HTTP/1.0" in out:
                    return


def whole(body=b"hello\n"):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def wrong():
    c = Client()
    # Closed under us, with the request already sent: those that may be repeated are, on a new connection.
    s = Wrong(lambda n, head: whole() if n == 0 else None)
    for i in range(4):
        same("dropped", c.get(s.base), (200, 11, 0, 6, HELLO, 0, 0))
    if s.conns != 4:
        fail(f"dropped: {s.conns} connections")
    got = c.get(s.base, "POST", 3)       # a fresh connection: sent once
    same("dropped POST", got, (200, 11, 0, 6, HELLO, 0, 0))
    # Idle for longer than the look that a kept connection gets, and closed by then.
    s = Wrong(lambda n, head: whole() + (b"" if n == 0 else b"x"))
    same("garbage later", c.get(s.base), (200, 11, 0, 6, HELLO, 0, 0))
    same("garbage behind the answer", c.get(s.base), (200, 11, 1, 6, HELLO, 0, 0))
    same("not used again", c.get(s.base), (200, 11, 0, 6, HELLO, 0, 0))
    # A second answer that nobody asked for must not become the next request's.
    s = Wrong(lambda n, head: whole(b"first\n") + whole(b"other\n"))
    for _ in range(3):
        same("two answers", c.get(s.base), (200, 11, 0, 6, hash_of(b"first\n"), 0, 0))
    # Content-Length too long: an error at the end; too short: the rest is nobody's.
    s = Wrong(lambda n, head: b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nshort")
    got = c.get(s.base)
    if got[0] != 200 or got[5] >= 0:
        fail(f"cut body: {got}")
    s = Wrong(lambda n, head: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello\n")
    for _ in range(2):
        same("short length", c.get(s.base), (200, 11, 0, 2, hash_of(b"he"), 0, 0))
    # HTTP/1.0: until the end of the connection; chunks with extensions; a bad chunk; 204 with a body that may not be.
    s = Wrong(lambda n, head: b"HTTP/1.0 200 OK\r\n\r\nhello\n")
    for _ in range(2):
        same("HTTP/1.0", c.get(s.base), (200, 10, 0, 6, HELLO, 0, 0))
    s = Wrong(lambda n, head: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n3\r\nlo\n\r\n0\r\nT: u\r\n\r\n")
    for i in range(2):
        same("chunks", c.get(s.base), (200, 11, i, 6, HELLO, 0, 0))
    s = Wrong(lambda n, head: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n")
    got = c.get(s.base)
    if got[0] != 200 or got[5] >= 0:
        fail(f"bad chunk: {got}")
    s = Wrong(lambda n, head: b"HTTP/1.1 204 No\r\n\r\n" + b"body!")
    for _ in range(2):
        same("204 with a body", c.get(s.base), (204, 11, 0, 0, None, 0, 0))
    s = Wrong(lambda n, head: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
    if isinstance(c.get(s.base)[0], int):
        fail("two lengths were taken")
    c.close()


# ---- webgen ----

def webgen():
    src = os.path.join(ROOT, "..", "shared", "site", "webgen")
    if not os.path.isdir(src):
        left_out.append("no ../shared/site/webgen")
        return
    built = subprocess.run(["go", "build", "-o", os.path.join(tmp.name, "webgen"), "."], cwd=src, capture_output=True, text=True, timeout=600,
                           env=dict(os.environ, GOFLAGS="-mod=mod", CGO_ENABLED="0"))
    if built.returncode:
        left_out.append("webgen does not build: " + (built.stderr.strip().splitlines() or ["?"])[-1])
        return
    [port] = free_ports(1)
    web = ["-port", str(port), "-hosts", "2", "-pages", "30", "-gzip", "-max-per-conn", "7"]
    if not start(["./webgen", *web], port):
        return
    urls = subprocess.run(["./webgen", *web, "-dump", "urls"], capture_output=True, text=True, check=True).stdout.split()
    c = Client()
    for u in urls:
        same(f"webgen {u}", c.get(u), (200, 11, None, None, None, 0, None))
    c.close()


for need, test in ((("nginx", "openssl"), nginx), (("h2o",), h2o), (("go",), go), ((), python), ((), wrong), (("go",), webgen)):
    missing = [x for x in need if not shutil.which(x)]
    if missing:
        left_out.append(f"no {missing[0]}")
        continue
    before, began, gaps = failures, time.monotonic(), len(left_out)
    test()
    state = "FAIL" if failures != before else "ok  " if len(left_out) == gaps else "--  "
    print(f"{state} {test.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
for p in running:
    p.kill()
    p.wait()
for x in left_out:
    print(f"left out: {x}")
sys.exit(1 if failures else 0)
