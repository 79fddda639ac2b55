#!/usr/bin/env python3
"""tools/apicheck.py [--page API.md] [-v] - the public API is there, documented in one form.

NAMES is the list of calls that programs are promised, by section of the API page. For each of them, and for every other
WEFT_API function of include/weft:

  declared  a function, macro or type of that name is in include/weft
  block     a /** block names it: "weft_x_y, _z - what it does" (_z stands for weft_x_z)
  params    a block in the long form says what each number, duration and out-parameter is; a time has its unit
  returns   what it returns is said
  errors    where it returns a weft_err: which, or whose
  parks     whether it parks is said, in the block or at the head of the header; a WEFT_PARKS call has it in the block
  owns      who gives back what it hands out (a new object through a ret_ pointer or as its result)
  source    where its meaning comes from, in the block or at the head of the header

  tested    a test in tests/unit, tests/death or tests/conf uses it
  told      what a block says that a call panics or ends the process with stands in a test, too

  example   each section has two examples, by examples/README.md, which lists every example

With --page it compares NAMES with the names in the page instead: those of the page that are missing here. Ends with 1 and
a line for each finding.
"""
import glob, os, re, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAMES = {
    "Program": """go go_named yield goexit sleep procs num_goroutines goid lock_thread unlock_thread block_begin block_end""",
    "Channels": """chan sender receiver make free send recv recv_ok try_send try_recv close len cap range select on_recv
        on_recv_ok on_send on_send_ptr on_timeout on_default selectv case select_begin select_end when_recv""",
    "Time": """dur now timer timer_start timer_stop timer_reset timer_chan ticker ticker_start ticker_stop ticker_reset
        ticker_chan after_func""",
    "sync": """mutex mutex_lock mutex_try_lock mutex_unlock rwmutex rwmutex_rlock rwmutex_runlock rwmutex_lock rwmutex_unlock
        rwmutex_try_rlock rwmutex_try_lock waitgroup waitgroup_add waitgroup_done waitgroup_wait waitgroup_go once once_do cond
        cond_wait cond_signal cond_broadcast sem sem_init sem_acquire sem_try_acquire sem_release pool pool_get pool_put map
        map_key map_load map_store map_load_or_store map_load_and_delete map_delete map_swap map_compare_and_swap
        map_compare_and_delete map_clear map_range errgroup errgroup_init errgroup_go errgroup_try_go errgroup_set_limit
        errgroup_wait limiter limiter_init limiter_wait limiter_allow limiter_reserve limiter_set_limit limiter_set_burst
        limiter_tokens singleflight singleflight_do singleflight_forget singleflight_chan once_value""",
    "context": """ctx background with_cancel with_timeout with_deadline with_value cancel cancel_cause ctx_done ctx_err ctx_cause
        ctx_deadline ctx_value without_cancel with_timeout_cause with_deadline_cause ctx_after_func ctx_after_func_stop ctx_ref
        ctx_unref""",
    "defer, panic, recover": """defer panic try""",
    "errors": """err strerror""",
    "net and http": """listen accept dial conn_read conn_write listener conn conn_close conn_set_deadline
        conn_set_read_deadline conn_set_write_deadline conn_local conn_remote tls_client tls_server resolve http_get fd_wait
        signal_notify listener_addr listener_close signal_stop""",
    "Fine print": "",
}
# Types and words that are used with others, or explained where they are: declared is enough.
PLAIN = set("""chan sender receiver case dur timer ticker mutex rwmutex waitgroup once cond sem pool map map_key errgroup limiter
    singleflight ctx err listener conn on_default on_send_ptr select_begin select_end when_recv""".split())
NAME = r"(?:weft_\w+(?:\((?:[^()]|\([^()]*\))*\))?|_\w+)"
HEAD = re.compile(rf"(?:^|[\s.;])((?:{NAME})(?:\s*,\s*{NAME})*)\s+-\s", re.M)
found = []


def say(where, rule, what):
    found.append(f"{where}: {rule}: {what}")


