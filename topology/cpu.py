"""CPU and memory used per component, and which cores belong to whom."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

_LINUX = platform.system() == "Linux"


@dataclass(frozen=True)
class Usage:
    """Of one component's process tree: CPU time since it started (ns), resident set now (octets)."""

    cpu_ns: int
    rss_bytes: int
    pids: int


def usage(pid: int) -> Usage:
    """What the tree below `pid` has used.

    Raises:
        psutil.NoSuchProcess: when it is gone.

    """
    root = psutil.Process(pid)
    cpu_ns = rss_bytes = pids = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            cpu_ns += process_cpu_ns(process.pid) + _ended_children_ns(process)
            rss_bytes += process.memory_info().rss
            pids += 1
        except (OSError, psutil.NoSuchProcess):
            if process is root:
                raise psutil.NoSuchProcess(pid) from None
            # a child that ended between the listing and the reading was no server
    return Usage(cpu_ns, rss_bytes, pids)


def process_cpu_ns(pid: int) -> int:
    """Nanoseconds of CPU that all threads of a process have used, those that ended included.

    On Linux from the process's CPU-time clock, which the scheduler keeps in nanoseconds (clock_getcpuclockid(3):
    the id is the complement of the pid over three bits of kind, 2 being the scheduler's); elsewhere psutil's figure.
    Raises OSError or psutil.NoSuchProcess when the process is gone.
    """
    if _LINUX:
        return time.clock_gettime_ns((~pid << 3) | 2)
    times = psutil.Process(pid).cpu_times()
    return int((times.user + times.system) * 1e9)


def _ended_children_ns(process: psutil.Process) -> int:
    """Of its children that ended, and theirs: a server such as PostgreSQL has one per connection.

    In the kernel's ticks of 10 ms: exact enough for what is over, which does not grow during a measurement but when a
    child ends.
    """
    if not _LINUX:  # psutil has no such figure elsewhere
        return 0
    times = process.cpu_times()
    return int((times.children_user + times.children_system) * 1e9)


@dataclass(frozen=True)
class Cores:
    """Which cores serve and which drive. Empty sets: this machine cannot pin, or has one core only."""

    servers: frozenset[int]
    generator: frozenset[int]

    def as_dict(self) -> dict[str, list[int]]:
        """For run.json."""
        return {"servers": sorted(self.servers), "generator": sorted(self.generator)}


def divide_cores(generators: int = 1) -> Cores:
    """The last core for the generator and the rest for the servers, where there are two or more.

    A generator of several processes has a core for each, as long as one is left to the servers.
    """
    if not hasattr(os, "sched_getaffinity"):
        return Cores(frozenset(), frozenset())
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:  # noqa: PLR2004 - one core cannot be divided
        return Cores(frozenset(), frozenset())
    own = min(generators, len(cores) - 1)
    return Cores(frozenset(cores[:-own]), frozenset(cores[-own:]))


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Children started inside run on `cores` from their first instruction: affinity is inherited over exec."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
