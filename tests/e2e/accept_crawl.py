#!/usr/bin/env python3
"""First light, items 2 and 3: weft crawl on a real documentation set, on webgen, and beside the Go program.

usage: accept_crawl.py [docs | webgen | list] ...     all three without an argument. WEFT_BIN names the program.

docs    python3-doc, served by nginx over HTTP and HTTPS (a CA of its own): the set of URLs fetched equals that of an
        independent crawl (html.parser, below), and nginx's log shows each of them once.
webgen  200 hosts, 20,000 pages, 50 ms latency: the URLs of `-dump urls` and nothing else; the server's counters.
list    10,000 URLs at -c 1000, beside goplain plain and tuned: rows, wall time, CPU (user + sys of the process) a fetch.
        By turns, median of 5.

Needs nginx, openssl, python3-doc (apt), go, ../shared. Loopback only; every server is a child and is stopped by pid.
Not part of `make test`: `make accept`. Status 0 when all holds."""
import collections, csv, html.parser, http.client, json, os, shutil, socket, ssl, statistics, subprocess, sys, tempfile, time
import urllib.parse, urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.path.join(ROOT, "..", "shared")
WEFT = os.environ.get("WEFT_BIN") or os.path.join(ROOT, "build/release-gcc/crawl/weft")
ROUNDS = int(os.environ.get("ROUNDS", "5"))
failures = 0


