"""A module of ours as a process of its own that prints its port, and ends when its input does."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from topology.cpu import pinned
from topology.process import ComponentError
from topology.reaper import Reaper

_END_S = 20.0


class PortProcess(AbstractContextManager["PortProcess"]):
    """`python -m module arguments...`, pinned to `cores` (none: anywhere), with `port` as it printed it.

    Raises ComponentError if it ends before it printed one.
    """

    def __init__(self, module: str, *arguments: str, reaper: Reaper, cores: frozenset[int] = frozenset()) -> None:
        self._module = module
        with pinned(cores):
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        reaper.note(self._process.pid)
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        told = self._process.stdout.readline()
        if not told:
            self._process.communicate()
            self.check()
        self.port = int(told)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def check(self) -> None:
        """Raise ComponentError if it has ended."""
        if self._process.poll() is not None:
            raise ComponentError(f"{self._module} died (exit status {self._process.returncode})")

    def tell(self, line: str) -> None:
        """Write a line to its input."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def end(self) -> bytes:
        """Close its input, wait for its end, and return what it printed after the port. Raises ComponentError."""
        try:
            said, _ = self._process.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired as error:
            raise ComponentError(f"{self._module} did not end within {_END_S:g} s of being asked to") from error
        return said
