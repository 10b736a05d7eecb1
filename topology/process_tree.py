"""A process and everything below it: frozen, thawed and killed together.

A signal to the group is not enough: each of PostgreSQL's server processes leads a session of its own.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Collection

import psutil

_GONE_S = 10.0
_STOPPED_S = 1.0
_POLL_S = 0.002


def freeze(pid: int) -> list[psutil.Process]:
    """Stop the tree below `pid`, the root first, so that nobody is left who could start another; returns all of it.

    Empty when the root is gone.
    """
    frozen: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        waiting = [root]
        while waiting:
            for process in waiting:
                _signal(process, signal.SIGSTOP)
            _wait_until_stopped(waiting)  # the signal is only on its way
            frozen += waiting
            # one that was being started when its parent was stopped shows in the next listing
            waiting = [each for each in root.children(recursive=True) if each not in frozen]
    return frozen


def thaw(pid: int) -> None:
    """Let a frozen tree go on, children first; nothing happens when the root is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (*root.children(recursive=True), root):
            _signal(process, signal.SIGCONT)


def kill(processes: Collection[psutil.Process]) -> None:
    """KILL to each; what has ended and waits to be collected by its parent is no longer counted as there."""
    for process in processes:
        _signal(process, signal.SIGKILL)


def wait_until_gone(processes: Collection[psutil.Process]) -> None:
    """Return when none of them runs. Raises psutil.TimeoutExpired after 10 s."""
    deadline = time.monotonic() + _GONE_S
    for process in processes:
        while _runs(process):
            if time.monotonic() > deadline:
                raise psutil.TimeoutExpired(_GONE_S, process.pid)
            time.sleep(_POLL_S)


def _wait_until_stopped(processes: Collection[psutil.Process]) -> None:
    """Return when each has stopped or ended; one that waits for a disk stops as soon as it comes back."""
    deadline = time.monotonic() + _STOPPED_S
    for process in processes:
        while _runs(process) and not _is_stopped(process) and time.monotonic() < deadline:
            time.sleep(_POLL_S)


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return True


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
