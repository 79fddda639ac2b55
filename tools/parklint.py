#!/usr/bin/env python3
"""tools/parklint.py [--expect] [FILE.c ...] - what a program keeps across a call that can park, and must not.

A goroutine may wake on another thread, where the addresses of errno and of thread-local variables are others. For programs
that use weft: without files, the crawler and the examples are read. Ends with 1 and a line for each of these:

  errno-address   &errno, or the C library's accessor by name: an address (weft.h's errno is asked anew at each use)
  thread-address  the address of one of the program's own thread-local variables, taken in a function that can park
  thread-kept     such a variable is used before and after a call that can park, or in a loop with one: a compiler may
                  work its address out once. Read and write it in a function of its own that is noinline and does not park.

A comment on the same line gives the reason why it may stay:  /* lint: why */.  Calls that can park are those that include/weft
marks WEFT_PARKS, macros that make them, and functions of the files read that call these, by name; a call through a
pointer is not seen. --expect compares the findings with the marks  /* KEEPS rule */  at the ends of lines instead.
"""
import glob, os, re, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BLANKED = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(|\b((?:weft_)?select_end)\b")
HANDED = re.compile(r"\b(?:weft_)?(?:try|defer|once_do|once_value)\s*\(((?:[^,()]|\([^()]*\))*,\s*)*?\s*&?(\w+)\s*[,)]")
ALONE = re.compile(r"\b(?:weft_)?(?:go|go_named|go_stack|waitgroup_go|errgroup_go|errgroup_try_go)\s*\(")
THREAD_LOCAL = re.compile(r"\b(?:_Thread_local|__thread|thread_local)\b([^;=]*?)\b(\w+)\s*(?:\[[^\]]*\]\s*)*[=;]")


def code_of(text):
    """The text with comments and literals turned into blanks; newlines stay."""
    return BLANKED.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def closing(code, at, pair="{}"):
    """The position after the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(code)):
        depth += (code[i] == pair[0]) - (code[i] == pair[1])
        if depth == 0:
            return i + 1
    return len(code)


def functions(code):
    """(name, start, end) of each body whose brace stands alone at column 0 below its head, or ends its head's line."""
    at = 0
    for m in re.finditer(r"^(?![#\s}])[^\n;{}#]*?\b(\w+)\s*\([^;{}]*\)\s*\{", code, re.M):
        if m.start() >= at and m.group(1) not in ("if", "for", "while", "switch"):
            at = closing(code, m.end() - 1)
            yield m.group(1), m.end() - 1, at


def header_parks():
    """Names of the library that can park: marked functions, then inline functions and macros that use these."""
    bodies, parks = {}, set()
    for path in glob.glob(os.path.join(ROOT, "include", "weft", "*.h")):
        code = code_of(open(path, encoding="utf-8").read())
        plain = re.sub(r"weft_(receiver|sender|chan)\([^()]*\)", "ch", code)
        for m in re.finditer(r"\bWEFT_PARKS\b[^;{}()]*?\(?\b(weft_\w+)\)?\s*\(", plain):
            parks.add(m.group(1))
        for name, start, end in functions(code):
            bodies[name] = code[start:end]
        for m in re.finditer(r"^#define (\w+)((?:.*\\\n)*.*)", code, re.M):
            bodies[m.group(1)] = m.group(2)
    return spread(parks, bodies)


def spread(parks, bodies):
    """parks, and every name whose body names one of them, until nothing is added."""
    words = {name: set(re.findall(r"\b\w+\b", body)) for name, body in bodies.items()}
    while True:
        more = {name for name, used in words.items() if name not in parks and used & parks}
        if not more:
            return parks
        parks |= more


class Source:
    def __init__(self, path):
        self.path = path
        self.text = open(path, encoding="utf-8").read()
        self.code = code_of(self.text)
        self.lines = self.text.split("\n")
        self.functions = list(functions(self.code))
        self.locals = {m.group(2) for m in THREAD_LOCAL.finditer(self.code)}

    def line(self, at):
        return self.code.count("\n", 0, at) + 1

    def calls(self, start, end):
        """(position, name) of what the code between calls itself, not what it hands to another goroutine."""
        body = self.code[start:end]
        for m in CALL.finditer(body):
            if not ALONE.match(body, m.start()):
                yield start + m.start(), m.group(1) or m.group(2)
        for m in HANDED.finditer(body):
            yield start + m.start(), m.group(2)


def loops(code, start, end):
    """(start, end) of each loop with a braced body, and of one with a single statement."""
    for m in re.finditer(r"\b(?:for|while|weft_range|range)\s*\(|\bdo\s*\{", code[start:end]):
        at = start + m.end() - 1
        if code[at] == "(":
            at = closing(code, at, "()")
            while at < end and code[at].isspace():
                at += 1
        yield start + m.start(), closing(code, at) if code[at] == "{" else code.find(";", at, end) + 1


def look(source, parks, say):
    for m in re.finditer(r"(?<!&)&\s*\(?\s*errno\b|\b__errno_location\b", source.code):
        say(source, m.start(), "errno-address", "ask for errno where it is needed, keep no address of it")
    for name, start, end in source.functions:
        stops = [at for at, called in source.calls(start, end) if called in parks]
        for v in source.locals if stops else ():
            uses = [m for m in re.finditer(rf"(?<![\w.>]){v}\b", source.code[start:end])]
            uses = [start + m.start() for m in uses]
            for u in uses:
                if re.search(r"(?<!&)&\s*\(?\s*$", source.code[start:u]):
                    say(source, u, "thread-address", f"{v} has another address on each thread, and {name} can park")
                elif any(uses[0] < p < u for p in stops) or any(
                        a <= u < b and any(a <= p < b for p in stops) for a, b in loops(source.code, start, end)):
                    say(source, u, "thread-kept", f"{v} is thread-local, and {name} parks between two uses")


def main():
    args = [a for a in sys.argv[1:] if a != "--expect"]
    expect = "--expect" in sys.argv[1:]
    paths = args or sorted(glob.glob(os.path.join(ROOT, "crawl", "**", "*.[ch]"), recursive=True) +
                           glob.glob(os.path.join(ROOT, "examples", "**", "*.c"), recursive=True))
    files = [Source(p) for p in paths]
    bodies = {}
    for f in files:
        for name, start, end in f.functions:
            called = " ".join(n for _, n in f.calls(start, end))
            bodies[name] = bodies.get(name, "") + " " + called
    parks = spread(header_parks(), bodies)
    found = {}

    def say(source, at, rule, what):
        n = source.line(at)
        if "/* lint: " not in source.lines[n - 1]:
            found.setdefault((source.path, n, rule), what)

    for f in files:
        look(f, parks, say)
    if expect:
        marks = {(f.path, n, m.group(1)) for f in files for n, line in enumerate(f.lines, 1)
                 for m in [re.search(r"/\* KEEPS ([\w-]+) \*/$", line)] if m}
        wrong = [f"{p}:{n}: {r} not found" for p, n, r in sorted(marks - set(found))]
        wrong += [f"{p}:{n}: {r} found, not marked" for p, n, r in sorted(set(found) - marks)]
    else:
        wrong = [f"{os.path.relpath(p)}:{n}: {r}: {what}" for (p, n, r), what in sorted(found.items())]
    print("".join(w + "\n" for w in wrong) + f"parklint: {len(files)} files, {len(wrong)} findings")
    return 1 if wrong else 0


sys.exit(main())
