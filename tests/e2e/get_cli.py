#!/usr/bin/env python3
"""weft get from the outside: flags, output, cookies, proxy, TLS and exit codes, against small servers in this process.

Loopback only. WEFT_BIN names the program. Prints each failed expectation; ends with 0 or 1."""
import gzip, http.server, os, shutil, socket, ssl, subprocess, sys, tempfile, threading

WEFT = os.environ.get("WEFT_BIN")
if not WEFT or not os.path.exists(WEFT):
    print("WEFT_BIN names no program")
    sys.exit(77)
WEFT = os.path.abspath(WEFT)
tmp = tempfile.TemporaryDirectory(prefix="weft-get-")
os.chdir(tmp.name)
failures = 0


def expect(ok, what):
    global failures
    if not ok:
        failures += 1
        print(f"FAIL {sys._getframe(1).f_code.co_name}: {what}", flush=True)


def same(got, want):
    global failures
    if got != want:
        failures += 1
        print(f"FAIL {sys._getframe(1).f_code.co_name}: got {got!r}, want {want!r}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            out = b""
            while n := int(self.rfile.readline(), 16):
                out += self.rfile.read(n)
                self.rfile.readline()
            self.rfile.readline()
            return out
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def say(self, body, status=200, **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer(self):
        self.server.last = (self.command, self.path, dict(self.headers))
        path = self.path[self.path.index("/", 8):] if self.path.startswith("http://") else self.path
        if path == "/echo":
            b = self.body()
            self.say(f"{self.command} {len(b)} ".encode() + b[:40])
        elif path.startswith("/redirect/"):
            n = int(path[10:])
            self.say(b"moved", 302, Location=f"/redirect/{n - 1}" if n > 1 else "/hello")
        elif path == "/404":
            self.say(b"not here", 404)
        elif path == "/gzip":
            self.say(gzip.compress(b"packed words"), Content_Encoding="gzip")
        elif path == "/cut":
            self.say(b"only this", Content_Length="100")
            self.close_connection = True
        elif path == "/junk":
            self.wfile.write(b"what?\r\n\r\n")
            self.close_connection = True
        elif path == "/slow":
            self.server.stop.wait(600)
            self.close_connection = True
        elif path == "/set":
            self.say(b"set", Set_Cookie="a=1; Path=/; Max-Age=1000")
        elif path == "/big":
            self.say(b"x" * 3000000)
        else:
            self.say(b"hello\n", Content_Type="text/plain")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer


class Site(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.last, self.stop = None, threading.Event()
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.base = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass


site = Site()


def get(*args, stdin=b"", env={}):
    clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return subprocess.run([WEFT, "get", *args], input=stdin, capture_output=True, timeout=300, env=dict(clean, **env))


def dead_port():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))   # bound and never listening: refuses
    return s, s.getsockname()[1]


def the_body_goes_to_standard_output_or_a_file():
    r = get(site.base + "/hello")
    same((r.returncode, r.stdout, r.stderr), (0, b"hello\n", b""))
    r = get("-o", "out", site.base + "/big")
    same((r.returncode, r.stdout), (0, b""))
    same(open("out", "rb").read(), b"x" * 3000000)
    r = get("-o", "nowhere/out", site.base + "/hello")
    same(r.returncode, 10)
    expect(b"nowhere/out" in r.stderr, r.stderr)
    if os.path.exists("/dev/full"):
        same(get("-o", "/dev/full", site.base + "/big").returncode, 10)


def heads_are_shown():
    r = get("-I", site.base + "/hello")
    same(site.last[0], "HEAD")
    expect(r.stdout.startswith(b"HTTP/1.1 200\r\n") and b"Content-Type: text/plain\r\n" in r.stdout, r.stdout)
    expect(r.stdout.endswith(b"\r\n\r\n"), r.stdout)
    r = get("-i", site.base + "/hello")
    expect(r.stdout.endswith(b"\r\n\r\nhello\n"), r.stdout)
    r = get("-v", site.base + "/hello")
    same(r.stdout, b"hello\n")
    expect(b"< HTTP/1.1 200\n" in r.stderr and b"* dns 0.000 ms, connect" in r.stderr and b"total" in r.stderr, r.stderr)


def requests_are_as_asked():
    same(get("-X", "DELETE", site.base + "/echo").stdout, b"DELETE 0 ")
    same(get("-d", "a=b&c", site.base + "/echo").stdout, b"POST 5 a=b&c")
    same(site.last[2].get("Content-Type"), "application/x-www-form-urlencoded")
    open("data", "wb").write(b"from a file")
    same(get("-d@data", "-H", "Content-Type: text/x", "-XPUT", site.base + "/echo").stdout, b"PUT 11 from a file")
    same(site.last[2].get("Content-Type"), "text/x")
    get("-H", "X-One:1", "--header=X-Two: 2", "-A", "me/1", site.base + "/hello")
    h = site.last[2]
    same((h.get("X-One"), h.get("X-Two"), h.get("User-Agent"), h.get("Accept-Encoding")), ("1", "2", "me/1", None))
    get("-A", "", site.base + "/hello")
    same(site.last[2].get("User-Agent"), None)


def uploads_are_streamed():
    open("up", "wb").write(b"u" * 200000)
    same(get("-T", "up", site.base + "/echo").stdout, b"PUT 200000 " + b"u" * 40)
    same(site.last[2].get("Content-Length"), "200000")
    same(get("-T", "-", site.base + "/echo", stdin=b"piped").stdout, b"PUT 5 piped")
    same(site.last[2].get("Transfer-Encoding"), "chunked")
    same(get("-T", "absent", site.base + "/echo").returncode, 10)


def redirects_are_followed_when_asked():
    same(get(site.base + "/redirect/1").stdout, b"moved")
    same(get("-L", site.base + "/redirect/3").stdout, b"hello\n")
    same(get("-L", "--max-redirs", "2", site.base + "/redirect/3").returncode, 9)
    r = get("-Lv", site.base + "/redirect/2")
    same(r.stderr.count(b"* redirect "), 2)


def codings_are_decoded_when_asked():
    same(gzip.decompress(get(site.base + "/gzip").stdout), b"packed words")
    same(get("--compressed", site.base + "/gzip").stdout, b"packed words")
    expect("gzip" in site.last[2].get("Accept-Encoding", ""), site.last)


def cookies_come_and_go():
    get("-b", "x=1; y=2", site.base + "/hello")
    same(site.last[2].get("Cookie"), "x=1; y=2")
    same(get("-c", "jar", site.base + "/set").returncode, 0)
    expect("127.0.0.1\tFALSE\t/\tFALSE\t" in open("jar").read(), open("jar").read())
    get("-b", "jar", "-c", "jar2", site.base + "/hello")
    same(site.last[2].get("Cookie"), "a=1")
    same(open("jar2").read(), open("jar").read())
    get(site.base + "/hello")
    same(site.last[2].get("Cookie"), None)


def proxies_are_used_when_asked():
    get("-x", site.base, "http://nowhere.test/hello")
    same(site.last[1], "http://nowhere.test/hello")
    get("--proxy-env", "http://nowhere.test/env", env={"http_proxy": site.base[7:]})
    same(site.last[1], "http://nowhere.test/env")
    get(site.base + "/direct", env={"http_proxy": "http://127.0.0.1:1"})
    same(site.last[1], "/direct")
    get("-x", "127.0.0.1:1", "--noproxy", "127.0.0.0/8", site.base + "/except")
    same(site.last[1], "/except")
    same(get("-x", "socks4://x", site.base).returncode, 2)


def failures_have_codes_and_words():
    held, port = dead_port()
    for code, args in ((2, []), (2, ["--what", site.base]), (2, [site.base, "two"]), (2, ["-m", "x", site.base]), (2, ["-H", "bad", site.base]),
                       (2, ["-X", "a b", site.base]), (2, ["-I", "-d", "x", site.base]), (3, ["nonsense"]), (3, ["ftp://a/"]),
                       (5, [f"http://127.0.0.1:{port}/"]), (6, ["-m", "0.3", site.base + "/slow"]), (8, [site.base + "/junk"]),
                       (8, [site.base + "/cut"]), (22, ["-f", site.base + "/404"])):
        r = get(*args)
        same((args, r.returncode), (args, code))
        expect(r.stderr.startswith(b"weft get: "), (args, r.stderr))
    held.close()
    same(get(site.base + "/404").stdout, b"not here")
    same(get("-f", site.base + "/404").stdout, b"")
    same(get(site.base + "/cut").stdout, b"only this")
    r = get("--help")
    expect(r.returncode == 0 and b"--max-time" in r.stdout, r)
    expect(b"weft get" in subprocess.run([WEFT, "help"], capture_output=True).stdout, "weft help")


def certificates_are_checked():
    if not shutil.which("openssl"):
        print("no openssl program: certificates_are_checked left out")
        return
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "crt", "-days", "2", "-subj", "/CN=t",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain("crt", "key")
    s = Site(tls)
    same(get("--cacert", "crt", s.base + "/hello").stdout, b"hello\n")
    same(get("-k", s.base + "/hello").stdout, b"hello\n")
    r = get(s.base + "/hello")
    same((r.returncode, r.stdout), (7, b""))
    same(get("--cacert", "crt", s.base.replace("https", "http") + "/hello").returncode, 8)
    get("--cacert", "crt", "-x", s.base, "http://nowhere.test/by-tls")   # a proxy that is spoken to over TLS
    same(s.last[1], "http://nowhere.test/by-tls")
    same(get("-x", s.base, "http://nowhere.test/untrusted").returncode, 7)
    same(s.last[1], "http://nowhere.test/by-tls")


for test in (the_body_goes_to_standard_output_or_a_file, heads_are_shown, requests_are_as_asked, uploads_are_streamed,
             redirects_are_followed_when_asked, codings_are_decoded_when_asked, cookies_come_and_go, proxies_are_used_when_asked,
             failures_have_codes_and_words, certificates_are_checked):
    before = failures
    test()
    print(f"{'ok  ' if failures == before else 'FAIL'} {test.__name__}", flush=True)
site.stop.set()
sys.exit(1 if failures else 0)
