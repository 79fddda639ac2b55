#!/usr/bin/env python3
"""libweft-posix, OpenSSL's socket BIOs: 50 TLS connections and 50 that fail, both sides on goroutines; nobody sees another's errors."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import posix_servers as s


def test():
    exe = s.program("posix_openssl", "OpenSSL")
    for procs in (1, 2):
        if f"50 TLS connections, 50 strangers refused, on {procs} processors" not in s.run([exe, "100"], procs=procs):
            sys.exit("not all were served")


s.main(test)
