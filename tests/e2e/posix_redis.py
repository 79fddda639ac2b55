#!/usr/bin/env python3
"""libweft-posix, hiredis, redis-server: 1,000 goroutines wait in BLPOP at the same time on 2 processors; each is served its own value."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import posix_servers as s


def test():
    exe = s.program("posix_redis", "hiredis (libhiredis-dev)")
    n = 200 if "tsan" in os.path.basename(s.BUILD) else 1000
    with s.Redis() as server:
        out = s.run([exe, server.path, str(n)])
    if f"{n} waited at the same time on 2 processors" not in out:
        sys.exit("not all were served")


s.main(test)
