#!/usr/bin/env python3
"""e2e/h2.py - the HTTP/2 server asked by other programs' clients: curl, h2load, Go's net/http, Python's httpx.

Each over cleartext by prior knowledge and over TLS by ALPN. What is not installed is named and left out; without curl the
whole test is skipped. Then SIGTERM: the server ends in good order.
"""
import os, shutil, sys, tempfile

from ending import ask_to_end, check, ended, failed, run, start

BUILD = os.environ.get("WEFT_BUILD", "build/release-gcc")
HERE = os.path.dirname(os.path.abspath(__file__))

class Site:
    def __init__(self, cert=None, key=None):
        args = [cert, key] if cert else []
        self.p = start(os.path.join(BUILD, "tests", "prog_h2_site"), *args)
        addr = self.p.stdout.readline().split()[1]
        self.ca = cert
        self.url = ("https://" if cert else "http://") + addr

    def stop(self):
        ask_to_end(self.p)
        status = ended(self.p, 120)
        check(status == 0, "shutdown", f"status {status}")


def certificate(d):
    cert, key = os.path.join(d, "crt"), os.path.join(d, "key")
    r = run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=weft test",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert])
    return (cert, key) if r.returncode == 0 else (None, None)


def by_curl(site, tmp):
    name = "curl, TLS" if site.ca else "curl"
    base = ["curl", "-s", "-S", "--http2", "--cacert", site.ca] if site.ca else ["curl", "-s", "-S", "--http2-prior-knowledge"]

    def curl(*args):
        r = run([*base, *args])
        return r.stdout if r.returncode == 0 else b"curl: " + r.stderr

    check(curl(site.url + "/version") == b"20\n", f"{name}: version", curl(site.url + "/version"))
    check(curl("-o", "/dev/null", "-w", "%{http_version} %{response_code} %{size_download}", site.url + "/big/5000000") == b"2 200 5000000", f"{name}: big")
    check(curl("-I", site.url + "/hello").startswith(b"HTTP/2 200"), f"{name}: head")
    check(curl("-o", "/dev/null", "-w", "%{response_code}", site.url + "/none") == b"404", f"{name}: 404")
    data = os.path.join(tmp, "data")
    with open(data, "wb") as f:
        f.write(os.urandom(3000000))
    for how in ([], ["-H", "Expect: 100-continue"]):
        check(curl(*how, "--data-binary", "@" + data, site.url + "/echo") == open(data, "rb").read(), f"{name}: echo {how}")
    check(b"x-sum: 42" in curl("-i", site.url + "/trailers"), f"{name}: trailers")
    if site.ca:     # without TLS curl 7.88 fails here with any server, nghttpd too: "Error in the HTTP2 framing layer"
        many = curl("--parallel", "--parallel-max", "50", *[site.url + "/hello"] * 100)
        check(many == b"hello\n" * 100, f"{name}: 100 in parallel", many[:200])
    one = ["curl", "-s", "--http1.1", *(["--cacert", site.ca] if site.ca else []), site.url + "/version"]
    check(run(one).stdout == b"11\n", f"{name}: HTTP/1.1 as well")


def by_h2load(site):
    for clients, streams in (64, 1), (16, 32):
        out = run(["h2load", "-n", "6400", "-c", str(clients), "-m", str(streams), site.url + "/hello"], text=True).stdout
        check("status codes: 6400 2xx" in out, f"h2load {clients}x{streams} {site.url[:5]}", out[-400:])


def by_go(site, exe):
    r = run([exe, site.url, *([site.ca] if site.ca else [])], text=True)
    check(r.returncode == 0, f"go {site.url[:5]}", r.stdout + r.stderr)


HTTPX = """
import asyncio, sys, httpx
url, ca = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else True
async def main():
    async with httpx.AsyncClient(http2=True, http1=False, verify=ca, timeout=60) as c:
        got = await asyncio.gather(*[c.get(url + "/version") for _ in range(50)])
        assert all(r.text == "20\\n" and r.http_version == "HTTP/2" for r in got)
        r = await c.post(url + "/echo", content=b"0123456789" * 100000)
        assert r.content == b"0123456789" * 100000
        r = await c.get(url + "/big/1000000")
        assert len(r.content) == 1000000
asyncio.run(main())
"""


def by_httpx(site, python):
    r = run([python, "-c", HTTPX, site.url, *([site.ca] if site.ca else [])], text=True)
    check(r.returncode == 0, f"httpx {site.url[:5]}", r.stderr[-600:])


def main():
    if not os.path.exists(os.path.join(BUILD, "tests", "prog_h2_site")):
        sys.exit("h2: prog_h2_site is not built")
    if not shutil.which("curl") or b"HTTP2" not in run(["curl", "--version"]).stdout:
        print("skipped: no curl with HTTP/2 (scripts/setup test)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as tmp:
        cert, key = certificate(tmp) if shutil.which("openssl") else (None, None)
        go = None
        if shutil.which("go"):
            go = os.path.join(tmp, "go_h2")
            env = dict(os.environ, GOFLAGS="-mod=mod", GO111MODULE="off", GOTOOLCHAIN="local")
            r = run(["go", "build", "-o", go, os.path.join(HERE, "go_h2", "main.go")], env=env, text=True)
            if r.returncode:
                print("without Go:", r.stderr.strip()[:200])
                go = None
        # Debian's package is for Debian's python3, which may not be the first in PATH
        python = next((py for py in (sys.executable, "/usr/bin/python3") if run([py, "-c", "import httpx, h2"]).returncode == 0), None)
        print("clients: curl", "h2load" if shutil.which("h2load") else "(no h2load)", "go" if go else "(no go)",
              "httpx" if python else "(no httpx)", "" if cert else "(no TLS: openssl is missing)")
        for site in [Site()] + ([Site(cert, key)] if cert else []):
            by_curl(site, tmp)
            if shutil.which("h2load"):
                by_h2load(site)
            if go:
                by_go(site, go)
            if python:
                by_httpx(site, python)
            site.stop()
    print(f"{len(failed)} failures" if failed else "fine")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
