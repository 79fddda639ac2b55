#!/usr/bin/env python3
"""tests/tools/run.py [FILTER] - what sanitizers and valgrind see of goroutines; the last line counts, as the runner's does.

Parts   tsan      every way to synchronise is an edge and nothing else is (prog_race.c), and a dozen unit tests
        asan      mistakes in goroutines are found and told as what they are (prog_memory.c), leaks too; some unit tests
        valgrind  the same by memcheck, and some unit tests, on the build that is being tested
Builds  For BUILD=release and debug, tsan and asan builds are made (only what is run here). A sanitizer's own BUILD runs its
        own part, on itself. FILTER is a part of a name: tools.asan_use_freed.
"""
import concurrent.futures, ctypes, os, re, shutil, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(ROOT)
FILTER = sys.argv[1] if len(sys.argv) > 1 else ""
BUILD, CC = os.environ.get("BUILD", "release"), os.environ.get("CC_NAME", "gcc")
OWN = os.path.abspath(os.environ.get("WEFT_BUILD", f"build/{BUILD}-{CC}"))
passed = failed = skipped = 0

TSAN_UNITS = "chan select select_block mutex rwmutex cond once sem timer ctx map waitgroup".split()
ASAN_UNITS = "chan select_block ctx_after timer go try panic".split()
VALGRIND_TESTS = {
    "chan": "the_receiver_may_free_at_once", "select": "structs_and_arrays_travel", "try": "stops_a_panic_after_a_park",
    "defer": "unlocks_a_mutex_on_panic", "mutex": "another_goroutine_may_unlock_it",
    "timer": "ticker_reset_changes_the_period_from_now", "ctx": "cancel_wakes_all_that_wait",
    "go": "passes_sixteen_arguments", "goexit": "goes_on_when_an_outer_try_stops_a_panic", "conn": "half_close_ends_one_direction_only",
    "http_client": "one_connection_serves_many_calls", "map": "keys_are_numbers_pointers_or_copied_strings",
    "scavenge": "ended_goroutines_stacks_are_given_back",
}

# case: what must be said, or None: nothing, status 0
ASAN_CASES = {
    "overflow_in_goroutine": r"stack-buffer-overflow.*(\n.*)*in overflow_in_goroutine(.*\n)*.*'buf'.*overflows this variable",
    "use_after_goroutine": r"ERROR: AddressSanitizer: (use-after-poison|stack-use-after-return)",
    "use_after_return": r"stack-use-after-return.*(\n.*)*in use_after_return(.*\n)*.*in leave_local",
    "use_freed": r"heap-use-after-free.*(\n.*)*in use_freed",
    "leak_in_goroutine": r"LeakSanitizer: detected memory leaks\n\nDirect leak of 1234 byte(.*\n)*.*in make_and_lose",
    "fine_held_by_parked": None,
    "fine_switching": None,
}
VALGRIND_CASES = {
    "use_freed": r"Invalid read of size 4\n.*use_freed(.*\n)*.*inside a block of size 40 free'd",
    "use_unset": r"Conditional jump or move depends on uninitialised value\(s\)\n.*use_unset",
    "leak_in_goroutine": r"1,234 bytes in 1 blocks are definitely lost",
    "fine_held_by_parked": None,
    "fine_switching": None,
}
VALGRIND = ["valgrind", "-q", "--fair-sched=yes", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite"]


def wanted(name):
    return FILTER in f"tools.{name}"


def run(cmd, timeout=1800, **env):
    try:
        r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                           errors="replace", timeout=timeout, env=dict(os.environ, **env))
        return r.returncode, r.stdout
    except subprocess.TimeoutExpired as e:
        return None, (e.stdout or b"").decode(errors="replace") + f"\nno end in {timeout} s"
    except OSError as e:
        return 127, str(e)


def tell(name, why, out):
    global passed, failed
    if not why:
        passed += 1
        return
    failed += 1
    print(f"FAIL tools.{name} {why}  replay: make test T=tools.{name}")
    print("".join(f"    {x}\n" for x in out.splitlines()[-70:]), end="", flush=True)