class Header:
    """One header: its opening comment, its /** blocks in order, what it declares."""

    def __init__(self, path):
        self.path = os.path.relpath(path, ROOT)
        self.text = open(path, encoding="utf-8").read()
        self.opening = self.text[:self.text.find("*/")]
        self.blocks = [(m.start(), m.end(), " ".join(re.sub(r"^\s*\*? ?", "", m.group(1), flags=re.M).split()), m.group(1))
                       for m in re.finditer(r"/\*\*(.*?)\*/", self.text, re.S)]
        code = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), self.text, flags=re.S)
        self.functions = {}            # name -> (position, declaration up to ";")
        for m in re.finditer(r"^(?:extern )?WEFT_API\b[^;{]*", code, re.M):
            flat = re.sub(r"weft_(receiver|sender|chan)\(([^()]*)\)", r"\1_of", m.group(0))
            name = re.search(r"\(?\b(weft_\w+)\)?\s*\(", flat)
            if name and not name.group(1).startswith("weft__"):
                self.functions[name.group(1)] = (m.start(), flat)
        self.macros = {m.group(1): m.start() for m in re.finditer(r"^#define (weft_\w+)", code, re.M)}
        self.inlines = {m.group(1): m.start() for m in re.finditer(r"^static inline [^;{]*?\b(weft_[a-z]\w*)\(", code, re.M)}
        self.types = set(re.findall(r"typedef [^;{]*?\b(weft_\w+);", code)) | set(re.findall(r"\} (weft_\w+);", code)) | \
            set(re.findall(r"^struct (weft_\w+)", code, re.M))
        self.lines = lambda pos: f"{self.path}:{self.text.count(chr(10), 0, pos) + 1}"

    def declares(self):
        return set(self.functions) | set(self.macros) | set(self.inlines) | self.types


def names_of(text, declared):
    """The names that a block is about: before " - ", with _short forms written out."""
    names = []
    for m in HEAD.finditer(text):
        for n in re.findall(NAME, m.group(1)):
            n = n.split("(")[0]
            if n.startswith("_"):
                parts = names[0].split("_") if names else []
                forms = ["_".join(parts[:i]) + n for i in range(len(parts), 0, -1)]
                n = next((f for f in forms if f in declared), n)
            names.append(n)
    return names


def block_of(header, name, pos, by_name):
    """The /** block that names it, or the nearest one above with nothing but declarations, no blank line, between."""
    if name in by_name:
        return by_name[name]
    above = [b for b in header.blocks if b[1] <= pos]
    if above and "\n\n" not in header.text[above[-1][1]:pos]:
        return above[-1]
    return None


def params_of(declaration):
    inside = declaration[declaration.index("(", declaration.index("weft_")) + 1:]
    if re.match(r"\w+\)\(", declaration[declaration.index("weft_"):]):      # WEFT_API void(weft_close)(...)
        inside = inside[inside.index("(") + 1:] if "(" in inside else inside
    params, depth, start = [], 0, 0
    for i, c in enumerate(inside):
        depth += (c == "(") - (c == ")")
        if depth < 0 or (c == "," and depth == 0):
            params.append(inside[start:i])
            start = i + 1
        if depth < 0:
            break
    out = []
    for p in params:
        m = re.search(r"\(\*(\w+)\)", p) or re.search(r"(\w+)\s*(?:\[[^]]*\])?\s*$", p)
        if m and p.strip() not in ("void", "...", ""):
            out.append((p.strip(), m.group(1)))
    return out


def check_function(header, name, block, by_name):
    pos, declaration = header.functions[name]
    where, text, long_form = header.lines(pos), block[2], "\n" in block[3].strip()
    before = declaration[:declaration.index(name)]
    result = re.sub(r"\b(WEFT_\w+|extern|inline|_Noreturn|const|__attribute__\s*\(\(.*?\)\))\b", "", before).strip(" (")
    said = text + " " + header.opening
    if long_form:
        for p, var in params_of(declaration):
            timed = re.match(r"(const )?weft_(dur|time)\b", p)
            counted = re.match(r"(size_t|u?int\d*_t|int|double|ssize_t) ", p) or "ret_" in var
            short = var.replace("ret_", "")
            if (timed or counted) and not re.search(rf"\b(ret_)?{short}\b", text):
                say(where, "params", f"{name} does not say what {var} is")
            if timed and not re.search(r"\bns\b|nanosecond|instant|weft_now|duration", text):
                say(where, "params", f"{name} gives no unit for {var}")
    if result not in ("void", "") and not re.search(
            r"[Rr]eturns?\b|whether|true|false|NULL| - (a|the|what|why|one|value|field|bytes|0|that|how|number|goroutines|monotonic|something)", text):
        say(where, "returns", f"{name} does not say what it returns")
    if re.search(r"\bweft_err\b", result) and not re.search(r"WEFT_E|-errno|-E[A-Z]{3,}|as weft_|fn's", text):
        say(where, "errors", f"{name} does not say which errors")
    parks = "WEFT_PARKS" in before
    if not re.search(r"\b[Pp]arks?\b", text if parks and long_form else said):
        say(where, "parks", f"{name} does not say whether it parks")
    if re.search(r"weft_(conn|listener|http_\w+|ctx) \*\*ret_", declaration) and not re.search(
            r"free|close|unref|own|lent|caller", text + header.opening, re.I):
        say(where, "owns", f"{name} does not say who gives back what it hands out")
    if "Source" not in said and not re.search(r"\bGo'?s? ", said):
        say(where, "source", f"{name} has no source, nor has the head of {header.path}")


