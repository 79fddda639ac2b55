#!/usr/bin/env python3
"""examples/posix/query_server.c: pages are queries by libpq on 2 processors; 7 at a time; one ends in the data base when its client goes away."""
import os, re, signal, socket, subprocess, sys, threading, time, urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import posix_servers as s

BUSY = "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep($1)%' and pid <> pg_backend_pid()"


def until(what, ok, seconds=120):
    end = time.monotonic() + seconds
    while not ok():
        if time.monotonic() > end:
            sys.exit(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def ask(base, path):
    host, port = base[len("http://"):].split(":")
    c = socket.create_connection((host, int(port)))
    c.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return c


def test():
    if "tsan" in os.path.basename(s.BUILD):
        raise s.Missing("ThreadSanitizer delays signals for ever, and this server ends by one")
    exe = s.program("query_server", "libpq (libpq-dev)", "examples")
    with s.Postgres() as db:
        p = subprocess.Popen([exe, db.conninfo], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=dict(os.environ, WEFT_PROCS="2"))
        try:
            base = p.stdout.readline().strip()
            if not base.startswith("http://"):
                sys.exit("no address: " + base)
            lines = []
            threading.Thread(target=lambda: lines.extend(iter(p.stdout.readline, "")), daemon=True).start()
            gone = [ask(base, "/sleep?s=600") for _ in range(7)]
            until("7 queries run at the same time", lambda: db.number(BUSY) == 7)
            seen = urllib.request.urlopen(base + "/busy", timeout=100).read()   # the eighth connection answers meanwhile
            if seen != b"7":
                sys.exit(f"/busy says {seen}, not 7")
            gone.pop().close()
            until("the first query ends with its client", lambda: db.number(BUSY) == 6 and len(lines) == 1)
            for c in gone:
                c.close()
            until("the others too", lambda: db.number(BUSY) == 0 and len(lines) == 7)
            if urllib.request.urlopen(base + "/sleep?s=0.01", timeout=100).status != 200:   # the connections are still good
                sys.exit("a query after those failed")
            p.send_signal(signal.SIGTERM)
            if p.wait(100) != 0:
                sys.exit(f"the server ended with {p.returncode}")
            until("its last word", lambda: lines and lines[-1] == "stopped\n")
            if lines[:-1] != ["a query ended with its client\n"] * 7:
                sys.exit(f"it printed {lines}")
        finally:
            if p.poll() is None:
                p.kill()
                p.wait()


s.main(test)