def skip(name, why):
    global skipped
    skipped += 1
    print(f"SKIP tools.{name}: {why}", flush=True)


def judge(status, out, pattern):
    """Why the case fails, or ""."""
    if pattern is None:
        return "" if status == 0 else f"status {status}, complained of without reason"
    if status in (0, None):
        return f"status {status}: the mistake was not found"
    return "" if re.search(pattern, out) else f"said otherwise than {pattern!r}"


def build(kind, targets):
    """Its directory with the targets built, or None."""
    if BUILD == kind:
        return OWN
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "CC")}
    r = subprocess.run([os.environ.get("MAKE", "make"), "--no-print-directory", "build", f"BUILD={kind}", f"CC={CC}",
                        "TARGETS=" + " ".join(f"tests/{t}" for t in targets)],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=env)
    if r.returncode == 0:
        return f"build/{kind}-{CC}"
    tell(f"{kind}_build", f"status {r.returncode}", r.stdout)
    return None


def units(kind, where, names, **env):
    """Unit test binaries: each counts as one here."""
    def one(n):
        return n, run([f"{where}/tests/test_{n}", "-j", "2"], 3600, **env)

    for n, (status, out) in map(one, [n for n in names if wanted(f"{kind}_unit_{n}")]):
        tell(f"{kind}_unit_{n}", "" if status == 0 else f"status {status}", out)


def tsan():
    names = [n for n in TSAN_UNITS if BUILD != "tsan"]
    if not any(map(wanted, ["tsan_build", "tsan_race_procs_1", "tsan_race_procs_2"] + [f"tsan_unit_{n}" for n in names])):
        return
    where = build("tsan", ["prog_race"] + [f"test_{n}" for n in names])
    if not where:
        return
    for procs in ("1", "2"):
        name = f"tsan_race_procs_{procs}"
        if wanted(name):
            status, out = run(["sh", "-c", 'exec "$0" 2>/dev/null', f"{where}/tests/prog_race"], 1800, WEFT_PROCS=procs)
            tell(name, "" if status == 0 else f"status {status}", out)
    units("tsan", where, names, WEFT_TEST_STRETCH="5")


def asan():
    names = [n for n in ASAN_UNITS if BUILD != "asan"]
    if not any(map(wanted, ["asan_build"] + [f"asan_{c}" for c in ASAN_CASES] + [f"asan_unit_{n}" for n in names])):
        return
    where = build("asan", ["prog_memory"] + [f"test_{n}" for n in names])
    if not where:
        return
    for case, pattern in ASAN_CASES.items():
        if wanted(f"asan_{case}"):
            returns = case == "use_after_return"
            status, out = run([f"{where}/tests/prog_memory", case], WEFT_LEAKS="0",
                              ASAN_OPTIONS=f"detect_leaks={int(not returns)}:detect_stack_use_after_return={int(returns)}")
            tell(f"asan_{case}", judge(status, out, pattern), out)
    units("asan", where, names, ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=0", WEFT_TEST_STRETCH="3")


def valgrind():
    jobs = [(f"valgrind_{c}", VALGRIND + [f"{OWN}/tests/prog_memory", c], p) for c, p in VALGRIND_CASES.items()]
    jobs += [(f"valgrind_unit_{b}", VALGRIND + [f"{OWN}/tests/test_{b}", "--run", f"{b}.{t}"], None) for b, t in VALGRIND_TESTS.items()]
    jobs = [j for j in jobs if wanted(j[0])]
    if not jobs:
        return
    if not shutil.which("valgrind"):
        return skip("valgrind", "valgrind is not installed")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for (name, _, pattern), (status, out) in zip(jobs, pool.map(lambda j: run(j[1]), jobs)):
            tell(name, judge(status, out, pattern), out)


def main():
    ctypes.CDLL(None).personality(0x0040000)    # no random addresses: older ThreadSanitizers' shadow needs it
    if BUILD in ("release", "debug", "tsan"):
        tsan()
    if BUILD in ("release", "debug", "asan"):
        asan()
    if BUILD in ("release", "debug"):
        valgrind()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


main()
