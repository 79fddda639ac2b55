#!/usr/bin/env python3
"""libweft-posix, SQLite: a busy handler sleeps while the goroutine that it waits for is parked and a third computes, on 1 processor."""
import os, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import posix_servers as s


def test():
    exe = s.program("posix_sqlite", "SQLite (libsqlite3-dev)")
    with tempfile.TemporaryDirectory(prefix="weft-posix-") as folder:
        s.run([exe, os.path.join(folder, "t.db")], procs=1)


s.main(test)
