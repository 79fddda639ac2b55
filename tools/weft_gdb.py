"""weft_gdb.py - goroutines in gdb, in a live process and in a core file: `source tools/weft_gdb.py`.

    info goroutines                 number, state or what it waits for, name, where it was created
    goroutine N bt [options]        back trace of goroutine N; any other gdb command runs in N's frame that called weft
    goroutine all bt [options]      the same for each of them
    goroutine N frame K [command]   frame K of that back trace selected; then the command, say `info locals`

How     A goroutine that is on a thread is shown by that thread. Of a parked one the switch has saved the registers on its
        stack (src/arch/.../switch.S); an unwinder presents them as the caller of the innermost frame, and that frame is
        left out of what is printed. No register and no memory is written, so a core file will do.
Needs   gdb 8 or later with Python; debug information in libweft (every build of the Makefile has it).
Limits  A process that was stopped inside of a switch may show one goroutine wrongly; go on and stop again.
"""
import re

import gdb
import gdb.unwinder

DEAD, RUNNABLE, RUNNING, PARKED = range(4)
IS_SPAWN, IS_TAKER = 1, 2

# What weft__arch_switch leaves at a parked goroutine's sp: registers from low to high, at which word the return address
# is, and how many bytes it takes in all.
FRAMES = {
    "i386:x86-64": ("rsp", "rip", ["r15", "r14", "r13", "r12", "rbx", "rbp"], 6, 56),
}


class WeftError(gdb.GdbError):
    pass


def frame_layout():
    name = gdb.selected_inferior().architecture().name() if hasattr(gdb.Inferior, "architecture") else "i386:x86-64"
    if name not in FRAMES:
        raise WeftError(f"weft_gdb.py does not know how goroutines are saved on {name}")
    return FRAMES[name]


def word(value):
    """An integer, also of an _Atomic."""
    return int(value.cast(gdb.lookup_type("unsigned long")))


def symbol(name):
    found = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    if found is None:
        raise WeftError(f"no symbol {name}: not a weft program, or libweft has no debug information")
    return found.value()


def text(value):
    return value.string(errors="replace") if int(value) else ""


class Goroutine:
    def __init__(self, g, queued=()):
        self.g = g
        self.id = word(g["id"])
        self.state = word(g["state"]) & 7  # without the flag of sched/scavenge.c
        if self.state == PARKED and int(g.address) in queued:
            self.state = RUNNABLE

    @property
    def waits_for(self):
        if self.state == PARKED:
            return text(symbol("worker_wait_text")[word(self.g["wait"])])
        return {RUNNABLE: "runnable", RUNNING: "running"}.get(self.state, "dead")

    @property
    def name(self):
        site = self.g["site"]
        if int(self.g["is_main"]):
            return "main"
        return text(site.dereference()["name"]) if int(site) else "a thread of the program"

    @property
    def label(self):
        return self.g["label"].string(errors="replace").split("\0")[0]

    @property
    def created(self):
        if not int(self.g["site"]):
            return ""
        site = self.g["site"].dereference()
        return "created by %s in goroutine %d at %s:%d" % (
            text(site["func"]), word(self.g["parent_id"]), text(site["file"]), int(site["line"]))

    def head(self):
        label = f' "{self.label}"' if self.label else ""
        return f"goroutine {self.id} [{self.waits_for}]{label}"

    def line(self):
        return "  ".join(x for x in (self.head(), self.name, self.created) if x)

    def thread(self):
        """The thread whose stack pointer is on this goroutine's stack, or None."""
        if word(self.g["sw"]["on_cpu"]) == 0:
            return None
        tid = int(self.g["m"].dereference()["tid"]) if int(self.g["m"]) else 0
        for t in gdb.selected_inferior().threads():
            if t.ptid[1] == tid or t.ptid[2] == tid:
                return t
        raise WeftError(f"goroutine {self.id} is on thread {tid}, which gdb does not know")


