#!/usr/bin/env python3
"""libweft-posix, librdkafka and its mock of a broker: 200 goroutines send a message each, one receives them; the library's own threads
stay what they are. On 1 and 2 processors."""
import os, re, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import posix_servers as s


def test():
    exe = s.program("posix_kafka", "librdkafka (librdkafka-dev)")
    if "tsan" in os.path.basename(s.BUILD):
        raise s.Missing("librdkafka's own threads are not built with ThreadSanitizer")
    for procs in 1, 2:
        out = s.run([exe, "200"], procs=procs)
        got = re.search(rf"200 messages went through librdkafka on {procs} processors: (\d+) threads of its own, 1 goroutines before, 1 after", out)
        if not got or int(got[1]) < 5:
            sys.exit("not all came, or its threads are counted as goroutines")


s.main(test)
