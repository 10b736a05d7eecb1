"""Whether the servers' cores and the generator's are threads of one physical core, found out by trying.

A virtual machine seldom tells (`Thread(s) per core: 1`), and where they are, whatever the generator does makes servers
slower: their CPU time per request then grows with the load. CPU time tells, since it leaves out waiting.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from topology.cpu import Cores

_ROUNDS = 12
_WORKS = 15
_STEPS = 4_000
_SPIN = "import os\nos.sched_setaffinity(0, {core})\nos.write(1, b'.')\nwhile True: pass"


def slowdown(cores: Cores) -> float | None:
    """How many times as much CPU time a piece of work takes on a servers' core while the generator's core is busy.

    The median over interleaved rounds, the worst of the servers' cores; None where cores are not set apart. Takes some
    0.1 s for each.
    """
    if not cores.servers or not cores.generator:
        return None
    argv = [sys.executable, "-S", "-c", _SPIN.format(core=sorted(cores.generator))]
    runs, told = os.pipe()
    with subprocess.Popen(argv, stdout=told) as busy:
        os.close(told)
        try:
            os.read(runs, 1)
            return max(_on(core, lambda: _ratio(busy)) for core in cores.servers)
        finally:
            busy.kill()
            os.close(runs)


def _on(core: int, measured: Callable[[], float]) -> float:
    """Run on one core: affinity is a thread's own, so this one ends with it."""
    found: list[float] = []

    def run() -> None:
        os.sched_setaffinity(0, {core})
        found.append(measured())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def _ratio(busy: subprocess.Popen[bytes]) -> float:
    ratios = []
    for _ in range(_ROUNDS):
        busy.send_signal(signal.SIGSTOP)
        alone = _work_ns()
        busy.send_signal(signal.SIGCONT)
        ratios.append(_work_ns() / alone)
    return statistics.median(ratios)


def _work_ns() -> float:
    return statistics.median(_one_ns() for _ in range(_WORKS))


def _one_ns() -> int:
    before, total = time.thread_time_ns(), 0
    for step in range(_STEPS):
        total += step * step % 7
    return time.thread_time_ns() - before
