#!/usr/bin/env python3
"""tools/lint.py - the rules of style that a script can check; ends with 1 and a line for each finding.

  comment    // comments
  tab        tabs, blanks at the end of a line, lines over 140 columns, a file without a newline at its end
  file       a file over 600 lines (tests 800)           function   a function over 70 lines
             (a reason in the file's opening comment allows both:  Long  why)
  banned     calls with a better way here (BANNED); system calls outside src/sys, in src/
             (a comment on the same line gives the reason why it may stay:  /* lint: why */)
  docs       a WEFT_API function without a /** block that names it
  opening    a .c or .h file without an opening comment that starts with its name
"""
import os, re, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILE_MAX, FUNCTION_MAX, COLUMNS_MAX = 600, 70, 140
TESTS_FILE_MAX, TESTS_COLUMNS_MAX = 800, 160      # a suite is a list; regular expressions do not wrap
BANNED = {
    "strcpy": "snprintf or memcpy with a length", "strcat": "snprintf", "sprintf": "snprintf", "vsprintf": "vsnprintf",
    "gets": "fgets", "strtok": "strcspn and strspn", "rand": "the runtime's random numbers", "srand": "", "random": "",
    "alloca": "a fixed buffer or the heap", "atoi": "strtol with a check", "setjmp": "weft_try", "longjmp": "weft_panic",
}
BANNED_IN_SRC = {
    "sleep": "weft_sleep", "usleep": "weft_sleep", "nanosleep": "src/sys", "time": "src/sys", "gettimeofday": "src/sys",
    "clock_gettime": "src/sys", "getrandom": "src/sys", "mmap": "src/sys", "munmap": "src/sys", "getaddrinfo": "c-ares",
    "gethostbyname": "c-ares", "poll": "src/poll", "fork": "nothing: it does not go with threads",
}
# (folder, name) that BANNED_IN_SRC does not hold for, and why.
ALLOWED = {
    ("src/base/lock.h", "clock_nanosleep"): "the nap of a spinner; base is below sys",
    ("src/diag/", "mmap"): "a report trusts neither the allocator nor the runtime that it reports on",
    ("src/diag/", "munmap"): "as mmap",
    ("src/posix/", "poll"): "it is defined there",
    ("src/posix/", "nanosleep"): "as poll",
    ("src/posix/", "usleep"): "as poll",
    ("src/posix/", "sleep"): "as poll",
    ("src/diag/", "nanosleep"): "waits for another dying thread, from a signal handler",
}
BANNED_SKIP = ("src/sys/", "tests/", "bench/")
BLANKED = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
found = []


def say(path, line, rule, what):
    found.append(f"{path}:{line}: {rule}: {what}")


def sources(*tops):
    for top in tops:
        for folder, dirs, files in os.walk(os.path.join(ROOT, top)):
            dirs.sort()
            for f in sorted(files):
                if f.endswith((".c", ".h", ".S", ".def")):
                    yield os.path.relpath(os.path.join(folder, f), ROOT)


def code_of(text):
    """The text with comments and literals turned into blanks; newlines stay."""
    return BLANKED.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def check_lines(path, text):
    columns_max = TESTS_COLUMNS_MAX if path.startswith("tests/") else COLUMNS_MAX
    for m in BLANKED.finditer(text):
        if m.group(0).startswith("//"):
            say(path, text.count("\n", 0, m.start()) + 1, "comment", "// is for your own debugging; use /* */")
    for n, line in enumerate(text.split("\n"), 1):
        if "\t" in line and not path.endswith(".S"):
            say(path, n, "tab", "a tab; use blanks")
        if line != line.rstrip():
            say(path, n, "tab", "blanks at the end")
        if len(line) > columns_max:
            say(path, n, "tab", f"{len(line)} columns, at most {columns_max}")
    if text and not text.endswith("\n"):
        say(path, text.count("\n") + 1, "tab", "no newline at the end of the file")


