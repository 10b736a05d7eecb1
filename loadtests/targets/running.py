"""A target in a trial: it runs already, so nothing is started and nothing stopped; what can be asked of it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import psutil

from loadtests.targets.spec import Target, TargetError
from topology import cpu
from topology.backing import StoreCounters
from topology.cpu import Usage
from topology.quota import Throttling

_APPLICATION, _KIND = "application", "replica"  # of a component, in trial.json


class RunningTarget:
    """What a trial asks of servers, of a service that others started."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._pid = _pid_of(target)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.target.url

    @property
    def authority(self) -> Path | None:
        """What a client must trust to speak TLS to it; None where the usual authorities do."""
        return Path(self.target.authority).absolute() if self.target.authority else None

    @property
    def down(self) -> frozenset[str]:
        """Nothing of it is stopped by us."""
        return frozenset()

    def check(self, _but: Collection[str] = ()) -> None:
        """Raise TargetError if its process has ended, where we know of one."""
        if self._pid is not None and not psutil.pid_exists(self._pid):
            raise self._ended()

    def usage(self) -> dict[str, Usage]:
        """CPU and memory of its processes, where a pid file leads to them. Raises TargetError when they are gone."""
        if self._pid is None:
            return {}
        try:
            return {_APPLICATION: cpu.usage(self._pid)}
        except psutil.NoSuchProcess as error:
            raise self._ended() from error

    def _ended(self) -> TargetError:
        return TargetError(f"{self.target.name}: its process {self._pid} ({self.target.pid_file}) has ended")

    def throttling(self) -> dict[str, Throttling]:
        """None that we set."""
        return {}

    def kinds(self) -> dict[str, str]:
        """Component name to kind."""
        return {} if self._pid is None else {_APPLICATION: _KIND}

    def store_counters(self) -> StoreCounters | None:
        """None that we know of."""
        return None

    def balancer_requests(self) -> dict[str, int]:
        """Nobody else counts."""
        return {}


@contextlib.contextmanager
def running(target: Target, *_accounts: Any, **_ground: Any) -> Iterator[RunningTarget]:
    """As `topology.local.running`, of what runs already. Raises TargetError where its pid file leads nowhere."""
    yield RunningTarget(target)


def _pid_of(target: Target) -> int | None:
    if not target.pid_file:
        return None
    try:
        pid = int(Path(target.pid_file).read_text().strip())
    except (OSError, ValueError) as error:
        raise TargetError(f"{target.name}: pid_file {target.pid_file} has no number of a process: {error}") from error
    if not psutil.pid_exists(pid):
        raise TargetError(f"{target.name}: there is no process {pid} ({target.pid_file}); start the service again")
    return pid
