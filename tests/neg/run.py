#!/usr/bin/env python3
"""tests/neg/run.py - code that must not compile, and the words with which it must not.

In tests/neg/*.c each bad line ends in  /* ERROR "regex" */.  Every file is compiled once with all bad lines blanked (it
must compile) and once for each bad line with only the others blanked (it must not, see README.md), by gcc and by clang,
with a user's default flags, and those of a line  /* FLAGS "..." */. Usage: run.py [-v] [FILTER]; FILTER is part of neg.NAME:LINE.
"""
import concurrent.futures, os, re, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FLAGS = ["-std=gnu11", "-Iinclude", "-fsyntax-only", "-fno-diagnostics-color"]
MORE = re.compile(r'^/\*\s*FLAGS\s+"(.*)"\s*\*/\s*$', re.M)
BAD = re.compile(r'/\*\s*ERROR\s+"(.*)"\s*\*/\s*$')
CLANGS = ["clang-19", "clang", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14"]


def compilers():
    """[(name, path or None)]"""
    clang = next((c for c in CLANGS if shutil.which(c)), None)
    return [("gcc", shutil.which("gcc")), ("clang", clang)]


def compile_text(cc, path, text):
    """Compiles text as if it were the file at path; (ok, messages)."""
    with tempfile.NamedTemporaryFile("w", suffix=".c") as f:
        f.write(f'#line 1 "{path}"\n' + text)
        f.flush()
        more = MORE.search(text)
        r = subprocess.run([cc, *FLAGS, *(more.group(1).split() if more else []), f"-I{os.path.dirname(path)}", f.name], cwd=ROOT, capture_output=True, text=True, timeout=1200)
    return r.returncode == 0, r.stderr


def judge(cc, path, lines, bad, keep):
    """None when the compiler answers as it should, else why not. keep: the bad line left in, or None."""
    text = "".join("\n" if i in bad and i != keep else line for i, line in enumerate(lines))
    ok, said = compile_text(cc, path, text)
    if keep is None:
        return None if ok else "does not compile without its bad lines:\n" + said
    if ok:
        return "compiles, expected an error matching: " + bad[keep]
    if f"{path}:{keep + 1}:" not in said:
        return f"the messages do not point at line {keep + 1}:\n" + said
    if not any(re.search(bad[keep], line) for line in said.splitlines() if "error:" in line):
        return f"no error matches: {bad[keep]}\n" + said
    return None


def main():
    args = [a for a in sys.argv[1:] if a != "-v"]
    want = args[0] if args else ""
    passed = failed = skipped = 0
    jobs = []
    for name, cc in compilers():
        for f in sorted(x for x in os.listdir(HERE) if x.endswith(".c")):
            path = os.path.relpath(os.path.join(HERE, f), ROOT)
            lines = open(os.path.join(ROOT, path)).readlines()
            bad = {i: m.group(1) for i, line in enumerate(lines) if (m := BAD.search(line))}
            for keep in [None, *bad]:
                test = f"neg.{f[:-2]}:{'clean' if keep is None else keep + 1}:{name}"
                if want in test or test.startswith(want):
                    jobs.append((test, cc, path, lines, bad, keep))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for job, why in zip(jobs, pool.map(lambda j: judge(*j[1:]) if j[1] else "skip", jobs)):
            if why == "skip":
                skipped += 1
            elif why:
                failed += 1
                print(f"FAIL {job[0]} {why.rstrip()}\n  replay: make test-neg T={job[0]}")
            else:
                passed += 1
                if "-v" in sys.argv:
                    print("ok  ", job[0])
    if skipped:
        print("SKIP neg: no clang here (scripts/setup test installs one)")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


sys.exit(main())
