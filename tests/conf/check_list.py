#!/usr/bin/env python3
"""tests/conf/check_list.py [FILTER] - holds LIST*.md true: what of Go's own tests is carried over, and what is left out.

A list has a section for each file of Go, "## src/sync/cond_test.go", with a table

    | Go test | here |
    | TestCondSignal | `conf_cond.signal_wakes_one` |
    | TestRace | left out: why |

A row names tests of ours as `suite.name`, or says "left out: " and a reason; it may do both, part by part. A section whose
name is a pattern, "## test/chan/*.go" or "## test/{a,b}.go", has a row for each file that matches. COVERED says which section must be in which
list. Paths are below GOROOT; those that begin with golang.org/ are modules, below GOMODCACHE.

Each section is one test: it passes when the list knows every Go test of that file and no other, and every test of ours
that it names is there. It skips where that file of Go is not here. The test "orphans" fails for a test in tests/conf that
no list names. The last line is "N passed, N failed, N skipped".
"""
import glob, os, re, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GO = "go1.26"      # the lists are made from this one; another's tests are not compared
COVERED = {
    "LIST.md": """
        test/chan/*.go test/chancap.go test/chanlinear.go test/closedchan.go test/makechan.go
        test/recover*.go test/defer*.go test/goprint.go test/peano.go test/sigchld.go test/stack.go test/ken/chan*.go
        test/fixedbugs/{issue1304,issue4066,issue5963,issue8047b,issue8158,issue9110,issue14725,issue16870,issue21576,issue43942}.go
        src/runtime/chan_test.go src/runtime/chanbarrier_test.go src/runtime/proc_test.go src/runtime/crash_test.go
        src/runtime/crash_unix_test.go src/runtime/crash_cgo_test.go
        src/sync/mutex_test.go src/sync/rwmutex_test.go src/sync/waitgroup_test.go src/sync/once_test.go
        src/sync/oncefunc_test.go src/sync/cond_test.go src/sync/pool_test.go src/sync/map_test.go
    """,
    "LIST_context.md": """
        src/context/x_test.go src/context/afterfunc_test.go src/context/net_test.go
    """,
    "LIST_time.md": """
        src/time/sleep_test.go src/time/tick_test.go
    """,
    "LIST_x.md": """
        golang.org/x/sync/errgroup/errgroup_test.go golang.org/x/sync/semaphore/semaphore_test.go
        golang.org/x/sync/singleflight/singleflight_test.go
        golang.org/x/time/rate/rate_test.go golang.org/x/time/rate/sometimes_test.go
    """,
}
ROW = re.compile(r"^\| *`?([A-Za-z_]\w*(?:\.go)?)`? *\|(.*)\|\s*$")
OURS = re.compile(r"`([a-z]\w*\.\w+)`")
DEFINED = re.compile(r"^(?:TEST|TEST_SLOW|TEST_ENV|DEATH|WEFT_TEST_REG|CONF_\w+)\(([a-z]\w*),\s*(\w+)", re.M)
GO_TEST = re.compile(r"^func (Test\w*)\(\w+ \*testing\.T\)", re.M)
counts = [0, 0, 0]


def go_env(name):
    try:
        r = subprocess.run(["go", "env", name], capture_output=True, text=True, timeout=60)
        return r.stdout.strip() if r.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


def defined(pattern):
    """The tests, as suite.name, that the C files define."""
    found = set()
    for path in glob.glob(os.path.join(ROOT, pattern)):
        found |= {f"{s}.{n}" for s, n in DEFINED.findall(open(path).read())}
    return found


def sections(path):
    """{section: [(line, Go test, what is said of it)]}"""
    found, rows = {}, None
    for n, line in enumerate(open(path).read().split("\n"), 1):
        if line.startswith("## "):
            rows = found.setdefault(line[3:].strip().strip("`"), [])
            continue
        m = ROW.match(line)
        if rows is not None and m and m.group(1) != "Go":
            rows.append((n, m.group(1), m.group(2).strip()))
    return found


def go_files(section):
    """The files of Go that a section is about; none where they are not here."""
    if section.startswith("golang.org/"):
        module, _, rest = section.partition("/x/")[2].partition("/")
        cache = go_env("GOMODCACHE")
        versions = sorted(glob.glob(os.path.join(cache, "golang.org/x", module + "@*"))) if cache else []
        return [os.path.join(versions[-1], rest)] if versions and os.path.exists(os.path.join(versions[-1], rest)) else []
    if not go_env("GOVERSION").startswith(GO):
        return []
    head, brace, rest = section.partition("{")
    names, _, tail = rest.partition("}")
    return sorted(f for n in names.split(",") for f in glob.glob(os.path.join(go_env("GOROOT"), head + n + tail)))


def go_tests(section, files):
    if "*" in section or "{" in section:
        return {os.path.basename(f) for f in files}
    names = set()
    for f in files:
        names |= set(GO_TEST.findall(open(f).read())) - {"TestMain"}
        if not f.endswith("_test.go"):
            names.add(os.path.basename(f))
    return names


def check_section(where, section, rows, ours):
    """(complaints, whether Go's file was there to compare)"""
    bad, files = [], go_files(section)
    seen = set()
    for line, name, said in rows:
        named = OURS.findall(said)
        if name in seen:
            bad.append(f"{where}:{line}: {name} has two rows")
        seen.add(name)
        bad += [f"{where}:{line}: {name}: there is no test {x}" for x in named if x not in ours]
        if not named and not re.search(r"left out: \S", said):
            bad.append(f"{where}:{line}: {name}: neither a test of ours nor \"left out: why\"")
    if files:
        there = go_tests(section, files)
        bad += [f"{where}: {section}: {x} has no row" for x in sorted(there - seen)]
        bad += [f"{where}: {section}: Go has no {x}" for x in sorted(seen - there)]
    return bad, bool(files)


def result(test, bad, skip=""):
    if bad:
        counts[1] += 1
        print(f"FAIL {test}  replay: make test T={test}\n" + "".join(f"    {x}\n" for x in bad), end="")
    elif skip:
        counts[2] += 1
        print(f"SKIP {test}: {skip}")
    else:
        counts[0] += 1


def main():
    want = sys.argv[1] if len(sys.argv) > 1 else ""
    conf = defined("tests/conf/test_*.c")
    ours = conf | defined("tests/unit/test_*.c") | defined("tests/death/test_*.c") | {
        f"neg.{os.path.basename(f)[:-2]}" for f in glob.glob(os.path.join(ROOT, "tests/neg/*.c"))}
    named = set()
    for path in sorted(glob.glob(os.path.join(HERE, "LIST*.md"))):
        where = os.path.basename(path)
        found = sections(path)
        must = COVERED.get(where, "").split()
        for section in dict.fromkeys(must + list(found)):
            rows = found.get(section, [])
            for _, _, said in rows:
                named |= set(OURS.findall(said))
            test = "conf_list." + re.sub(r"\W+", "_", section.split("{")[0]).strip("_")
            if want not in test:
                continue
            bad, compared = check_section(where, section, rows, ours)
            if section not in found:
                bad.append(f"{where}: no section \"## {section}\"")
            if section not in must:
                bad.append(f"{where}: the section {section} is not in COVERED of tests/conf/check_list.py")
            result(test, bad, "" if compared else f"the rows name real tests, but no {GO} or module is here to compare them with")
    if want in "conf_list.orphans":
        result("conf_list.orphans", [f"no list names {x}" for x in sorted(conf - named)])
    print("%d passed, %d failed, %d skipped" % tuple(counts))
    sys.exit(1 if counts[1] else 0)


main()
