#!/usr/bin/env python3
"""libweft-posix, libpq, PostgreSQL: 100 queries wait at the same time, 1,000 overlap over 100 connections, one is cancelled through its
context; all on 2 processors. With an argument, as 1000, that many wait at the same time instead, each on a connection of its own."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import posix_servers as s


def test():
    exe = s.program("posix_pq", "libpq (libpq-dev)")
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    s.raise_limit()
    with s.Postgres(n + 100) as server:
        out = s.run([exe, server.conninfo, str(n), "1000"])
    for want in (f"{n} queries wait at the same time on 2 processors", f"1000 queries of 50 ms over {n} connections", "a query was cancelled through its context"):
        if want not in out:
            sys.exit(f"missing: {want}")


s.main(test)
