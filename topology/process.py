"""One running component: its process, its log, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from topology.components.component import Component
from topology.cpu import Usage, pinned, usage
from topology.reaper import Reaper

_LAST_LINES = 8
_POLL_S = 0.01


class ComponentError(RuntimeError):
    """A component did not start, or died; the message has its last log lines."""


class RunningComponent:
    """A started component. Its output goes to `log`, which outlives it."""

    def __init__(self, component: Component, log: Path, reaper: Reaper, cores: frozenset[int]) -> None:
        self.component = component
        self.log = log
        with log.open("ab") as output, pinned(cores):
            try:
                self._process = subprocess.Popen(
                    component.argv,
                    env={**component.env, **reaper.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    # a Ctrl-C at the terminal reaches the harness alone, which stops all in order
                    start_new_session=True,
                )
            except OSError as error:
                raise ComponentError(f"{component.name} cannot be started: {component.argv[0]}: {error}") from error
        reaper.note(self._process.pid)

    @property
    def pid(self) -> int:
        """Of the process that was started; it may have children."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Return once the probe answers.

        Raises:
            ComponentError: when it ends first or the time is up.

        """
        deadline = time.monotonic() + self.component.start_timeout_s
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(OSError):
                if self.component.probe():
                    return
            time.sleep(_POLL_S)
        raise ComponentError(
            f"{self.component.name} was not ready within {self.component.start_timeout_s:.0f} s{self.last_lines()}"
        )

    def check(self) -> None:
        """Raise ComponentError if it has ended."""
        status = self._process.poll()
        if status is not None:
            how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
            raise ComponentError(f"{self.component.name} died ({how}){self.last_lines()}")

    def usage(self) -> Usage:
        """CPU and memory of its process tree; raises ComponentError if it has ended."""
        self.check()
        return usage(self.pid)

    def stop(self) -> None:
        """Its stop signal (TERM) to its group, wait, KILL to its group. Returns when it has ended."""
        self._signal(self.component.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self.component.stop_timeout_s)
        self._signal(signal.SIGKILL)  # also what is left of its group, as a worker whose supervisor is gone
        self._process.wait()

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
