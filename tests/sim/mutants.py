"""tests/sim/mutants.py - faults that the simulation must find: one change each to a copy of one of the library's files.

The copy is compiled with the flags of the simulation's own build and linked in front of the library; the named tests must
fail for some seed. A change whose text is no longer in the file is a failure too: write it anew for the present code.
"""
import json, os, re, shlex, subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEEDS = 4000    # at most; the first three that fail end it: the rarest fault shows itself in one run of 400
POINTS = 20000000

# (name, file, text, its replacement, binary, tests)
MUTANTS = [
    ("a_claim_without_its_barrier", "src/sched/monitor.c",
     "weft__sys_barrier_all(); /* M1 sb: pays for the owner's missing fence */", "", "go", "go.trees"),
    ("ready_before_the_stack_is_saved", "src/sched/ready.c",
     "while (weft__unlikely(atomic_load_explicit(&g->sw.on_cpu, memory_order_acquire) != 0)) /* G1 */", "while (0)", "cond", "on_8_procs"),
    ("an_unlock_that_does_not_look_again", "src/sync/mutex.c",
     "        if (!w) {\n            weft__line_unlock(&m->weft__line);\n            return false;\n        }\n",
     "        if (!w) {\n            weft__line_unlock(&m->weft__line);\n"
     "            atomic_fetch_and_explicit(&m->weft__state, ~(uint32_t)LOCKED, memory_order_release);\n            return true;\n        }\n",
     "cond", "on_8_procs"),
    ("a_wait_that_forgets_its_ticket", "src/sync/cond.c",
     "bool woken = (int32_t)(ticket - atomic_load_explicit(&c->weft__served, memory_order_relaxed)) < 0;", "bool woken = false;",
     "cond", "no_wake_is_lost"),
    ("a_watch_on_a_context_that_has_ended", "src/ctx/cancel.c",
     "bool open = atomic_load_explicit(&n->err, memory_order_relaxed) == 0;    /* CT6 */", "bool open = true;", "prop", "while_the_end_comes"),
    ("a_select_that_leaves_its_timer_behind", "src/chan/select.c",
     "while (!atomic_load_explicit(&f->claim.timer_done, memory_order_acquire)) /* K3 */", "while (0)", "select", "race_cleanly"),
    ("a_discard_before_the_stack_is_saved", "src/sched/scavenge.c",
     "atomic_load_explicit(&g->sw.on_cpu, memory_order_acquire) == 0) { /* G1 */", "true) {", "prop", "on_its_stack"),
    ("a_ready_that_does_not_see_the_hold", "src/sched/ready.c", "    weft__hold_check(g);\n", "", "prop", "on_its_stack"),
    ("a_taker_taken_before_its_stack_is_saved", "src/sched/taker.c",
     "if (weft__unlikely(atomic_load_explicit(&g->sw.on_cpu, memory_order_acquire) != 0)) /* G1, Q4 */", "if (0)", "taker", "may_meet"),
    ("a_theft_that_leaves_the_bytes_behind", "src/sched/runq.c",
     "weft__runq_add_taker(to, weft__taker_of(r), from->ring[from->slots + at]);", "weft__runq_add_taker(to, weft__taker_of(r), 0);",
     "taker", "are_stolen"),
    ("a_start_that_does_not_see_the_hold", "src/sched/g.c", "    weft__hold_check(g);\n", "", "prop", "on_its_stack"),
]


def patched(build, mutant, out_dir):
    """Compiles the changed copy; (object, None) or (None, why not)."""
    name, path, text, by, *_ = mutant
    source = open(os.path.join(ROOT, path), encoding="utf-8").read()
    if source.count(text) != 1:
        return None, f"the text to change is {source.count(text)} times in {path}: write the mutant anew"
    copy = os.path.join(out_dir, f"{name}.c")
    open(copy, "w", encoding="utf-8").write(source.replace(text, by))
    for c in json.load(open(os.path.join(build, "compile_commands.json"))):
        if "weft_instrumented" in c["output"] and os.path.abspath(os.path.join(c["directory"], c["file"])) == os.path.join(ROOT, path):
            cmd = shlex.split(c["command"])
            break
    else:
        return None, f"{path} is not in the simulation's build"
    cmd = [copy if a == c["file"] else a for a in cmd]
    obj = copy[:-2] + ".o"
    for flag in ("-o", "-MQ", "-MF"):
        cmd[cmd.index(flag) + 1] = obj + (".d" if flag == "-MF" else "")
    cmd += ["-iquote", os.path.dirname(os.path.join(ROOT, path)), "-w"]
    p = subprocess.run(cmd, cwd=c["directory"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return (obj, None) if p.returncode == 0 else (None, p.stdout)


def link(build, binary, obj):
    p = subprocess.run(["ninja", "-C", build, "-t", "commands", f"tests/sim/sim_{binary}"], stdout=subprocess.PIPE, text=True)
    cmd = shlex.split(p.stdout.strip().splitlines()[-1])
    out = obj[:-2]
    cmd[cmd.index("-o") + 1] = out
    cmd.insert(cmd.index("-o") + 2, obj)
    p = subprocess.run(cmd, cwd=build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return (out, None) if p.returncode == 0 else (None, p.stdout)


def check(build, mutant):
    """(caught, report)"""
    name, _, _, _, binary, tests = mutant
    out_dir = os.path.join(build, "tests", "sim", "mutants")
    os.makedirs(out_dir, exist_ok=True)
    obj, why = patched(build, mutant, out_dir)
    exe, why = link(build, binary, obj) if obj else (None, why)
    if not exe:
        return False, why
    p = subprocess.run([exe, "-j", str(os.cpu_count()), "--list", "/dev/null", "--seeds", str(SEEDS), "--points", str(POINTS), tests],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    os.unlink(exe)
    seeds = re.findall(r"^FAIL .*WEFT_SIM=(\w+)", p.stdout, re.M)
    runs = re.search(r"^runs (\d+)$", p.stdout, re.M)
    if not seeds or not runs:
        return False, "no seed finds it:\n" + p.stdout[-2000:]
    return True, f"found in {runs[1]} runs by seeds {' '.join(seeds)}"
