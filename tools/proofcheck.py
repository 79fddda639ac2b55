#!/usr/bin/env python3
"""tools/proofcheck.py - docs/proof.md leads somewhere: each T= fits a test, each file and model that a row names is there.

T=x is what make test takes: a part of SUITE.NAME, or of a test that is a script (e2e, example, tools, sim, check, neg). A file
may be named by its last part, "hop.c", or with a star. Ends with 1 and a line for each finding.
"""
import glob, os, re, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(ROOT)
TOPS = ("bench", "crawl", "docs", "examples", "include", "src", "tests", "tools")
found = []


def tests():
    """The names of all tests that a T= can choose."""
    names = set()
    for path in glob.glob("tests/*/test_*.c") + glob.glob("tests/sim/prop_*.c"):
        names |= {".".join(m) for m in re.findall(r"^[A-Z_]*(?:TEST|DEATH)[A-Z_]*\((\w+), (\w+)", open(path, encoding="utf-8").read(), re.M)}
    names |= {f"death_debug.{n}" for n in re.findall(r"^DEATH_LEAKS\((\w+)", open("tests/death/test_death_debug.c", encoding="utf-8").read(), re.M)}
    names |= {f"sim.{n}" for n in names} | {"sim.replay", "sim.mutant"}
    names |= {f"e2e.{os.path.basename(p).rsplit('.', 1)[0]}" for p in glob.glob("tests/e2e/*") if os.access(p, os.X_OK)}
    names |= {f"example.{os.path.basename(p)[:-2]}" for p in glob.glob("examples/*.c")}
    tools = open("tests/tools/run.py", encoding="utf-8").read()
    names |= {f"tools.{word}" for word in re.findall(r"\w+", tools)}
    return names | {f"check.{n}" for n in re.findall(r'"check\.(\w+)"', open("tests/run", encoding="utf-8").read())}


def check_line(number, line, names, files):
    for t in re.findall(r"`T=([\w.]+)`", line):
        if not any(t in n for n in names):
            found.append(f"docs/proof.md:{number}: no test fits T={t}")
    for name in re.findall(r"tests/model/run\.sh (\w+)", line):
        if not os.path.exists(f"tests/model/{name}.pml"):
            found.append(f"docs/proof.md:{number}: no model {name}")
    for path in re.findall(r"(?<![\w.*/-])((?:[\w-]+/)*[\w*-]+\.(?:c|h|py|sh|md|pml|html|txt|jsonl|go))\b", line):
        if not (glob.glob(path) if "/" in path else any(f.endswith("/" + path) or f.endswith(path.lstrip("_")) for f in files)) and path != "API.md":
            found.append(f"docs/proof.md:{number}: no file {path}")


def main():
    names, files = tests(), [p for top in TOPS for p in glob.glob(top + "/**/*", recursive=True)]
    lines = open("docs/proof.md", encoding="utf-8").read().splitlines()
    for number, line in enumerate(lines, 1):
        check_line(number, line, names, files)
    print("\n".join(found + [f"proofcheck: {len(lines)} lines, {len(found)} findings"]))
    return bool(found)


sys.exit(main())