def expect(ok, what):
    global failures
    print(("  ok   " if ok else "  FAIL ") + what, flush=True)
    failures += not ok


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def measured(cmd, timeout=600, **more):
    """Runs cmd; (status, wall s, cpu s, stderr). CPU is user + sys of that process alone."""
    with tempfile.TemporaryFile() as err:
        began = time.monotonic()
        p = subprocess.Popen(cmd, stderr=err, **more)
        while True:
            pid, status, usage = os.wait4(p.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - began > timeout:
                p.kill()
            time.sleep(0.005)
        wall = time.monotonic() - began
        p.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        return p.returncode, wall, usage.ru_utime + usage.ru_stime, err.read().decode(errors="replace")


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


# ---- the independent crawl ----

class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.base = [], None

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag == "base" and a.get("href") and self.base is None:
            self.base = a["href"]
        if tag in ("a", "area") and a.get("href") is not None and "nofollow" not in (a.get("rel") or "").lower().split():
            self.found.append(a["href"])


def python_crawl(start, context=None):
    """Every URL of start's host that links lead to, as {url: status}."""
    host = urllib.parse.urlsplit(start).netloc
    conn = http.client.HTTPSConnection(host, context=context) if start.startswith("https") else http.client.HTTPConnection(host)
    seen, queue = {start: None}, collections.deque([start])
    while queue:
        url = queue.popleft()
        parts = urllib.parse.urlsplit(url)
        conn.request("GET", (parts.path or "/") + ("?" + parts.query if parts.query else ""))
        r = conn.getresponse()
        body = r.read()
        seen[url] = r.status
        new = []
        if r.status in (301, 302, 303, 307, 308):
            new = [r.headers["Location"]]
        elif r.status == 200 and r.headers.get_content_type() == "text/html":
            p = Links()
            p.feed(body.decode("utf-8", "replace"))
            base = urllib.parse.urljoin(url, p.base) if p.base else url
            new = [urllib.parse.urljoin(base, h.strip()) for h in p.found]
        for u in new:
            u = urllib.parse.urldefrag(u)[0]
            if urllib.parse.urlsplit(u).netloc == host and u.split(":")[0] == start.split(":")[0] and u not in seen:
                seen[u] = None
                queue.append(u)
    conn.close()
    return seen


# ---- docs ----

def make_ca(tmp):
    """ca.pem, and server.pem with server.key for 127.0.0.1, signed by it."""
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=tmp, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=accept CA",
            "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    with open(os.path.join(tmp, "ext"), "w") as f:
        f.write("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.pem", "-days", "2",
            "-extfile", "ext")


def start_nginx(tmp, root, port, tls_port):
    for d in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        os.makedirs(os.path.join(tmp, d))
    temp = "".join(f"{k}_temp_path {tmp}/{d};" for k, d in (("client_body", "body"), ("proxy", "proxy"), ("fastcgi", "fastcgi"),
                                                            ("uwsgi", "uwsgi"), ("scgi", "scgi")))
    conf = f"""daemon off; master_process off; pid {tmp}/pid; error_log {tmp}/error.log;
events {{ worker_connections 4096; }}
http {{ include /etc/nginx/mime.types; default_type text/plain; {temp} keepalive_requests 1000000;
  log_format one '$scheme $status $request_uri'; access_log {tmp}/access.log one;
  server {{ listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl; server_name 127.0.0.1; root {root}; index index.html;
    ssl_certificate {tmp}/server.pem; ssl_certificate_key {tmp}/server.key; }} }}
"""
    with open(os.path.join(tmp, "nginx.conf"), "w") as f:
        f.write(conf)
    p = subprocess.Popen(["nginx", "-p", tmp, "-c", os.path.join(tmp, "nginx.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_port(port)
    return p


def docs_root():
    for d in ("/usr/share/doc/python3.11/html", "/usr/share/doc/python3/html"):
        if os.path.exists(os.path.join(d, "index.html")):
            return os.path.realpath(d)
    raise SystemExit("docs: apt-get install python3-doc")


def docs():
    tmp = tempfile.mkdtemp(prefix="weft-docs-")
    os.chmod(tmp, 0o755)
    port, tls_port, root = free_port(), free_port(), docs_root()
    make_ca(tmp)
    nginx = start_nginx(tmp, root, port, tls_port)
    log = os.path.join(tmp, "access.log")
    try:
        for scheme, p in (("http", port), ("https", tls_port)):
            start = f"{scheme}://127.0.0.1:{p}/index.html"
            context = ssl.create_default_context(cafile=os.path.join(tmp, "ca.pem")) if scheme == "https" else None
            began = time.monotonic()
            theirs = python_crawl(start, context)
            print(f"docs {scheme}: {len(theirs)} URLs below {root} by html.parser in {time.monotonic() - began:.1f} s")
            open(log, "w").close()
            out = os.path.join(tmp, f"{scheme}.csv")
            flags = ["--ca", os.path.join(tmp, "ca.pem")] if scheme == "https" else []
            status, wall, cpu, err = measured([WEFT, "crawl", "--allow-private", "--delay", "0", "--per-host", "8", "-o", out, *flags, start],
                                              stdout=subprocess.DEVNULL)
            expect(status == 0, f"weft crawl ends with 0 (it is {status}) {err.strip()[-300:] if status else ''}")
            ours = rows_of(out)
            names = [r["url"] for r in ours]
            expect(len(names) == len(set(names)), "no URL has two rows")
            missing, extra = set(theirs) - set(names), set(names) - set(theirs)
            expect(not missing, f"every page that links reach is there ({len(missing)} missing: {sorted(missing)[:3]})")
            expect(not extra, f"nothing else is ({len(extra)} more: {sorted(extra)[:3]})")
            differ = [r["url"] for r in ours if r["url"] in theirs and r["status"] != str(theirs[r["url"]])]
            expect(not differ, f"each has the same status ({len(differ)} differ: {differ[:3]})")
            fetched = collections.Counter(l.split(" ", 2)[2] for l in open(log).read().splitlines() if l.startswith(scheme + " "))
            fetched.pop("/robots.txt", None)
            twice = [u for u, n in fetched.items() if n > 1]
            expect(not twice, f"nginx was asked once for each ({len(twice)} more often: {twice[:3]})")
            expect(len(fetched) == len(theirs), f"nginx saw {len(fetched)} URLs")
            print(f"docs {scheme}: weft crawl: {len(names)} rows, {wall:.2f} s, CPU {cpu * 1000 / max(1, len(names)):.3f} ms a page")
    finally:
        nginx.terminate()
        nginx.wait()
        shutil.rmtree(tmp, ignore_errors=True)


# ---- webgen ----

def build_go(src, tmp, name):
    exe = os.path.join(tmp, name)
    r = subprocess.run(["go", "build", "-o", exe, "."], cwd=os.path.join(SHARED, src), capture_output=True, text=True, timeout=600,
                       env=dict(os.environ, GOFLAGS="-mod=mod"))
    if r.returncode:
        raise SystemExit(f"{name} does not build: {r.stderr.strip()[-400:]}")
    return exe


def get_json(port, path):
    return json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30))


def webgen():
    tmp = tempfile.mkdtemp(prefix="weft-webgen-")
    gen, port = build_go("site/webgen", tmp, "webgen"), free_port()
    web = ["-port", str(port), "-hosts", "200", "-pages", "20000", "-latency", "50ms"]
    urls = subprocess.run([gen, *web, "-dump", "urls"], capture_output=True, text=True, check=True).stdout.split()
    server = subprocess.Popen([gen, *web], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_port(port)
        get_json(port, "/__stats")
        out = os.path.join(tmp, "pages.csv")
        starts = [u for u in urls if u.endswith("/p/0")]
        status, wall, cpu, err = measured([WEFT, "crawl", "--allow-private", "--delay", "0", "-c", "200", "-o", out, *starts],
                                          stdout=subprocess.DEVNULL)
        expect(status == 0, f"weft crawl ends with 0 (it is {status}) {err.strip()[-300:] if status else ''}")
        names = [r["url"] for r in rows_of(out)]
        expect(len(names) == len(set(names)) and set(names) == set(urls),
               f"all {len(urls)} URLs and no others ({len(set(urls) - set(names))} missing, {len(set(names) - set(urls))} more)")
        total = get_json(port, "/__stats")["total"]
        for key in ("repeated_pages", "noncanonical", "robots_violations", "before_robots_txt"):
            expect(total[key] == 0, f"{key} is {total[key]}")
        fake = total.get("fake_links_followed")
        fake = get_json(port, "/__stats").get("fake_links_followed") if fake is None else fake
        expect(not fake, f"fake_links_followed is {fake or 0}")
        print(f"webgen: {len(names)} pages in {wall:.2f} s ({len(names) / wall:.0f} a second), CPU {cpu * 1000 / max(1, len(names)):.3f} ms a page")
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(tmp, ignore_errors=True)


# ---- list ----

def list_bench():
    n, workers = 10000, 1000
    tmp = tempfile.mkdtemp(prefix="weft-list-")
    gen, goplain = build_go("site/webgen", tmp, "webgen"), build_go("bench/crawl/goplain", tmp, "goplain")
    port = free_port()
    web = ["-port", str(port), "-hosts", "200", "-pages", "20000"]
    urls = subprocess.run([gen, *web, "-dump", "urls"], capture_output=True, text=True, check=True).stdout.split()
    step = len(urls) // n
    lst = os.path.join(tmp, "urls.txt")
    with open(lst, "w") as f:
        f.write("\n".join(urls[::step][:n]) + "\n")
    server = subprocess.Popen([gen, *web], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    out = os.path.join(tmp, "out.csv")
    contestants = {
        "weft crawl": [WEFT, "crawl", "--allow-private", "--delay", "0", "--per-host", "5", "-c", str(workers), "-o", out, "--list", lst],
        "goplain -tuned": [goplain, "-tuned", "-n", str(workers), "-list", lst],
        "goplain": [goplain, "-n", str(workers), "-list", lst],
    }
    res = {k: [] for k in contestants}
    try:
        wait_port(port)
        load0 = os.getloadavg()[0]
        for _ in range(ROUNDS):
            for name, cmd in contestants.items():
                with open(out if name != "weft crawl" else os.devnull, "w") as f:
                    status, wall, cpu, err = measured(cmd, stdout=f)
                if name == "weft crawl":
                    rows = [r["status"] for r in rows_of(out)]
                else:
                    rows = [l.rsplit(",", 2)[1] for l in open(out).read().splitlines()]
                good = sum(s == "200" for s in rows)
                res[name].append((wall, cpu))
                if status != 0 or len(rows) != n or good != n:
                    expect(False, f"{name}: status {status}, {len(rows)} rows, {good} of them 200; {err.strip()[-200:]}")
        expect(True, f"each program gave {n} rows in each of {ROUNDS} rounds") if not failures else None
        print(f"list: {n} URLs of 200 hosts, -c {workers}, by turns, median of {ROUNDS}, {os.cpu_count()} CPUs shared with the server, "
              f"load {load0:.1f} to {os.getloadavg()[0]:.1f}")
        med = {}
        for name, runs in res.items():
            wall, cpu = (statistics.median(x) for x in zip(*runs))
            med[name] = cpu
            lo, hi = min(c for _, c in runs), max(c for _, c in runs)
            print(f"  {name:15} wall {wall * 1000:8.0f} ms  CPU a fetch {cpu / n * 1000:.4f} ms ({lo / n * 1000:.4f} .. {hi / n * 1000:.4f})")
        ratio = med["weft crawl"] / med["goplain -tuned"]
        expect(ratio < 1, f"CPU a fetch, weft / tuned Go: {ratio:.2f}; weft / plain Go: {med['weft crawl'] / med['goplain']:.2f}")
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(tmp, ignore_errors=True)


def main():
    parts = {"docs": docs, "webgen": webgen, "list": list_bench}
    chosen = sys.argv[1:] or list(parts)
    if any(c not in parts for c in chosen):
        raise SystemExit(__doc__)
    if not os.access(WEFT, os.X_OK):
        raise SystemExit(f"{WEFT} is not there: make build, or WEFT_BIN")
    for c in chosen:
        parts[c]()
    print(f"{failures} failures" if failures else "all holds")
    return 1 if failures else 0


sys.exit(main())
