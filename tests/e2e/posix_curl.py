#!/usr/bin/env python3
"""libweft-posix, libcurl: 200 goroutines in curl_easy_perform at the same time on 2 processors, the server beside them."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import posix_servers as s


def test():
    exe = s.program("posix_curl", "libcurl (libcurl4-openssl-dev)")
    s.raise_limit()
    if "200 downloads by libcurl at the same time on 2 processors" not in s.run([exe, "200"]):
        sys.exit("not all came")


s.main(test)
