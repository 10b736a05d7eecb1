"""One running container, with the verbs of a component that is a process (`topology.process.RunningComponent`)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from topology.components.component import Component
from topology.cpu import Usage, usage
from topology.engine import Engine
from topology.process import ComponentError
from topology.quota import Quota, Throttling

_LAST_LINES = 8
_POLL_S = 0.02
_CGROUPS = Path("/sys/fs/cgroup")


class Container:
    """A container that has been started. What it logged goes to a file in `logs` when it is given up.

    CPU and memory are those of its process tree as this machine sees it, as for a process: what the engine itself
    does for it (a health check, a published port) is not in them.

    Attributes:
        down: whether it was stopped or killed by us, and not started again.
        group: where its throttling is read; None without a quota.

    """

    def __init__(
        self, engine: Engine, found: dict[str, Any], describe: Callable[[dict[str, Any]], Component], logs: Path
    ) -> None:
        self._engine, self._describe, self._logs = engine, describe, logs
        self.id: str = found["Id"]
        self.down = self.frozen = False
        self.group: ContainerGroup | None = None
        self._ended_cpu_ns = self._last_cpu_ns = 0
        self._take(found)

    def _take(self, found: dict[str, Any]) -> None:
        self.found = found
        self.component = self._describe(found)
        if not found["State"]["Running"]:
            raise ComponentError(
                f"{self.component.name} died (exit status {found['State']['ExitCode']}){self.last_lines()}"
            )
        self.pid: int = found["State"]["Pid"]
        try:
            self._process = psutil.Process(self.pid)
        except psutil.NoSuchProcess as error:
            raise ComponentError(
                f"{self.component.name} is not among this machine's processes, so its CPU time cannot be read: "
                "the engine must run on this machine, and not in a virtual one or elsewhere"
            ) from error

    def wait_ready(self) -> None:
        """Return once the probe answers. Raises ComponentError when it ends first or the time is up."""
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
        """Raise ComponentError if it has ended. Asks the kernel alone, not the engine: it is called all the time."""
        if not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE:
            raise ComponentError(f"{self.component.name} died (its container has ended){self.last_lines()}")

    def usage(self) -> Usage:
        """CPU of all its incarnations and memory of its process tree now. Raises ComponentError if it has ended."""
        if self.down:
            return Usage(self._ended_cpu_ns, 0, 0)
        self.check()
        now = usage(self.pid)
        self._last_cpu_ns = now.cpu_ns
        return Usage(self._ended_cpu_ns + now.cpu_ns, now.rss_bytes, now.pids)

    def give(self, quota: Quota) -> None:
        """Give it a group with this quota, which does not hold before `group.limit`. Raises OSError."""
        self.group = ContainerGroup(self._engine, self.id, quota, self.pid)

    def kill(self) -> None:
        """KILL to all of it. Returns when it is gone."""
        self._end("kill")

    def stop(self) -> None:
        """Its stop signal, wait, KILL. Returns when it has ended."""
        self.thaw()
        self._end("stop", f"--time={self.component.stop_timeout_s:.0f}")

    def start_again(self) -> None:
        """Start the same container once more; one that still runs is stopped in order first. Raises ComponentError."""
        self.stop()
        self._engine.docker("start", self.id)
        self._take(self._engine.inspect(self.id)[0])
        self.down = False

    def freeze(self) -> None:
        """Stop it where it is. Raises ComponentError if it has ended."""
        self.check()
        self._engine.docker("pause", self.id)
        self.frozen = True

    def thaw(self) -> None:
        """Let it go on, if it was frozen."""
        if self.frozen:
            self._engine.docker("unpause", self.id)
            self.frozen = False

    def keep_log(self) -> None:
        """Write what it logged; an engine that no longer has it is no error."""
        with contextlib.suppress(ComponentError):
            said = self._engine.logs(self.id)
            (self._logs / f"{self.component.name}.log").write_text(said)

    def last_lines(self) -> str:
        """The end of its log, for an error message."""
        try:
            said = self._engine.logs(self.id, f"--tail={_LAST_LINES}").strip()
        except ComponentError as error:
            return f"; its log cannot be read: {error}"
        return f"; its last log lines:\n  {said}" if said else "; it logged nothing"

    def _end(self, *how: str) -> None:
        if self.down:
            return
        with contextlib.suppress(ComponentError, psutil.NoSuchProcess):
            self.usage()
        self._engine.docker(*how, self.id)
        self._ended_cpu_ns, self._last_cpu_ns = self._ended_cpu_ns + self._last_cpu_ns, 0
        self.down, self.frozen = True, False


class ContainerGroup:
    """The control group that the engine made for a container, which has it over all its starts."""

    def __init__(self, engine: Engine, container: str, quota: Quota, pid: int) -> None:
        self.quota = quota
        self.folder = _folder(pid)
        self._engine, self._container = engine, container

    def limit(self) -> None:
        """Let the quota hold from now on. Raises ComponentError."""
        period, quota = f"--cpu-period={self.quota.period_us}", f"--cpu-quota={self.quota.quota_us}"
        self._engine.docker("update", period, quota, self._container)

    def known(self) -> Throttling:
        """What was counted since the container was started. Raises OSError."""
        counted = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
        stopped_ns = int(counted.get("throttled_time", 0)) or 1000 * int(counted.get("throttled_usec", 0))
        return Throttling(self.quota, int(counted["nr_periods"]), int(counted["nr_throttled"]), stopped_ns)


def _folder(pid: int) -> Path:
    """Where a process's CPU is counted: version 1 has it under the controller's own folder. Raises OSError."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            return _CGROUPS / "cpu" / path.lstrip("/")
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return _CGROUPS / line[3:].lstrip("/")
    raise OSError(f"process {pid} is in no control group that counts CPU")
