#!/usr/bin/env python3
"""e2e/ws.py - WebSocket with other programs at the other end: Python's websockets, Node's WebSocket, Go's x/net/websocket.

Our server is asked by their clients, our client asks their servers; over cleartext and TLS. What is not installed is named and left
out; without Python's websockets (pip install websockets; 13 or later) the test is skipped. Then SIGTERM: goodbye with 1001.
"""
import asyncio, json, os, shutil, ssl, subprocess, sys, tempfile

from ending import ask_to_end, ended, start

BUILD = os.environ.get("WEFT_BUILD", "build/release-gcc")
HERE = os.path.dirname(os.path.abspath(__file__))
PROG = os.path.join(BUILD, "tests", "prog_ws")
failed = []
try:
    import websockets
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import serve
except ImportError:
    print("skipped: no Python websockets, 13 or later (pip install websockets)")
    sys.exit(77)


def check(ok, what, more=""):
    if not ok:
        failed.append(what)
        print(f"FAIL {what}: {more}")


def run(cmd, **kw):
    return subprocess.run(cmd, capture_output=True, timeout=240, text=True, **kw)


class Ours:
    def __init__(self, cert=None, key=None):
        self.p = start(PROG, "serve", *([cert, key] if cert else []))
        addr = self.p.stdout.readline().split()[1]
        self.ca = cert
        self.name = "TLS" if cert else "plain"
        self.url = ("wss://" if cert else "ws://") + addr
        self.more = {"ssl": ssl.create_default_context(cafile=cert)} if cert else {}


def certificate(d):
    cert, key = os.path.join(d, "crt"), os.path.join(d, "key")
    r = run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=weft test",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert])
    return (cert, key) if r.returncode == 0 else (None, None)


