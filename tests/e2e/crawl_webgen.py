#!/usr/bin/env python3
"""weft crawl against the synthetic web of ../shared/site/webgen, judged by what that server saw.

Skipped (77) where webgen or a Go compiler is not there. WEFT_BIN names the program. Loopback only."""
import csv, json, os, shutil, socket, subprocess, sys, tempfile, time, urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SRC = os.path.join(ROOT, "..", "shared", "site", "webgen")
WEFT = os.environ.get("WEFT_BIN")


def skip(why):
    print(why)
    sys.exit(77)


if not WEFT or not os.path.exists(WEFT):
    skip("WEFT_BIN names no program")
if not os.path.isdir(SRC) or not shutil.which("go"):
    skip("no ../shared/site/webgen, or no go to build it")
tmp = tempfile.TemporaryDirectory(prefix="weft-webgen-")
gen = os.path.join(tmp.name, "webgen")
built = subprocess.run(["go", "build", "-o", gen, "."], cwd=SRC, env=dict(os.environ, GOFLAGS="-mod=mod", CGO_ENABLED="0"),
                       capture_output=True, text=True, timeout=1500)
if built.returncode:
    skip("webgen does not build here: " + (built.stderr.strip().splitlines() or ["?"])[-1])
failures = 0


def expect(ok, what):
    global failures
    if not ok:
        failures += 1
        print("FAIL", what, flush=True)


def free_ports(n):
    """n ports that nobody has: each is held until all are chosen, or one might be chosen twice."""
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def get(port, path):
    return json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=300))


def serve(web, tls):
    """A web's server, its ports and all its arguments; on other ports where somebody has taken one meanwhile."""
    for _ in range(10):
        port, tls_port = free_ports(2)
        args = ["-port", str(port), *web, *(["-tls-port", str(tls_port), "-ca-out", os.path.join(tmp.name, "ca.pem")] if tls else [])]
        server = subprocess.Popen([gen, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(2400):
            try:
                get(port, "/__stats")
                return server, port, tls_port, args
            except OSError:
                if server.poll() is not None:
                    break
                time.sleep(0.05)
        server.kill()
        server.wait()
    sys.exit("FAIL webgen does not serve")


def crawl(name, web, flags, tls=False):
    """Serve a web, crawl it from the first page of each host; the server's counts, and the rows."""
    server, port, tls_port, args = serve(web, tls)
    try:
        urls = subprocess.run([gen, *args, "-dump", "urls"], capture_output=True, text=True, check=True).stdout.split()
        if tls:
            urls = [u.replace("http:", "https:").replace(f":{port}/", f":{tls_port}/") for u in urls]
            flags = flags + ["--ca", os.path.join(tmp.name, "ca.pem")]
        out = os.path.join(tmp.name, "pages.csv")
        began = time.monotonic()
        r = subprocess.run([WEFT, "crawl", "--allow-private", "--delay", "0", "-o", out, *([] if "--timeout" in flags else ["--timeout", "600s"]), *flags, *[u for u in urls if u.endswith("/p/0")]],
                           capture_output=True, text=True, timeout=1500)
        expect(r.returncode == 0, f"{name}: status {r.returncode}: {r.stderr}")
        rows = list(csv.DictReader(open(out, newline="", encoding="utf-8")))
        print(f"{name}: {len(rows)} rows in {time.monotonic() - began:.1f} s")
        return get(port, "/__stats"), rows, urls
    finally:
        server.kill()
        server.wait()


def judge(name, s):
    t = s["total"]
    for key in ("repeated_pages", "noncanonical", "before_robots_txt", "robots_violations", "crawl_delay_violations"):
        expect(t[key] == 0, f"{name}: {key} is {t[key]}")
    for key in ("offsite_requests", "unknown_host_requests", "bad_requests", "nofollow_followed"):
        expect(s[key] == 0, f"{name}: {key} is {s[key]}")
    expect(s["fake_links_followed"] == {}, f"{name}: followed {s['fake_links_followed']}")
    bad = [u for u in s["other_urls"] if u.startswith("/t/bad/")]
    expect(not bad, f"{name}: fetched {bad}")
    early = {u: x["before_retry_after"] for u, x in s["other_urls"].items() if x.get("before_retry_after")}
    expect(not early, f"{name}: before Retry-After: {early}")


def whole(name, web, flags, tls=False):
    s, rows, urls = crawl(name, web, flags, tls)
    judge(name, s)
    t = s["total"]
    expect((t["distinct_pages"], t["distinct_variants"]) == (s["truth"]["pages"], s["truth"]["variants"]), f"{name}: {t}")
    expect(sorted(r["url"] for r in rows) == sorted(urls), f"{name}: the rows are not the pages")
    expect(all(r["status"] == "200" and r["title"].startswith("Item ") for r in rows), f"{name}: status or title")
    return s


whole("plain", ["-hosts", "20", "-pages", "1000", "-latency", "20ms"], ["-c", "100", "--per-host", "8"])
s = whole("one connection", ["-hosts", "10", "-pages", "300", "-max-per-conn", "7", "-gzip"], ["-c", "50"])
expect(s["total"]["max_inflight"] == 1, f"one connection: {s['total']['max_inflight']} at a time")
whole("https", ["-hosts", "5", "-pages", "200"], ["-c", "50", "--per-host", "2"], tls=True)

# Ten hosts, one of each kind of robots.txt, each with the traps.
s, rows, _ = crawl("traps", ["-hosts", "10", "-pages", "200", "-traps", "-trap-skip", "cal,slow,chain", "-robots", "variants"],
                   ["-c", "100", "--per-host", "4", "--timeout", "10s"])
judge("traps", s)
found = {u for u in s["other_urls"] if u.startswith("/t/ok/")}
for x in ("redir-301", "redir-rel", "flaky-3-c", "retry-date-a", "chunked", "http10", "cl-short", "reset-body", "stall-body", "endless",
          "enc-gzip", "enc-deflate", "header-many", "type-none", "type-xhtml-2", "attachment", "cs-latin1-%C3%A9", "cs-utf16le-%C3%A9",
          "cs-sjis-%E6%9D%B1%E4%BA%AC", "base-late-1", "base-late-2", "ent?c=1&d=2", "manylinks"):
    expect(f"/t/ok/{x}" in found, f"traps: /t/ok/{x} was not found")
titles = {r["url"].split("/t/")[1]: r["title"] for r in rows if "/t/charset/" in r["url"]}
expect(titles.get("charset/latin1") == "Größe latin1" and titles.get("charset/sjis") == "東京", f"traps: titles {titles}")
endless = s["other_urls"].get("/t/endless", {"bytes": 0, "count": 1})
expect(endless["bytes"] / endless["count"] < 32 << 20, f"traps: endless body read to {endless}")
print("all as it should be" if not failures else f"{failures} failures")
sys.exit(1 if failures else 0)
