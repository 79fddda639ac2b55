#!/usr/bin/env python3
"""e2e/clients.py - the HTTP/1.1 server asked by other programs' clients: curl, wrk, h2load, Go's net/http, Python's httpx.

What is not installed is named and left out; without curl the whole test is skipped. HTTP/2: e2e/h2.py. Loopback only.
"""
import os, re, shutil, sys, tempfile

from ending import ask_to_end, check, ended, failed, run, start

BUILD = os.environ.get("WEFT_BUILD", "build/release-gcc")
PROG = os.path.join(BUILD, "tests", "prog_abuse_site")
HERE = os.path.dirname(os.path.abspath(__file__))

def by_curl(url, tmp):
    def curl(*args):
        r = run(["curl", "-s", "-S", "--http1.1", *args])
        return r.stdout if r.returncode == 0 else b"curl: " + r.stderr

    check(curl(url + "/hello", url + "/hello") == b"hello\nhello\n", "curl: a kept connection")
    check(curl("-o", "/dev/null", "-w", "%{http_version} %{response_code} %{size_download}", url + "/big/5000000") == b"1.1 200 5000000", "curl: big")
    check(curl("-I", url + "/hello").startswith(b"HTTP/1.1 200"), "curl: head")
    check(curl("-0", url + "/hello") == b"hello\n", "curl: HTTP/1.0")
    check(curl("-o", "/dev/null", "-w", "%{response_code}", url + "/none") == b"404", "curl: 404")
    data = os.path.join(tmp, "data")
    with open(data, "wb") as f:
        f.write(os.urandom(3000000))
    for how in ([], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"], ["-X", "PUT"]):
        check(curl(*how, "--data-binary", "@" + data, url + "/echo") == open(data, "rb").read(), f"curl: echo {how}")
    many = curl("--parallel", "--parallel-max", "50", *[url + "/hello"] * 100)
    check(many == b"hello\n" * 100, "curl: 100 in parallel", many[:200])


def by_wrk(url):
    out = run(["wrk", "-t1", "-c50", "-d1s", "--timeout", "60s", url + "/hello"], text=True).stdout
    done = re.search(r"(\d+) requests in", out)
    check(done and int(done.group(1)) > 0 and "Socket errors" not in out and "Non-2xx" not in out, "wrk", out)
    pipeline = 'init = function(a) local r = {} for i = 1, 16 do r[i] = wrk.format("GET", "/hello") end rq = table.concat(r) end request = function() return rq end'
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as f:
        f.write(pipeline)
        f.flush()
        out = run(["wrk", "-t1", "-c50", "-d1s", "--timeout", "60s", "-s", f.name, url], text=True).stdout
    done = re.search(r"(\d+) requests in", out)
    check(done and int(done.group(1)) > 0 and "Socket errors" not in out and "Non-2xx" not in out, "wrk, pipelined", out)


def by_h2load(url):
    out = run(["h2load", "--h1", "-n", "6400", "-c", "64", url + "/hello"], text=True).stdout
    check("status codes: 6400 2xx" in out, "h2load --h1", out[-400:])


HTTPX = """
import asyncio, sys, httpx
url = sys.argv[1]
async def chunks():
    for i in range(100):
        yield b"0123456789" * 100
async def main():
    async with httpx.AsyncClient(timeout=60) as c:
        got = await asyncio.gather(*[c.get(url + "/hello") for _ in range(50)])
        assert all(r.text == "hello\\n" and r.http_version == "HTTP/1.1" for r in got)
        r = await c.post(url + "/echo", content=b"0123456789" * 100000)
        assert r.content == b"0123456789" * 100000
        r = await c.post(url + "/echo", content=chunks())
        assert r.content == b"0123456789" * 10000
        async with c.stream("GET", url + "/big/1000000") as r:
            assert sum([len(b) async for b in r.aiter_bytes()]) == 1000000
        assert (await c.get(url + "/none")).status_code == 404
asyncio.run(main())
"""


def main():
    if not os.path.exists(PROG):
        sys.exit("clients: prog_abuse_site is not built")
    if not shutil.which("curl"):
        print("skipped: no curl (scripts/setup test)")
        sys.exit(77)
    p = start(PROG)
    url = "http://" + p.stdout.readline().split()[1]
    asked, left_out = ["curl"], []
    with tempfile.TemporaryDirectory() as tmp:
        by_curl(url, tmp)
        for name, ask in ("wrk", by_wrk), ("h2load", by_h2load):
            if shutil.which(name):
                ask(url)
                asked.append(name)
            else:
                left_out.append(f"no {name} (scripts/setup test)")
        if not shutil.which("go"):
            left_out.append("no go")
        else:
            exe, env = os.path.join(tmp, "go_h1"), dict(os.environ, GOFLAGS="-mod=mod", GO111MODULE="off", GOTOOLCHAIN="local")
            r = run(["go", "build", "-o", exe, os.path.join(HERE, "go_h1", "main.go")], env=env, text=True)
            if r.returncode == 0:
                r = run([exe, url], text=True)
                check(r.returncode == 0, "go", r.stdout + r.stderr)
                asked.append("go")
            else:
                left_out.append("go does not build: " + r.stderr.strip()[-200:])
        # Debian's package is for Debian's python3, which may not be the first in PATH
        python = next((py for py in (sys.executable, "/usr/bin/python3") if run([py, "-c", "import httpx"]).returncode == 0), None)
        if python:
            r = run([python, "-c", HTTPX, url], text=True)
            check(r.returncode == 0, "httpx", r.stderr[-600:])
            asked.append("httpx")
        else:
            left_out.append("no httpx (scripts/setup test, or pip)")
    ask_to_end(p)
    status = ended(p, 120)
    check(status == 0, "shutdown", f"status {status}")
    print("asked by", ", ".join(asked))
    for x in left_out:
        print("left out:", x)
    print(f"{len(failed)} failures" if failed else "fine")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