async def by_websockets(site):
    """Their client and our server."""
    for path in "/echo", "/parts":
        async with connect(site.url + path, max_size=None, subprotocols=["other", "weft.v1"], proxy=None, **site.more) as ws:
            check(ws.subprotocol == "weft.v1", f"websockets {site.name}: subprotocol", ws.subprotocol)
            for n in 0, 1, 125, 126, 65535, 65536, 1000000:
                for sent in "é" * (n // 2), os.urandom(n):
                    await ws.send(sent)
                    check(await ws.recv() == sent, f"websockets {site.name} {path}: {n} {type(sent).__name__}")
            await ws.send(["in ", "several ", "frames"])
            check(await ws.recv() == "in several frames", f"websockets {site.name} {path}: frames")
            await asyncio.wait_for(await ws.ping(), 60)
            await ws.close(4000, "enough")
            check(ws.close_code == 4000, f"websockets {site.name}: our answer to a close", ws.close_code)
    for code in 1000, 1011, 4999:
        async with connect(f"{site.url}/close?{code}", proxy=None, **site.more) as ws:
            try:
                await ws.recv()
            except websockets.ConnectionClosed as e:
                check(e.rcvd and (e.rcvd.code, e.rcvd.reason) == (code, "as asked"), f"websockets {site.name}: close {code}", e)
    try:
        async with connect(site.url + "/echo", origin="https://elsewhere.example", proxy=None, **site.more):
            check(False, f"websockets {site.name}: a foreign origin was taken")
    except websockets.InvalidStatus as e:
        check(e.response.status_code == 403, f"websockets {site.name}: origin", e)

    async def one(k):
        async with connect(site.url + "/echo", proxy=None, **site.more) as ws:
            for i in range(20):
                await ws.send(f"{k}.{i}")
                check(await ws.recv() == f"{k}.{i}", f"websockets {site.name}: many")

    await asyncio.gather(*[one(k) for k in range(50)])


async def goodbye(site):
    """SIGTERM: each conversation ends with 1001, the server with 0."""
    ws = [await connect(site.url + "/echo", proxy=None, **site.more) for _ in range(5)]
    for w in ws:
        await w.send("there")
        await w.recv()
    ask_to_end(site.p)
    for w in ws:
        try:
            await asyncio.wait_for(w.recv(), 60)
        except websockets.ConnectionClosed as e:
            check(e.rcvd and e.rcvd.code == 1001, f"goodbye {site.name}", e)
    for w in ws:
        await w.close()
    status = await asyncio.to_thread(ended, site.p, 120)
    check(status == 0, f"shutdown {site.name}", status)


async def ask_websockets(cert, key):
    """Our client and their server."""
    async def echo(ws):
        try:
            async for m in ws:
                await ws.send(m if len(m) < 5000 else [m[:3000], m[3000:]])
        except websockets.ConnectionClosed:
            pass    # with a code that is not 1000

    more = {}
    if cert:
        more["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        more["ssl"].load_cert_chain(cert, key)
    async with serve(echo, "127.0.0.1", 0, max_size=None, subprotocols=["weft.v1"], **more) as s:
        port = s.sockets[0].getsockname()[1]
        r = await asyncio.to_thread(run, [PROG, "ask", f"{'wss' if cert else 'ws'}://127.0.0.1:{port}/", *([cert] if cert else [])])
        check(r.stdout == "fine\n", f"our client, websockets {'TLS' if cert else 'plain'}", r.stdout + r.stderr)


NODE = """
const ws = new WebSocket(process.argv[2] + "/echo", ["weft.v2"]);
ws.binaryType = "arraybuffer";
const texts = ["", "h\\u00e9llo", "x".repeat(70000)];
let k = 0, out = {protocol: "", texts: [], bytes: 0};
ws.onopen = () => { out.protocol = ws.protocol; ws.send(texts[0]); };
ws.onmessage = (e) => {
  if (typeof e.data !== "string") { out.bytes = e.data.byteLength; ws.close(4567, "node"); return; }
  out.texts.push(e.data === texts[k]);
  if (++k < texts.length) ws.send(texts[k]); else ws.send(new Uint8Array(100000));
};
ws.onclose = (e) => { out.code = e.code; out.clean = e.wasClean; console.log(JSON.stringify(out)); };
ws.onerror = () => { console.log("error"); };
"""


def by_node(site, node, tmp):
    js = os.path.join(tmp, "ask.js")
    with open(js, "w") as f:
        f.write(NODE)
    r = run([*node, js, site.url], env=dict(os.environ, NODE_EXTRA_CA_CERTS=site.ca or "", NODE_NO_WARNINGS="1"))
    try:
        got = json.loads(r.stdout)
    except ValueError:
        got = None
    want = {"protocol": "weft.v2", "texts": [True] * 3, "bytes": 100000, "code": 4567, "clean": True}
    check(got == want, f"node {site.name}", r.stdout + r.stderr[-300:])


def node_here():
    node = shutil.which("node")
    for flags in [], ["--experimental-websocket"]:
        if node and run([node, *flags, "-e", "process.exit(typeof WebSocket === 'function' ? 0 : 1)"]).returncode == 0:
            return [node, *flags]


def go_here(tmp):
    """x/net from the module cache or the proxy; None where neither has it."""
    if not shutil.which("go"):
        return None
    src = os.path.join(tmp, "go_ws")
    shutil.copytree(os.path.join(HERE, "go_ws"), src)
    env = dict(os.environ, GOFLAGS="-mod=mod", GOTOOLCHAIN="local")
    with open(os.path.join(src, "go.mod"), "w") as f:
        f.write("module go_ws\n\ngo 1.22\n")
    exe = os.path.join(tmp, "go_ws_exe")
    cached = os.path.join(run(["go", "env", "GOMODCACHE"]).stdout.strip(), "golang.org/x")
    have = sorted(d for d in (os.listdir(cached) if os.path.isdir(cached) else []) if d.startswith("net@"))
    r = run(["go", "get", "golang.org/x/net/websocket@" + (have[-1][4:] if have else "latest")], cwd=src, env=env)
    if r.returncode == 0:
        r = run(["go", "build", "-o", exe, "."], cwd=src, env=env)
    if r.returncode:
        print("without Go:", r.stderr.strip()[-200:])
        return None
    return exe


def with_go(site, exe):
    r = run([exe, "ask", site.url + "/echo"])
    check(r.stdout == "fine\n", "go's client", r.stdout + r.stderr)
    p = subprocess.Popen([exe, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        addr = p.stdout.readline().split()[1]
        r = run([PROG, "ask", f"ws://{addr}/"])
        check(r.stdout == "fine\n", "our client, go's server", r.stdout + r.stderr)
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def main():
    if not os.path.exists(PROG):
        sys.exit("ws: prog_ws is not built")
    with tempfile.TemporaryDirectory() as tmp:
        cert, key = certificate(tmp) if shutil.which("openssl") else (None, None)
        node, go = node_here(), go_here(tmp)
        print("peers: websockets", websockets.__version__, "node" if node else "(no node with WebSocket)", "go" if go else "(no x/net/websocket)",
              "" if cert else "(no TLS: openssl is missing)")
        for site in [Ours()] + ([Ours(cert, key)] if cert else []):
            asyncio.run(by_websockets(site))
            asyncio.run(ask_websockets(*((cert, key) if site.ca else (None, None))))
            if node:
                by_node(site, node, tmp)
            if go and not site.ca:
                with_go(site, go)
            asyncio.run(goodbye(site))
    print(f"{len(failed)} failures" if failed else "fine")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