def functions(code):
    """(name, first line, last line) of each function body: a brace at column 0 after a line that ends a parameter list."""
    lines = code.split("\n")
    start = name = None
    for n, line in enumerate(lines):
        if line.startswith("{") and n and lines[n - 1].rstrip().endswith((")", ",")):
            start = n
            head = " ".join(lines[max(0, n - 6):n])
            calls = re.findall(r"(\w+)\s*\(", head)
            name = calls[-1] if calls else "?"
        elif line.startswith("}") and start is not None:
            yield name, start + 1, n + 1
            start = None


def check_sizes(path, text, code):
    opening = re.match(r"\s*/\*.*?\*/", text, re.S)
    if opening and re.search(r"^ \* Long\b", opening.group(0), re.M):
        return
    lines_max = TESTS_FILE_MAX if path.startswith("tests/") else FILE_MAX
    if text.count("\n") > lines_max:
        say(path, text.count("\n"), "file", f"{text.count(chr(10))} lines, at most {lines_max}")
    for name, first, last in functions(code):
        if last - first - 1 > FUNCTION_MAX:
            say(path, first, "function", f"{name} has {last - first - 1} lines, at most {FUNCTION_MAX}")


def check_banned(path, text, code):
    lines = text.split("\n")
    if path.startswith(BANNED_SKIP):
        return
    names = dict(BANNED, **(BANNED_IN_SRC if path.startswith("src/") else {}))
    for m in re.finditer(r"(?<![\w.>])(%s)\s*\(" % "|".join(names), code):
        line = code.count("\n", 0, m.start()) + 1
        allowed = any(path.startswith(where) and m.group(1) == name for where, name in ALLOWED)
        if not allowed and not re.search(r"/\* lint: \w", lines[line - 1]):
            say(path, line, "banned", f"{m.group(1)}: {names[m.group(1)] or 'not here'}")


def check_docs(path, text):
    """Every WEFT_API function of a public header is named in a /** block before it, or stands right below one."""
    code, named, below, in_group = code_of(text), set(), set(), False
    for m in re.finditer(r"/\*\*(.*?)\*/", text, re.S):
        named |= {(m.start(), w) for w in re.findall(r"\bweft_\w+", m.group(1))}
    for n, line in enumerate(text.split("\n"), 1):
        in_group = in_group and bool(line.strip()) or line.startswith("/**")
        if in_group:
            below.add(n)
    for m in re.finditer(r"^(?:extern )?WEFT_API\b([^;{]*)", code, re.M):
        head = re.sub(r"weft_(receiver|sender|chan)\([^()]*\)", "", m.group(1))
        name, line = re.search(r"\b(weft_\w+)\s*\(", head), code.count("\n", 0, m.start()) + 1
        if not name or name.group(1).startswith("weft__") or line in below:
            continue
        if not any(w == name.group(1) and pos < m.start() for pos, w in named) and name.group(1) != "weft_errno_location":
            say(path, line, "docs", f"{name.group(1)} has no /** block that names it, or that it stands below")


def check_opening(path, text):
    m = re.match(r"\s*/\*+(.*?)\*/", text, re.S)
    name = os.path.basename(path)
    if not m or name not in m.group(1).strip().split("\n")[0]:
        say(path, 1, "opening", f"the file starts with a comment whose first line names {name} and says what it is")


def main():
    count = 0
    for path in sources("include", "src", "crawl", "examples", "tests", "bench"):
        text = open(os.path.join(ROOT, path), encoding="utf-8").read()
        code = code_of(text)
        count += 1
        check_lines(path, text)
        if not path.startswith("tests/neg/"):
            check_sizes(path, text, code)
        check_banned(path, text, code)
        if path.startswith("include/"):
            check_docs(path, text)
        if path.startswith(("include/", "src/", "crawl/")) and path.endswith((".c", ".h")):
            check_opening(path, text)
    for f in found:
        print(f)
    print(f"lint: {count} files, {len(found)} findings")
    return 1 if found else 0


sys.exit(main())
