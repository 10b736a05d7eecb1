"""One running component: its process, its log, how it ends, and how it is started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from topology import process_tree
from topology.cgroups import Group
from topology.components.component import Component
from topology.cpu import Usage, pinned, usage
from topology.reaper import Reaper

_LAST_LINES = 8
_POLL_S = 0.01


class ComponentError(RuntimeError):
    """A component did not start, or died; the message has its last log lines."""


def wait_for_probe(component: Component, check: Callable[[], None], last_lines: Callable[[], str]) -> None:
    """Return once the component answers. Raises ComponentError when the time is up, and what `check` raises."""
    deadline = time.monotonic() + component.start_timeout_s
    while time.monotonic() < deadline:
        check()
        with contextlib.suppress(OSError):
            if component.probe():
                return
        time.sleep(_POLL_S)
    raise ComponentError(f"{component.name} was not ready within {component.start_timeout_s:.0f} s{last_lines()}")


class RunningComponent:
    """A started component. Its output goes to `log`, which outlives it; in its `group` it has a quota of CPU.

    Attributes:
        down: whether it was stopped or killed by us, and not started again.
        frozen: whether it is stopped where it was.

    """

    def __init__(
        self, component: Component, log: Path, reaper: Reaper, cores: frozenset[int], group: Group | None = None
    ) -> None:
        self.component = component
        self.log = log
        self.group = group
        self._reaper, self._cores = reaper, cores
        self._ended_cpu_ns = 0  # of the incarnations before this one
        self._last_cpu_ns = 0  # of this one, when it was last looked at
        self.down = self.frozen = False
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        component, group = self.component, self.group
        argv = group.argv(component.argv) if group else component.argv
        with self.log.open("ab") as output, pinned(self._cores):
            try:
                process = subprocess.Popen(
                    argv,
                    env={**component.env, **(group.environment() if group else {}), **self._reaper.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    # a Ctrl-C at the terminal reaches the harness alone, which stops all in order
                    start_new_session=True,
                )
            except OSError as error:
                raise ComponentError(f"{component.name} cannot be started: {component.argv[0]}: {error}") from error
        self._reaper.note(process.pid)
        return process

    @property
    def pid(self) -> int:
        """Of the process that was started; it may have children."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Return once the probe answers.

        Raises:
            ComponentError: when it ends first or the time is up.

        """
        wait_for_probe(self.component, self.check, self.last_lines)

    def check(self) -> None:
        """Raise ComponentError if it has ended."""
        status = self._process.poll()
        if status is not None:
            how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
            raise ComponentError(f"{self.component.name} died ({how}){self.last_lines()}")

    def usage(self) -> Usage:
        """CPU of all its incarnations and memory of its process tree now.

        CPU is read before a stop or a kill, so what it used while it was stopping is not in it. Raises ComponentError
        if it has ended by itself.
        """
        if self.down:
            return Usage(self._ended_cpu_ns, 0, 0)
        self.check()
        now = usage(self.pid)
        self._last_cpu_ns = now.cpu_ns
        return Usage(self._ended_cpu_ns + now.cpu_ns, now.rss_bytes, now.pids)

    def kill(self) -> None:
        """End its whole tree at one stroke, as a machine that loses power does. Returns when all of it is gone."""
        if self.down:
            return
        # frozen first: what it used until then can be read, and no part of it can answer the end of another
        tree = process_tree.freeze(self.pid)
        self._look_for_the_last_time()
        process_tree.kill(tree)
        self._signal(signal.SIGKILL)  # what left the tree and stayed in the group
        self._process.wait()
        process_tree.wait_until_gone(tree)
        self._is_down()

    def stop(self) -> None:
        """Its stop signal (TERM) to its group, wait, KILL to its group. Returns when it has ended."""
        if self.down:
            return
        self.thaw()
        self._look_for_the_last_time()
        self._signal(self.component.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self.component.stop_timeout_s)
        self._signal(signal.SIGKILL)  # also what is left of its group, as a worker whose supervisor is gone
        self._process.wait()
        self._is_down()

    def start_again(self) -> None:
        """Start the same description once more, on the same port; one that still runs is stopped in order first.

        Raises ComponentError when it cannot be started; whether it serves is `wait_ready`'s to say.
        """
        self.stop()
        if self.group:
            self.group.limit()
        self._process = self._start()
        self.down = False

    def freeze(self) -> None:
        """Stop it where it is: its connections stay open, and nobody answers. Raises ComponentError if it has ended."""
        self.check()
        process_tree.freeze(self.pid)
        self.frozen = True

    def thaw(self) -> None:
        """Let it go on, if it was frozen."""
        if self.frozen:
            process_tree.thaw(self.pid)
            self.frozen = False

    def _look_for_the_last_time(self) -> None:
        with contextlib.suppress(ComponentError, psutil.NoSuchProcess):
            self.usage()
        if self.group:
            self.group.lift()  # or what it still has to do would take its time

    def _is_down(self) -> None:
        self._ended_cpu_ns, self._last_cpu_ns = self._ended_cpu_ns + self._last_cpu_ns, 0
        self.down, self.frozen = True, False

    def last_lines(self) -> str:
        """The end of its log, for an error message."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        except OSError as error:
            return f"; its log cannot be read: {error}"
        return "; it logged nothing" if not lines else "; its last log lines:\n  " + "\n  ".join(lines)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
