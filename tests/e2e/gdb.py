#!/usr/bin/env python3
"""gdb.py - what tools/weft_gdb.py shows of a stopped program and of its core file (tests/tools/prog_parked.c).

Checked: every goroutine is listed with its state, name and creation site; each back trace leads from where it waits through the
program's own frames to the goroutine's base and stops there cleanly; locals can be read; no register has changed.
"""
import os, re, shutil, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WEFT_BUILD", os.path.join(ROOT, "build/release-gcc"))
PROG = os.path.join(BUILD, "tests", "prog_parked")
SANITIZED = os.path.basename(BUILD).split("-")[0] in ("asan", "tsan")
failed = []

REGS = "info registers rip rsp rbp rbx" if os.uname().machine == "x86_64" else "info registers pc sp"
DEEP = "python\ndeep = next(g for g in goroutines() if g.label == 'three deep').id\nsay = lambda what: gdb.execute(f'goroutine {deep} {what}')\nend"
ASK = ["echo ==regs\\n", REGS, "echo ==list\\n", "info goroutines", "echo ==all\\n", "goroutine all bt", DEEP,
       "echo ==locals\\n", "python say('info locals')", "echo ==frame\\n", "python say('frame 4 info frame')",
       "echo ==none\\n", "python\ntry: gdb.execute('goroutine 999 bt')\nexcept gdb.error as e: print('said:', e)\nend",
       "echo ==regs2\\n", REGS, "echo ==end\\n"]


def gdb(args, commands):
    with tempfile.NamedTemporaryFile("w", suffix=".gdb") as f:
        f.write("\n".join(["set pagination off", "set width 0", "set debuginfod enabled off",
                           "source " + os.path.join(ROOT, "tools/weft_gdb.py")] + commands) + "\n")
        f.flush()
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
        r = subprocess.run(["gdb", "-nx", "-batch", "-x", f.name] + args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           stdin=subprocess.DEVNULL, text=True, errors="replace", timeout=1500, env=env)
    return r.stdout


def section(out, name):
    m = re.search(rf"^=={name}\n(.*?)(?=^==)", out, re.M | re.S)
    return m.group(1) if m else ""


def expect(kind, what, pattern, text):
    if not re.search(pattern, text, re.M):
        failed.append(f"{kind}: {what}: no match for {pattern!r} in:\n{text}")


def traces(text):
    """`goroutine all bt` as name -> trace, "NAME LABEL" where there is a label."""
    found = {}
    for m in re.finditer(r'^goroutine \d+ \[[^\]]*\](?: "([^"]*)")?  (\w+)[^\n]*\n(.*?)(?=^goroutine |\Z)', text, re.M | re.S):
        found[f"{m.group(2)} {m.group(1)}" if m.group(1) else m.group(2)] = m.group(3).rstrip()
    return found


def check(kind, out):
    site = r"  created by main in goroutine 1 at \S*prog_parked\.c:\d+$"
    listed, all_bt, before = section(out, "list"), traces(section(out, "all")), len(failed)
    for what, pattern in (
            ("main", r"^goroutine 1 \[running\]  main$"),
            ("a label", r'^goroutine \d+ \[chan receive\] "three deep"  receiver' + site),
            ("a receiver", r"^goroutine \d+ \[chan receive\]  receiver" + site),
            ("who waits for a mutex", r"^goroutine \d+ \[sync\.Mutex\.Lock\]  locker" + site),
            ("a sleeper", r"^goroutine \d+ \[sleep\]  sleeper" + site),
            ("two that may run, one by its waiter", r"(?s)\[runnable\]  turned.*\[runnable\]  turned"),
            ("who runs", r"^goroutine \d+ \[running\]  spinner" + site)):
        expect(kind, what, pattern, listed)
    if len(listed.splitlines()) != 8:
        failed.append(f"{kind}: eight goroutines exist, listed are:\n{listed}")
    for name, pattern in (
            # gdb takes two underscores for Ada's dot where DWARF 4, as of clang, does not tell the language
            ("receiver three deep", r"(?s)#0 .*weft__chan_recv.*parked_inner \(depth=14\).*parked_outer.*receiver.*weft(?:__|\.)g_start"),
            ("receiver", r"(?s)#0 .*weft__chan_recv.*parked_inner \(depth=14\).*receiver.*weft(?:__|\.)g_start"),
            ("turned", r"(?s)#0 .*weft(?:__|\.)chan_recv.*turned.*weft(?:__|\.)g_start"),
            ("locker", r"(?s)weft_mutex_lock.*locker.*weft(?:__|\.)g_start"),
            ("sleeper", r"(?s)#0 .*sleeper.*weft(?:__|\.)g_start"),
            ("spinner", r"(?s)\A#0 [^\n]*spinner.*weft(?:__|\.)g_start"),
            ("main", r"(?s)stopped_here.*\bmain \(")):
        bt = all_bt.get(name, "")
        expect(kind, f"the trace of {name}", pattern, bt)
        if name != "main" and not re.search(r"weft(?:__|\.)g_start \(\)[^\n]*\Z", bt):
            failed.append(f"{kind}: the trace of {name} does not end at the goroutine's base:\n{bt}")
    # gcc says of variables in AddressSanitizer's frames that they are optimized out
    expect(kind, "locals", r"^got = (42|<optimized out>)$" if SANITIZED else r"^got = 42$", section(out, "locals"))
    expect(kind, "a frame by its number", r"(?i)stack level \d+, frame at", section(out, "frame"))
    expect(kind, "a number that nobody has", r"^said: no goroutine 999", section(out, "none"))
    expect(kind, "the registers", r"^(rip|pc) ", section(out, "regs"))
    if section(out, "regs") != section(out, "regs2"):
        failed.append(f"{kind}: registers have changed:\n{section(out, 'regs')}{section(out, 'regs2')}")
    if re.search(r"corrupt stack|Backtrace stopped|Traceback|Python Exception", out) or len(failed) > before:
        failed.append(f"{kind}: all that gdb said:\n{out}")


def core_file(tmp):
    """Lets the kernel write one; gdb's own generate-core-file stops at a goroutine's guard. None where cores go elsewhere."""
    pattern = open("/proc/sys/kernel/core_pattern").read().strip()
    if "/" in pattern or pattern.startswith("|"):
        return None
    subprocess.run(["sh", "-c", 'ulimit -c unlimited && exec "$0"', PROG], cwd=tmp, timeout=1000,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cores = [os.path.join(tmp, f) for f in os.listdir(tmp)]
    return cores[0] if cores else None


def main():
    if not shutil.which("gdb"):
        print("gdb is not installed")
        sys.exit(77)
    out = gdb([PROG], ["run"] + ASK + ["continue"])
    if "SIGTRAP" not in out and re.search(r"ptrace|Operation not permitted", out):
        print("gdb may not trace programs here")
        sys.exit(77)
    check("live", out)
    expect("live", "it goes on afterwards", r"^done$", section(out + "\n==", "end"))
    core = None
    if not SANITIZED:                   # their cores have no limit but the shadow's: terabytes
        with tempfile.TemporaryDirectory() as tmp:
            core = core_file(tmp)
            if core:
                check("core", gdb([PROG, core], ASK))
    if failed:
        print("\n".join(failed))
        sys.exit(1)
    if not core:
        print("the live process passed; a core file was not to be had here")
        sys.exit(0 if SANITIZED else 77)


main()
