#!/usr/bin/env python3
"""libweft-posix, libpq, PostgreSQL: 100 queries wait at the same time, 1,000 overlap over 100 connections, one is cancelled through its
context; all on 2 processors."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import posix_servers as s


def test():
    exe = s.program("posix_pq", "libpq (libpq-dev)")
    with s.Postgres() as server:
        out = s.run([exe, server.conninfo, "100", "1000"])
    for want in ("100 queries wait at the same time on 2 processors", "1000 queries of 50 ms over 100 connections", "a query was cancelled through its context"):
        if want not in out:
            sys.exit(f"missing: {want}")


s.main(test)
