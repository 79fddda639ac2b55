"""The rows of the tables: which bench, which flags, which field, and the goal for weft / Go at 1 and 2 procs.

Each row: (key, what, args, field, unit, goal at 1 proc, goal at 2 procs, in the first table).
most, least: a goal for weft's own figure, in the row's unit, where the goal is not a ratio. exe: the weft program, where it is another one.
floor: the program of bench/floor that does the same steps, run in the same turns. warm: before each process, this many 4 KiB pages are
touched and freed: where the host takes free memory back (free page reporting), the first touch of a page costs four times as much.
twin False: Go has nothing like it, the figure stands alone. A field of "mem" is resident bytes plus page tables for each goroutine; Go's page tables are counted as 1/512 of its bytes.
"""

def row(what, args, goal=None, field="ns_per_op", unit="ns", first=False, procs=(1, 2), twin=True, floor="", warm=0, exe="weft-bench",
        most=None, least=None):
    goal = goal if isinstance(goal, tuple) else (goal, goal)
    key = "_".join(args.replace("-", "").split()) + ("" if field == "ns_per_op" else "." + field) + ("" if exe == "weft-bench" else "@" + exe)
    return dict(key=key, what=what, args=args.split(), field=field, unit=unit, goal=goal, first=first, procs=procs, twin=twin,
                floor=floor.split(), warm=warm, exe=exe, most=most, least=least)


ROWS = [
    row("spawn + finish, batches of 1000", "spawn_batch", (0.22, 0.40), first=True),
    row("spawn + finish, one at a time", "spawn_seq", first=True),
    row("yield, 2 goroutines", "yield", 0.13, first=True),
    row("100,000 woken in random order, each", "wake_random", 0.4, floor="floor-cold wake"),
    row("ping-pong, unbuffered, round trip", "chan_pingpong", (0.20, 0.35), first=True),
    row("producer, consumer, cap 1", "chan_buffered -cap 1", 0.40, first=True),
    row("producer, consumer, cap 128", "chan_buffered -cap 128", 0.42, first=True),
    row("select, 2 ready", "select_ready -k 2", 0.40, first=True),
    row("select, 4 ready", "select_ready -k 4", 0.40, first=True),
    row("select, 8 ready", "select_ready -k 8", 0.40, first=True),
    row("select ping-pong", "select_pingpong", 0.25, first=True),
    row("mutex alone", "mutex", 1.0, first=True),
    row("mutex, 8 contending", "mutex -g 8", 0.8, first=True),
    row("timer start + stop (channel)", "timer_create_stop -mode newtimer", 0.3, first=True),
    row("timer start + stop (function)", "timer_create_stop", 0.3, first=True),
    row("timer reset", "timer_create_stop -mode reset", 0.5, first=True),
    row("100,000 sleepers of 1 ms, CPU", "sleep_many", 0.4, "cpu_ms", "ms", first=True, floor="floor-cold sleep"),
    row("100,000 sleepers of 1 ms, p50 late", "sleep_many", None, "late_p50_us", "us"),
    row("100,000 sleepers of 1 ms, p99 late", "sleep_many", 0.4, "late_p99_us", "us", first=True),
    row("memory, parked goroutine, bare", "mem_parked", 1.56, "mem", "B", first=True),
    row("memory, parked, holding 1 KB", "mem_parked -stack 1024 -hold", 0.9, "mem", "B"),
    row("memory, parked, holding 8 KB", "mem_parked -stack 8192 -hold", 0.75, "mem", "B"),
    row("memory, parked, small-stack mode", "mem_parked", 0.45, "mem", "B", exe="weft-bench-small"),
    row("create 1,000,000 that park", "mem_parked -n 1000000", 0.40, floor="floor-park guards", warm=1300000),
    row("create 1,000,000, small-stack mode", "mem_parked -n 1000000", 0.40, exe="weft-bench-small", warm=1300000),
    row("skynet, 1M leaves", "skynet", (0.32, 0.5)),
    row("MPMC 4x4, cap 0", "chan_mpmc -g 4", 0.5),
    row("MPMC 4x4, cap 128", "chan_mpmc -g 4 -cap 128", 0.5),
    row("MPMC 100x100, cap 128", "chan_mpmc -g 100 -cap 128", 0.5),
    row("try_recv, empty", "chan_try -mode recv_empty", 0.5),
    row("try_send + try_recv", "chan_try -mode ok", 0.5),
    row("worker pool of 4", "workerpool -g 4", 0.4),
    row("worker pool of 100", "workerpool -g 100", 0.4),
    row("worker pool of 10,000", "workerpool -g 10000", 0.4),
    row("prime sieve", "sieve -n 1000", 0.25),
    row("ring of 503, a hop", "ring", 0.25),
    row("pipeline of 100, cap 0", "pipeline", 0.25),
    row("mutex with work inside, 8", "mutex_work -g 8", 0.3),
    row("rwmutex, 90/10, 8 goroutines", "rwmutex -g 8", 0.9),
    row("map, 90/10, 8 goroutines", "syncmap -g 8", 0.8),
    row("pool get + put", "pool -g 1", 0.6),
    row("cond broadcast to 1000", "cond", 0.4),
    row("timer pending (function), bytes each", "timer_pending", None, "bytes_per_unit", "B", most=100),
    row("timer pending (channel), bytes each", "timer_pending -mode newtimer", None, "bytes_per_unit", "B", most=100),
    row("context with_cancel + cancel", "ctx -mode withcancel", 0.5),
    row("context with_timeout + cancel", "ctx -mode withtimeout", 0.5),
    row("context tree of 1000", "ctx -mode tree", 0.5),
    row("defer", "panic -mode defer", 2),
    row("try without panic (floor 3-5 ns)", "panic -mode try", twin=False, most=5),
    row("panic caught one frame up", "panic -mode recover", 5),
    row("1 ms ticker beside 2 hogs, p50", "sched_ticker -g 2", 0.02, "p50_us", "us", procs=(2,)),
    row("1 ms ticker beside 2 hogs, p99", "sched_ticker -g 2", 0.3, "p99_us", "us", procs=(2,)),
    row("1000 blocking calls beside CPU work, total", "syscall_handoff", 1.0, "total_ms_with_cpu_goroutine", "ms", floor="floor-blocked"),
    row("share of CPU work kept (more is better)", "syscall_handoff", None, "cpu_goroutine_share_of_solo", "", least=0.9, floor="floor-blocked"),
]