def slots():
    """Addresses of all descriptors: one at the top of each stack slot in use (stack_g_at in src/sched/stack.c)."""
    size = (gdb.lookup_type("struct weft__g").sizeof + 63) & ~63
    chunks = symbol("stack_chunk")
    for k in range(word(symbol("stack_chunk_n"))):
        c = chunks[k]
        base, slot = int(c["base"]), word(c["slot"])
        for i in range(word(c["cut"])):
            lo = base + i * slot
            yield lo + slot - size - (lo // 4096 % 8 * 64 if slot >= 4096 else 0)


def runnables():
    """What the processors' queues and the global one hold: addresses, with bits that say of what (src/sched/sched_int.h)."""
    s = symbol("weft__sched")
    for i in range(word(s["ps_n"])):
        p = gdb.Value(word(s["ps"][i])).cast(gdb.lookup_type("struct weft__p").pointer()).dereference()
        head, slots_n = word(p["head"]), int(p["slots"])
        for k in range((word(p["tail"]) - head) & 0xffffffff):
            yield int(p["ring"][(head + k) & (slots_n - 1)])
        yield word(p["next"])
    r = int(s["gq_head"])
    while r:
        yield r
        kind = {IS_SPAWN: "weft__spawn", IS_TAKER: "weft__taker"}.get(r & 3, "weft__g")
        r = int(gdb.Value(r & ~3).cast(gdb.lookup_type(f"struct {kind}").pointer())["next"])


def takers():
    """Addresses of goroutines that are queued by their waiters (src/sched/taker.c): parked by their state, but runnable."""
    t_type = gdb.lookup_type("struct weft__taker").pointer()
    found = set()
    try:
        for r in runnables():
            if r & 3 == IS_TAKER:
                found.add(int(gdb.Value(r - IS_TAKER).cast(t_type)["g"]))
    except gdb.MemoryError:
        pass  # stopped in the middle of a change
    return found


def goroutines():
    g_type = gdb.lookup_type("struct weft__g").pointer()
    main = symbol("weft__sched")["main_g"]
    queued = takers()
    found = [Goroutine(main.dereference())] if int(main) else []
    found += [Goroutine(gdb.Value(at).cast(g_type).dereference(), queued) for at in slots()]
    f = symbol("start_foreign_all")
    while int(f):
        found.append(Goroutine(f.dereference()["g"]))
        f = f.dereference()["next"]
    return sorted((g for g in found if g.state != DEAD and g.id), key=lambda g: g.id)


class SavedFrame:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class ParkedUnwinder(gdb.unwinder.Unwinder):
    """While active: the caller of the selected thread's innermost frame is the goroutine saved at `sp`."""
    sp = None           # of the goroutine
    at = None           # the thread's own, which tells its innermost frame

    def __init__(self):
        super().__init__("weft-parked")

    def __call__(self, pending):
        if ParkedUnwinder.sp is None:
            return None
        sp_name, pc_name, saved, pc_word, size = frame_layout()
        if int(pending.read_register(sp_name)) != ParkedUnwinder.at:
            return None
        words = gdb.Value(ParkedUnwinder.sp).cast(gdb.lookup_type("unsigned long").pointer())
        info = pending.create_unwind_info(SavedFrame(gdb.Value(ParkedUnwinder.sp), pending.read_register(pc_name)))
        for i, name in enumerate(saved):
            info.add_saved_register(name, words[i])
        info.add_saved_register(pc_name, words[pc_word])
        info.add_saved_register(sp_name, gdb.Value(ParkedUnwinder.sp + size))
        return info


def renumber(out):
    """A back trace without its frame 0, which is the selected thread's own."""
    keep, skipping = [], True
    for line in out.splitlines():
        m = re.match(r"#(\d+)(\s+)(.*)", line)
        if m:
            skipping = m.group(1) == "0"
            line = f"#{int(m.group(1)) - 1}{m.group(2)}{m.group(3)}"
        if not skipping:
            keep.append(line)
    return "\n".join(keep) + ("\n" if keep else "")


def own_frame(name):
    return bool(name) and name.startswith(("weft__", "worker_"))


def select_frame(k):
    """Frame k, or with None the innermost that is not weft's own."""
    f = gdb.newest_frame()
    if k is None:
        inner = f.older() if ParkedUnwinder.sp is not None else f
        f = inner
        while f is not None and own_frame(f.name()):
            f = f.older()
        f = f or inner
    else:
        for _ in range(k + (ParkedUnwinder.sp is not None)):
            f = f.older() if f is not None else None
    if f is None:
        raise WeftError("no such frame")
    f.select()


def run(command):
    """Runs a gdb command in what is presented now, and prints what it says."""
    word_, _, rest = command.partition(" ")
    if word_ in ("bt", "backtrace", "where"):
        gdb.newest_frame().select()
        out = gdb.execute(command, False, True)
        gdb.write(renumber(out) if ParkedUnwinder.sp is not None else out)
        return
    if word_ in ("frame", "f"):
        k, _, rest = rest.strip().partition(" ")
        if not k.isdigit():
            raise WeftError("usage: goroutine N frame K [command]")
        select_frame(int(k))
        gdb.execute(rest or "info frame")
        return
    select_frame(None)
    gdb.execute(command)


def run_in(g, command):
    """The command in goroutine g; afterwards the selected thread and frame are what they were."""
    before = gdb.selected_thread()
    if before is None:
        raise WeftError("no process and no core file")
    frame = gdb.selected_frame()
    level = frame.level() if hasattr(frame, "level") else 0
    on = g.thread()
    try:
        if on is not None:
            on.switch()
        else:
            gdb.newest_frame().select()
            sp_name = frame_layout()[0]
            ParkedUnwinder.at = int(gdb.newest_frame().read_register(sp_name))
            ParkedUnwinder.sp = int(g.g["sw"]["sp"])
            gdb.invalidate_cached_frames()
        run(command)
    finally:
        ParkedUnwinder.sp = None
        gdb.invalidate_cached_frames()
        before.switch()
        gdb.execute(f"frame {level}", False, True)


class InfoGoroutines(gdb.Command):
    """Every goroutine: number, what it does or waits for, name, where it was created."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STATUS)

    def invoke(self, arg, from_tty):
        for g in goroutines():
            print(g.line())


class GoroutineCommand(gdb.Command):
    """goroutine N|all COMMAND: run a gdb command in a goroutine, parked or running.

goroutine 7 bt              its back trace
goroutine all bt            all of them
goroutine 7 frame 3 info locals
No register is written: it works on core files too."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        which, _, command = arg.strip().partition(" ")
        if not command or not (which == "all" or which.isdigit()):
            raise WeftError("usage: goroutine N|all COMMAND")
        chosen = [g for g in goroutines() if which == "all" or g.id == int(which)]
        if not chosen:
            raise WeftError(f"no goroutine {which}: see info goroutines")
        for g in chosen:
            if which == "all":
                print(g.line())
            try:
                run_in(g, command.strip())
            except gdb.error as e:
                if which != "all":
                    raise
                print(f"  {e}")


gdb.unwinder.register_unwinder(None, ParkedUnwinder(), replace=True)
InfoGoroutines()
GoroutineCommand()
