#!/usr/bin/env python3
"""libweft-posix, libpq, PostgreSQL: 1,000 queries wait at the same time, each on a connection of its own, 1,000 of 50 ms go over these, one is
cancelled through its context; all on 2 processors. With an argument, as 100, over that many connections; sanitizers' builds take 100."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import posix_servers as s


def test():
    exe = s.program("posix_pq", "libpq (libpq-dev)")
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100 if "san" in os.path.basename(s.BUILD) else 1000
    s.raise_limit()
    with s.Postgres(n + 100) as server:
        out = s.run([exe, server.conninfo, str(n), "1000"])
    for want in (f"{n} queries wait at the same time on 2 processors", f"1000 queries of 50 ms over {n} connections", "a query was cancelled through its context"):
        if want not in out:
            sys.exit(f"missing: {want}")


s.main(test)
