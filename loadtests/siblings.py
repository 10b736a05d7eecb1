"""Whether the servers' cores and the generator's are threads of one physical core, found out by trying.

A virtual machine seldom tells (`Thread(s) per core: 1`), and where they are, whatever the generator does makes servers
slower: their CPU time per request then grows with the load. CPU time tells, since it leaves out waiting.
"""

from __future__ import annotations

import os
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
_HEARD_S = 0.002
# busy or idle as it is told, and ends with whoever started it, however that ended
_BUSY, _IDLE = b"1", b"0"
_NEIGHBOUR = """
import os, select
os.sched_setaffinity(0, {cores})
busy = False
while True:
    if not busy or select.select([0], [], [], 0)[0]:
        told = os.read(0, 1)
        if not told:
            break
        busy = told == {busy}
    for _ in range(5_000):
        pass
"""


def slowdown(cores: Cores) -> float | None:
    """How many times as much CPU time a piece of work takes on a servers' core while the generator's core is busy.

    The median over interleaved rounds, the worst of the servers' cores; None where cores are not set apart. Takes some
    0.1 s for each.
    """
    if not cores.servers or not cores.generator:
        return None
    program = _NEIGHBOUR.format(cores=sorted(cores.generator), busy=_BUSY)
    orders, told = os.pipe()
    with subprocess.Popen([sys.executable, "-S", "-c", program], stdin=orders) as neighbour:
        os.close(orders)
        try:
            return max(_on(core, lambda: _ratio(told)) for core in cores.servers)
        finally:
            os.close(told)
            neighbour.kill()


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


def _ratio(told: int) -> float:
    ratios = []
    for _ in range(_ROUNDS):
        os.write(told, _IDLE)
        time.sleep(_HEARD_S)
        alone = _work_ns()
        os.write(told, _BUSY)
        time.sleep(_HEARD_S)
        ratios.append(_work_ns() / alone)
    return statistics.median(ratios)


def _work_ns() -> float:
    return statistics.median(_one_ns() for _ in range(_WORKS))


def _one_ns() -> int:
    before, total = time.thread_time_ns(), 0
    for step in range(_STEPS):
        total += step * step % 7
    return time.thread_time_ns() - before
