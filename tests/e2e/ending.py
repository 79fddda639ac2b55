"""ending.py - starts and ends the servers of tests/tools, and keeps what failed beside them. Ends them
by SIGTERM, under ThreadSanitizer by the end of their stdin (ending.h)."""
import os, signal, subprocess

TSAN = os.path.basename(os.environ.get("WEFT_BUILD", "")).startswith("tsan")


failed = []


def run(cmd, **kw):
    return subprocess.run(cmd, capture_output=True, timeout=240, **kw)


def check(ok, what, more=""):
    if not ok:
        failed.append(what)
        print(f"FAIL {what}: {more}")


def start(*cmd):
    return subprocess.Popen([*map(str, cmd)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask_to_end(p):
    if TSAN:
        p.stdin.close()
    else:
        p.send_signal(signal.SIGTERM)


def ended(p, seconds):
    """Its status; one that does not end in time is killed, so that it outlives no test."""
    try:
        return p.wait(seconds)
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()
        return "none: no end in time"
    finally:
        p.stdout.close()
        p.stdin.close()
