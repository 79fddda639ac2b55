#!/usr/bin/env python3
"""The HTTP client's own TLS 1.3 (docs/adr/0016) against other people's servers: OpenSSL in many settings, GnuTLS, Go, Java, Node, nginx,
h2o. A relay in between reads the hellos of both sides: whose they are, whether a ticket was offered and taken, how many connections it
took. What is not installed is left out, and said.

Loopback only. WEFT_BUILD names the build, whose tests/accept_peers fetches. Prints each failed expectation; ends with 0 or 1."""
import os, shutil, socket, subprocess, sys, tempfile, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXE = os.path.join(os.environ.get("WEFT_BUILD", ""), "tests", "accept_peers")
if not os.path.exists(EXE):
    print("WEFT_BUILD has no tests/accept_peers")
    sys.exit(77)
EXE = os.path.abspath(EXE)
tmp = tempfile.TemporaryDirectory(prefix="weft-tls-peers-")
os.chdir(tmp.name)
failures, left_out, running = 0, [], []
BODY = b"hello\n" * 5000
VERSIONS, SHARE, PSK = 43, 51, 41


def fail(what):
    global failures
    failures += 1
    print(f"FAIL {what}", flush=True)


# ---- the relay ----

def hello_of(first, at):
    """The extensions of a hello that begins at `at` of a record, behind the session's id: type -> content."""
    n = int.from_bytes(first[at:at + 2], "big")
    out, at, end = {}, at + 2, at + 2 + n
    while at + 4 <= end:
        size = int.from_bytes(first[at + 2:at + 4], "big")
        out[int.from_bytes(first[at:at + 2], "big")] = first[at + 4:at + 4 + size]
        at += 4 + size
    return out


def client_hello(r):
    at = 43 + 1 + r[43]
    at += 2 + int.from_bytes(r[at:at + 2], "big")
    return hello_of(r, at + 1 + r[at])


def server_hello(r):
    return hello_of(r, 43 + 1 + r[43] + 3) if len(r) > 43 and r[0] == 22 and r[5] == 2 else {}


class Relay:
    """Listens and passes on to port; seen: a pair (whose hello, ticket) for each connection, "own", "both" (OpenSSL's: 1.3 and 1.2),
    and "none", "offered", "taken"."""

    def __init__(self, port):
        self.to, self.seen, self.ln = port, [], socket.create_server(("127.0.0.1", 0))
        self.port = self.ln.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.ln.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        try:
            s = socket.create_connection(("127.0.0.1", self.to), 20)
        except OSError:
            c.close()
            return
        c.settimeout(20)
        entry = ["?", "none"]
        self.seen.append(entry)

        def pump(a, b, look):
            first = b""
            try:
                while True:
                    data = a.recv(65536)
                    if not data:
                        break
                    if look and len(first) < 5 or look and len(first) < 5 + int.from_bytes(first[3:5], "big"):
                        first += data
                        if len(first) >= 5 and len(first) >= 5 + int.from_bytes(first[3:5], "big"):
                            look(entry, first)
                    b.sendall(data)
                b.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        def mine(entry, r):
            e = client_hello(r)
            entry[0] = "own" if e.get(VERSIONS) == b"\x02\x03\x04" else "both"
            entry[1] = "offered" if PSK in e else "none"

        def theirs(entry, r):
            if PSK in server_hello(r):
                entry[1] = "taken"
        t = threading.Thread(target=pump, args=(c, s, mine), daemon=True)
        t.start()
        pump(s, c, theirs)
        t.join(20)
        c.close()
        s.close()


# ---- the client ----

class Client:
    def __init__(self, ca, **env):
        self.p = subprocess.Popen([EXE, ca], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ, **env))

    def get(self, url):
        """(status or error, bytes)"""
        self.p.stdin.write(f"GET {url} - 0 0\n")
        self.p.stdin.flush()
        *status, _, _, n, _, _, _ = self.p.stdout.readline().split()
        status = " ".join(status)
        return int(status) if status.isdigit() else status, int(n)

    def close(self):
        self.p.stdin.close()
        if self.p.wait(60) != 0:
            fail(f"accept_peers ended with {self.p.returncode}")


