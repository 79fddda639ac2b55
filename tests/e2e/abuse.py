#!/usr/bin/env python3
"""e2e/abuse.py - clients that mean no good: each is sent away in time, and costs the others nothing.

Slow heads and bodies, readers that do not read, ten thousand stalled clients beside a hundred good ones, bombs of heads,
connections that come and go. What a malformed request is answered: tests/unit/test_http_garden.c. Loopback only.
"""
import os, resource, select, socket, sys, time

from ending import ask_to_end, ended, start

BUILD = os.environ.get("WEFT_BUILD", "build/release-gcc")
PROG = os.path.join(BUILD, "tests", "prog_abuse_site")
LONG = 120          # seconds: what hangs is a failure, what a busy machine does slowly is not
SANITIZED = any(x in os.path.basename(BUILD) for x in ("asan", "tsan"))
failed = []


def check(ok, what, more=""):
    if not ok:
        failed.append(what)
        print(f"FAIL {what}: {more}", flush=True)


class Site:
    def __init__(self, *limits):
        self.p = start(PROG, *limits)
        host, port = self.p.stdout.readline().split()[1].rsplit(":", 1)
        self.addr = (host, int(port))

    def dial(self, spread=0):
        s = socket.socket()
        s.settimeout(LONG)
        if spread:
            s.setsockopt(socket.IPPROTO_IP, 24, 1)      # IP_BIND_ADDRESS_NO_PORT
            s.bind((f"127.0.{1 + spread // 4000}.1", 0))
        s.connect(self.addr)
        return s

    def memory(self):
        """Anonymous resident bytes."""
        for line in open(f"/proc/{self.p.pid}/status"):
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024

    def open(self):
        """Descriptors that the server has open."""
        return len(os.listdir(f"/proc/{self.p.pid}/fd"))

    def good(self):
        """Seconds that a request of an honest client took."""
        t = time.monotonic()
        s = self.dial()
        s.sendall(b"GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        text = all_of(s)
        check(text.startswith(b"HTTP/1.1 200") and text.endswith(b"hello\n"), "a good client is served", text[:80])
        return time.monotonic() - t

    def stop(self):
        ask_to_end(self.p)
        status = ended(self.p, LONG)
        check(status == 0, "the server ends in good order", status)


def all_of(s):
    out = b""
    try:
        while part := s.recv(65536):
            out += part
    except ConnectionResetError:
        pass
    except socket.timeout:
        out += b" (no end)"
    s.close()
    return out


def slow_head():
    """Slowloris: a byte now and then keeps the connection busy, but not beyond the time for a head."""
    site = Site(500, 60000, 60000)
    slow = [site.dial() for _ in range(50)]
    for s in slow:
        s.sendall(b"GET /hello HTTP/1.1\r\nHost: h\r\nX: ")
    end = time.monotonic() + LONG
    gone = set()
    while len(gone) < len(slow) and time.monotonic() < end:
        for i, s in enumerate(slow):
            if i not in gone:
                try:
                    s.sendall(b"y")
                except OSError:
                    gone.add(i)
        ready = select.select([s for i, s in enumerate(slow) if i not in gone], [], [], 0.05)[0]
        gone |= {i for i, s in enumerate(slow) if s in ready}
    check(len(gone) == len(slow), "slow heads are sent away", f"{len(slow) - len(gone)} of {len(slow)} are left")
    texts = [all_of(s) for s in slow]
    # a byte that was on its way when the server closed makes a reset, which takes the answer away: so not all may have it
    told = [t for t in texts if t]
    check(told and all(t.startswith(b"HTTP/1.1 408 ") for t in told), "with 408", [t[:20] for t in texts[:3]])
    site.good()
    site.stop()


def slow_body():
    """The same with a body: one wait for the peer has its limit."""
    site = Site(60000, 300, 60000)
    for head in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
        s = site.dial()
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n\r\n")
        text = all_of(s)
        check(text.startswith(b"HTTP/1.1 408 ") and b"Connection: close" in text, f"a body that does not come ({head.decode()})", text[:80])
    site.stop()


def no_reader():
    """A client that asks for much and reads nothing ends with the time limit, and holds little memory."""
    site = Site(60000, 500, 60000)
    site.good()
    before, few = site.memory(), site.open() + 1
    deaf = []
    for _ in range(50):
        s = site.dial()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b"GET /big/100000000 HTTP/1.1\r\nHost: h\r\n\r\n")
        deaf.append(s)
    site.good()
    grown = (site.memory() - before) / len(deaf)
    check(SANITIZED or grown < 200000, "a reader that does not read holds little memory", f"{grown:.0f} bytes each")
    end = time.monotonic() + LONG
    while site.open() > few and time.monotonic() < end:
        time.sleep(0.05)
    check(site.open() <= few, "readers that do not read are cut off", f"{site.open()} descriptors, {few} before")
    for s in deaf:
        s.close()
    site.stop()


