#!/usr/bin/env python3
"""tools/layers.py - who may include whom; ends with 1 and a line for each #include that breaks it.

A folder of src/ includes its own layer and lower ones. crawl/ and examples/ see include/weft only. include/weft includes
itself and the C library. See docs/map.md.
"""
import os, re, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAYER = {"base": 0, "arch": 1, "sys": 1, "sched": 2, "poll": 2, "diag": 2, "chan": 3, "sync": 3, "ctx": 3, "unwind": 3,
         "io": 4, "net": 4, "http": 5, "posix": 5, "sim": 6}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def sources(*tops):
    for top in tops:
        for folder, dirs, files in os.walk(os.path.join(ROOT, top)):
            dirs.sort()
            for f in sorted(files):
                if f.endswith((".c", ".h", ".S", ".def")):
                    yield os.path.relpath(os.path.join(folder, f), ROOT)


def includes(path):
    for n, line in enumerate(open(os.path.join(ROOT, path), encoding="utf-8"), 1):
        m = INCLUDE.match(line)
        if m:
            yield n, m.group(1), m.group(2)


def resolve(path, name):
    """What a quoted include means: beside the file first, then src/ and the root, as the build has it."""
    for base in (os.path.dirname(path), "src", ""):
        p = os.path.normpath(os.path.join(base, name))
        if os.path.exists(os.path.join(ROOT, p)):
            return p
    return None


def layer(path):
    part = path.split(os.sep)
    return LAYER.get(part[1]) if len(part) > 2 and part[0] == "src" else None


def complaint(path, kind, name):
    top = path.split(os.sep)[0]
    to = resolve(path, name) if kind == '"' else None
    if kind == '"' and to is None:
        return "is found nowhere"
    inside = to.split(os.sep)[0] if to else None
    if top == "src":
        if inside not in (None, "src"):
            return f"src/ may not see {inside}/"
        if to and layer(to) is None:
            return "has no layer: see LAYER in tools/layers.py"
        if to and layer(to) > layer(path):
            return f"is layer {layer(to)}, above this file's {layer(path)}"
    elif inside == "src" or (kind == "<" and name.startswith("src/")):
        return f"{top}/ may see include/weft only, not src/"
    elif top == "include" and kind == '"':
        return "a public header includes <weft/...> or the C library"
    return None


def main():
    bad = count = 0
    for path in sources("src", "crawl", "examples", "include"):
        if path.startswith("src" + os.sep) and layer(path) is None:
            print(f"{path}:1: a folder without a layer: see LAYER in tools/layers.py")
            bad += 1
            continue
        for n, kind, name in includes(path):
            count += 1
            why = complaint(path, kind, name)
            if why:
                print(f"{path}:{n}: {name} {why}")
                bad += 1
    print(f"layers: {count} includes, {bad} against the layers")
    return 1 if bad else 0


sys.exit(main())