def check_headers():
    headers = [Header(p) for p in sorted(glob.glob(os.path.join(ROOT, "include/weft/*.h")))]
    declared = set().union(*(h.declares() for h in headers))
    promised = {f"weft_{n}" for names in NAMES.values() for n in names.split()}
    for n in sorted(promised - declared):
        say("include/weft", "declared", f"{n} is in no header")
    for h in headers:
        by_name = {}
        for b in h.blocks:
            for n in names_of(b[2], declared):
                by_name.setdefault(n, b)
        for name in sorted(h.functions):
            block = block_of(h, name, h.functions[name][0], by_name)
            if name == "weft_errno_location":       # behind the word errno, which the comment above it explains
                continue
            if not block:
                say(h.lines(h.functions[name][0]), "block", f"{name} has no /** block")
            else:
                check_function(h, name, block, by_name)
        for name, pos in list(h.macros.items()) + list(h.inlines.items()):
            if name in promised and name not in h.functions and name[5:] not in PLAIN:
                block = block_of(h, name, pos, by_name)
                if not block:
                    say(h.lines(pos), "block", f"{name} has no /** block")
                elif "Source" not in block[2] + h.opening and "Go" not in block[2] + h.opening:
                    say(h.lines(pos), "source", f"{name} has no source")
    check_tests(headers, promised)
    return len(promised), sum(len(h.functions) for h in headers)


def check_tests(headers, promised):
    text = "".join(open(p, encoding="utf-8").read() for kind in ("unit", "death", "conf")
                   for p in glob.glob(os.path.join(ROOT, "tests", kind, "*.[ch]")))
    used = set(re.findall(r"\bweft_\w+", text))
    for h in headers:
        for name in sorted((set(h.functions) | (promised & h.declares())) - used - {"weft_errno_location"}):    # the word errno
            say(h.path, "tested", f"no test uses {name}")
        for start, _, flat, _ in h.blocks:
            for said in re.findall(r"\b(?:[Pp]anics?|Ends|fatal error)\b[^.]*", flat):
                for words in re.findall(r'"([^"]+)"', said):
                    pattern = re.escape(words.replace("fatal error: ", "")).replace(r"\ N\ ", r"\ \d+\ ")
                    if not re.search(pattern, text):
                        say(h.lines(start), "told", f"no test expects \"{words}\"")


def check_examples():
    rows = re.findall(r"^\| *([^|]+?) *\| *(\w+\.c) *\|", open(os.path.join(ROOT, "examples/README.md"), encoding="utf-8").read(), re.M)
    there = {os.path.basename(p) for p in glob.glob(os.path.join(ROOT, "examples/*.c"))}
    listed = {f for _, f in rows}
    for f in sorted(there - listed):
        say("examples/README.md", "example", f"{f} is not listed")
    for f in sorted(listed - there):
        say("examples/README.md", "example", f"there is no {f}")
    for section in NAMES:
        if sum(s == section for s, _ in rows) < 2:
            say("examples/README.md", "example", f"fewer than two examples of {section}")
    for f in sorted(there):
        if not os.path.exists(os.path.join(ROOT, "examples", f[:-2] + ".out")):
            say(f"examples/{f}", "example", "has no .out that says what it prints")


def names_in_page(path):
    """The names in the page's backquotes; _forms follow the name of the row's type, or the last whole name's stem."""
    names = set()
    for line in open(path, encoding="utf-8"):
        row = re.match(r"\| `(weft_\w+)` \|", line)
        stem = row.group(1) if row else None
        for span in re.findall(r"`([^`]*)`", line):
            for whole, slashes, part in re.findall(r"\b(weft_[a-z0-9_]+)((?:/[a-z]+)*)|(?<![\w])(_[a-z][a-z_]*)", span):
                if whole:
                    names.add(whole)
                    for s in slashes.split("/")[1:]:
                        names.add(whole[:whole.rindex("_") + 1] + s)
                    if not row:
                        stem = whole[:whole.rindex("_")]
                elif part != "_Noreturn" and stem and not part.endswith("_"):
                    names.add(stem + part)
    return names


def main():
    if "--page" in sys.argv:
        page = names_in_page(sys.argv[sys.argv.index("--page") + 1])
        promised = {f"weft_{n}" for names in NAMES.values() for n in names.split()}
        for n in sorted(page - promised):
            say("page", "missing", f"{n} is not in NAMES of tools/apicheck.py")
        if "-v" in sys.argv:
            print("not found in the page as such:", " ".join(sorted(promised - page)))
        print("\n".join(found))
        return bool(found)
    names, functions = check_headers()
    check_examples()
    print("\n".join(found + [f"apicheck: {names} names, {functions} functions, {len(found)} findings"]))
    return bool(found)


sys.exit(main())