def fetch(what, port, want, ca="ec.crt", path="/", calls=3, status=200):
    """calls fetches, a connection each; want: what the relay is to have seen of each."""
    relay, c = Relay(port), Client(ca)
    for _ in range(calls):
        got = c.get(f"https://127.0.0.1:{relay.port}{path}")
        if got[0] != status:
            fail(f"{what}: {got}, want {status}")
        time.sleep(0.05)     # a ticket may come behind the answer
    c.close()
    relay.ln.close()
    seen = [tuple(x) for x in relay.seen]
    if seen != want:
        fail(f"{what}: the relay saw {seen}, want {want}")


FULL, TAKEN, OFFERED, OPENSSL = ("own", "none"), ("own", "taken"), ("own", "offered"), ("both", "none")
RESUMED = [FULL, TAKEN, TAKEN]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(cmd, port, **more):
    """A server's process, once something listens."""
    p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    running.append(p)
    for _ in range(1200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return p
        if p.poll() is not None:
            left_out.append(f"{os.path.basename(cmd[0])} does not start: {p.stderr.read().decode(errors='replace').strip()[-200:]}")
            return None
        time.sleep(0.05)
    left_out.append(f"{os.path.basename(cmd[0])} does not listen")
    return None


def stop(p):
    p.kill()
    p.wait()
    running.remove(p)


def certificate(name, *key):
    subprocess.run(["openssl", "req", "-x509", *key, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2", "-subj", "/CN=t",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)


def curve(name):
    return "-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{name}"


# ---- servers ----

def openssl():
    certificate("rsa", "-newkey", "rsa:2048")
    certificate("pss", "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048")
    certificate("p384", *curve("P-384"))
    certificate("p521", *curve("P-521"))
    certificate("ed", "-newkey", "ed25519")
    certificate("ed448", "-newkey", "ed448")
    own = [FULL] * 3
    left = [FULL, OPENSSL, OPENSSL, OPENSSL]       # ours first, once; then OpenSSL's each time
    cases = [("as it is", "ec", [], RESUMED), ("RSA", "rsa", [], RESUMED), ("RSA-PSS", "pss", [], RESUMED), ("P-384", "p384", [], RESUMED),
             ("P-521", "p521", [], RESUMED), ("Ed25519", "ed", [], RESUMED), ("Ed448", "ed448", [], RESUMED),
             ("AES-256", "ec", ["-ciphersuites", "TLS_AES_256_GCM_SHA384"], RESUMED),
             ("ChaCha20", "ec", ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], RESUMED), ("four tickets", "ec", ["-num_tickets", "4"], RESUMED),
             ("no tickets", "ec", ["-num_tickets", "0"], own), ("no box in between", "ec", ["-no_middlebox"], RESUMED),
             ("records of 512", "rsa", ["-max_send_frag", "512", "-split_send_frag", "512"], RESUMED), ("padded", "ec", ["-record_padding", "500"], RESUMED),
             ("TLS 1.2", "ec", ["-tls1_2"], [FULL, OPENSSL, ("both", "none"), ("both", "none")]), ("P-256 only", "ec", ["-groups", "P-256"], None),
             ("P-256 first", "ec", ["-groups", "P-256:X25519", "-serverpref"], None)]
    for what, key, args, want in cases:
        port = free_port()
        p = start(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", f"{key}.crt", "-key", f"{key}.key", "-www", "-quiet", *args], port)
        if not p:
            continue
        if want is not None:
            fetch(f"OpenSSL, {what}", port, want, f"{key}.crt")
        elif what == "P-256 only":                 # a second hello is asked for: OpenSSL gives it, and resumes by itself from then on
            fetch(f"OpenSSL, {what}", port, [FULL, OPENSSL, ("both", "offered"), ("both", "offered")], f"{key}.crt")
        else:                                      # X25519's share is there, so no server asks again
            fetch(f"OpenSSL, {what}", port, RESUMED, f"{key}.crt")
        stop(p)
    # A certificate of the client's is asked for (and not needed): OpenSSL's business.
    port = free_port()
    p = start(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", "ec.crt", "-key", "ec.key", "-www", "-quiet", "-verify", "1"], port)
    if p:
        fetch("OpenSSL, asks for a certificate", port, [FULL, OPENSSL, ("both", "taken"), ("both", "taken")])
        stop(p)
    # Not the authority that is trusted: the same error as OpenSSL's own, and no third connection for a call.
    port = free_port()
    p = start(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", "ec.crt", "-key", "ec.key", "-www", "-quiet"], port)
    if p:
        c = Client("rsa.crt", WEFT_TLS="openssl")
        words = c.get(f"https://127.0.0.1:{port}/")[0]
        c.close()
        fetch("OpenSSL, not trusted", port, left[:3], "rsa.crt", calls=2, status=words)
        stop(p)
    # A server that has forgotten its tickets' keys: a full handshake on the same connection.
    port = free_port()
    cmd = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", "ec.crt", "-key", "ec.key", "-www", "-quiet"]
    p = start(cmd, port)
    if p:
        relay, c = Relay(port), Client("ec.crt")
        c.get(f"https://127.0.0.1:{relay.port}/")
        time.sleep(0.1)
        stop(p)
        p = start(cmd, port)
        for _ in range(2):
            got = c.get(f"https://127.0.0.1:{relay.port}/")
            if got[0] != 200:
                fail(f"OpenSSL, new keys: {got}")
            time.sleep(0.05)
        c.close()
        if [tuple(x) for x in relay.seen] != [FULL, OFFERED, TAKEN]:
            fail(f"OpenSSL, new keys: the relay saw {relay.seen}")
        if p:
            stop(p)


def gnutls():
    for what, args, want in (("as it is", [], RESUMED), ("no tickets", ["--noticket"], [FULL] * 3),
                             ("ChaCha20", ["--priority", "NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305"], RESUMED),
                             ("TLS 1.2", ["--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2"], [FULL, OPENSSL, ("both", "none"), ("both", "none")])):
        port = free_port()
        p = start(["gnutls-serv", "--http", "-q", "-p", str(port), "--x509certfile", "ec.crt", "--x509keyfile", "ec.key", "--disable-client-cert", *args], port)
        if p:
            fetch(f"GnuTLS, {what}", port, want)
            stop(p)


def go():
    with open("serve.go", "w") as f:
        f.write("""package main
import ("net/http"; "os"; "strings")
func main() {
	s := &http.Server{Addr: os.Args[1], Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(strings.Repeat("hello\\n", 5000))) })}
	s.SetKeepAlivesEnabled(false)
	panic(s.ListenAndServeTLS(os.Args[2]+".crt", os.Args[2]+".key"))
}
""")
    built = subprocess.run(["go", "build", "-o", "serve", "serve.go"], capture_output=True, text=True, timeout=600, env=dict(os.environ, GOFLAGS="-mod=mod"))
    if built.returncode:
        left_out.append("go does not build: " + built.stderr.strip()[-200:])
        return
    for key in ("ec", "rsa", "ed"):
        port = free_port()
        p = start(["./serve", f"127.0.0.1:{port}", key], port)
        if p:
            fetch(f"Go, {key}", port, RESUMED, f"{key}.crt")
            stop(p)


def java():
    subprocess.run(["openssl", "pkcs12", "-export", "-in", "ec.crt", "-inkey", "ec.key", "-out", "ec.p12", "-passout", "pass:weft12"], check=True, capture_output=True)
    with open("Serve.java", "w") as f:
        f.write("""import com.sun.net.httpserver.*; import java.io.*; import java.net.*; import java.security.*; import javax.net.ssl.*;
public class Serve { public static void main(String[] a) throws Exception {
  KeyStore k = KeyStore.getInstance("PKCS12"); k.load(new FileInputStream("ec.p12"), "weft12".toCharArray());
  KeyManagerFactory m = KeyManagerFactory.getInstance("SunX509"); m.init(k, "weft12".toCharArray());
  SSLContext c = SSLContext.getInstance("TLS"); c.init(m.getKeyManagers(), null, null);
  HttpsServer s = HttpsServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(a[0])), 0);
  s.setHttpsConfigurator(new HttpsConfigurator(c));
  s.createContext("/", x -> { byte[] b = "hello\\n".repeat(5000).getBytes(); x.getResponseHeaders().set("Connection", "close");
    x.sendResponseHeaders(200, b.length); x.getResponseBody().write(b); x.close(); });
  s.start(); } }
""")
    port = free_port()
    p = start(["java", "Serve.java", str(port)], port)
    if p:
        fetch("Java", port, RESUMED)
        stop(p)


def node():
    with open("serve.js", "w") as f:
        f.write("""const fs = require('fs');
require('https').createServer({key: fs.readFileSync('ec.key'), cert: fs.readFileSync('ec.crt')}, (q, r) => {
  r.setHeader('Connection', 'close'); r.end('hello\\n'.repeat(5000)); }).listen(+process.argv[2], '127.0.0.1');
""")
    port = free_port()
    p = start(["node", "serve.js", str(port)], port)
    if p:
        fetch("Node", port, RESUMED)
        stop(p)


def nginx():
    port = free_port()
    os.makedirs("www", exist_ok=True)
    with open("www/big", "wb") as f:
        f.write(BODY * 40)
    with open("nginx.conf", "w") as f:
        f.write(f"daemon off; master_process off; pid {tmp.name}/nginx.pid; error_log {tmp.name}/nginx.log; events {{ worker_connections 64; }}\n"
                f"http {{ access_log off; keepalive_timeout 0; client_body_temp_path {tmp.name}/a; proxy_temp_path {tmp.name}/b; fastcgi_temp_path {tmp.name}/c;\n"
                f"uwsgi_temp_path {tmp.name}/d; scgi_temp_path {tmp.name}/e; root {tmp.name}/www; server {{ listen 127.0.0.1:{port} ssl;\n"
                f"ssl_certificate {tmp.name}/ec.crt; ssl_certificate_key {tmp.name}/ec.key; ssl_protocols TLSv1.2 TLSv1.3; }} }}\n")
    p = start(["nginx", "-c", f"{tmp.name}/nginx.conf", "-p", tmp.name, "-e", f"{tmp.name}/nginx.log"], port)
    if p:
        fetch("nginx", port, RESUMED, path="/big")
        stop(p)


def h2o():
    port = free_port()
    os.makedirs("www", exist_ok=True)
    with open("www/big", "wb") as f:
        f.write(BODY * 40)
    with open("h2o.conf", "w") as f:
        f.write(f"num-threads: 1\npid-file: {tmp.name}/h2o.pid\nerror-log: {tmp.name}/h2o.log\nuser: {'root' if os.getuid() == 0 else os.getlogin()}\n"
                f"listen:\n  host: 127.0.0.1\n  port: {port}\n  ssl:\n    certificate-file: {tmp.name}/ec.crt\n"
                f"    key-file: {tmp.name}/ec.key\nhosts:\n  default:\n    paths:\n      /:\n        file.dir: {tmp.name}/www\n")
    p = start(["h2o", "-c", "h2o.conf"], port)
    if p:
        fetch("h2o", port, [FULL], path="/big")      # one connection, which it keeps
        stop(p)


certificate("ec", *curve("P-256"))
for need, test in (("openssl", openssl), ("gnutls-serv", gnutls), ("go", go), ("java", java), ("node", node), ("nginx", nginx), ("h2o", h2o)):
    if not shutil.which(need):
        left_out.append(f"no {need}")
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