def stalled():
    """Ten thousand that send half a head and stall, a hundred good ones meanwhile, and what it costs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = 1000 if SANITIZED else min(10000, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    site = Site(600000, 600000, 600000)
    before = site.memory()
    bad = []
    for i in range(count):
        s = site.dial(i + 1)
        s.sendall(b"GET /hello HTTP/1.1\r\nHost: h\r\nX: ")
        bad.append(s)
    times = sorted(site.good() for _ in range(100))
    grown = (site.memory() - before) / count
    print(f"{count} stalled: good clients {times[50] * 1000:.1f} ms (median), {times[-1] * 1000:.1f} ms (last); {grown:.0f} bytes for each stalled one")
    check(times[-1] < LONG, "good clients beside stalled ones")
    check(SANITIZED or grown < 40000, "memory of stalled clients is bounded", f"{grown:.0f} bytes each")
    for s in bad:
        s.close()
    site.good()
    site.stop()


def idle():
    """Connections that say nothing at all, and those that said something once."""
    site = Site(300, 60000, 300)
    quiet = [site.dial() for _ in range(100)]
    for s in quiet[50:]:
        s.sendall(b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n")
    texts = [all_of(s) for s in quiet]
    check(all(t == b"" or t.startswith(b"HTTP/1.1 408") for t in texts[:50]), "who says nothing is sent away", texts[0][:60])
    check(all(b" (no end)" not in t for t in texts[50:]), "an idle connection ends")
    site.stop()


def bombs():
    """Heads by the thousand fields and the megabyte."""
    site = Site()
    before = site.memory()
    head = b"GET /hello HTTP/1.1\r\nHost: h\r\n"
    for text in (head + b"a: b\r\n" * 200000, head + b"X: " + b"y" * 5000000, b"GET /" + b"a" * 5000000, b"\r\n" * 500000, b"A" * 5000000):
        s = site.dial()
        try:
            s.sendall(text)
        except OSError:
            pass                                        # it did not listen to the end
        got = all_of(s)
        check(got == b"" or got[:13] in (b"HTTP/1.1 431 ", b"HTTP/1.1 400 "), f"bomb {text[:20]}", got[:60])
    check(SANITIZED or site.memory() - before < 8 << 20, "bombs leave no memory behind", site.memory() - before)
    site.good()
    site.stop()


def come_and_go():
    """Resets at every stage of a request, two thousand of them."""
    site = Site(60000, 60000, 60000)
    stages = [b"", b"G", b"GET /hello HTTP/1.1\r\n", b"GET /big/10000000 HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /slow/50 HTTP/1.1\r\nHost: h\r\n\r\n",
              b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc"]
    for i in range(2000):
        s = site.dial()
        s.sendall(stages[i % len(stages)])
        if i % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")     # close by reset
        s.close()
    site.good()
    site.stop()


def main():
    if not os.path.exists(PROG):
        sys.exit("abuse: prog_abuse_site is not built")
    for test in (slow_head, slow_body, no_reader, idle, bombs, come_and_go, stalled):
        t = time.monotonic()
        test()
        print(f"{test.__name__}: {time.monotonic() - t:.1f} s", flush=True)
    print(f"{len(failed)} failures" if failed else "fine")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
