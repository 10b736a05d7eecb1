"""One running container, with the verbs of a component that is a process (`topology.process.RunningComponent`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from topology.components.component import Component
from topology.compose.engine import Engine
from topology.cpu import Usage, usage
from topology.process import ComponentError, wait_for_probe
from topology.quota import Quota, Throttling

_LAST_LINES = 8
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
        if not found["State"]["Running"]:
            name = found["Name"].removeprefix("/")
            raise ComponentError(f"{name} died (exit status {found['State']['ExitCode']}){self.last_lines()}")
        self.component = self._describe(found)
        self.pid: int = found["State"]["Pid"]
        try:
            self._process = psutil.Process(self.pid)
            _groups(self.pid, self.id)
        except (psutil.NoSuchProcess, OSError) as error:
            raise ComponentError(
                f"{self.component.name} is not among this machine's processes, so its CPU time cannot be read: "
                "the engine must run on this machine, and not in a virtual one or elsewhere"
            ) from error

    def wait_ready(self) -> None:
        """Return once the probe answers. Raises ComponentError when it ends first or the time is up."""
        wait_for_probe(self.component, self.check, self.last_lines)

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
        self.group = ContainerGroup(self._engine, self.id, self.pid, quota)

    def kill(self) -> None:
        """KILL to all of it. Returns when it is gone."""
        self._end("kill")

    def stop(self) -> None:
        """Its stop signal, wait, KILL. Returns when it has ended."""
        self.thaw()
        self._end("stop", "-t", f"{self.component.stop_timeout_s:.0f}")

    def start_again(self) -> None:
        """Start the same container once more; one that still runs is stopped in order first. Raises ComponentError."""
        self.stop()
        self._engine.docker("start", self.id)
        self._take(self._engine.inspect(self.id)[0])
        if self.group:
            self.group.begin_again(self.pid)
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
        if self.group:
            self.group.known()
        self._engine.docker(*how, self.id)
        self._ended_cpu_ns, self._last_cpu_ns = self._ended_cpu_ns + self._last_cpu_ns, 0
        self.down, self.frozen = True, False


class ContainerGroup:
    """The control group that the engine makes for a container at each start, with the quota that it keeps for it."""

    def __init__(self, engine: Engine, container: str, pid: int, quota: Quota) -> None:
        self.quota = quota
        self._engine, self._container = engine, container
        self._ended = self._last = Throttling(quota, 0, 0, 0)
        self.folder = _folder(_groups(pid, container))

    def limit(self) -> None:
        """Let the quota hold from now on, and over later starts. Raises ComponentError."""
        period, quota = f"--cpu-period={self.quota.period_us}", f"--cpu-quota={self.quota.quota_us}"
        self._engine.docker("update", period, quota, self._container)

    def lift(self) -> None:
        """No quota until the next `limit`. Raises ComponentError."""
        self._engine.docker("update", "--cpu-quota=-1", self._container)

    def begin_again(self, pid: int) -> None:
        """It was started again: the kernel counts from zero. Raises OSError."""
        self._ended, self.folder = self._last, _folder(_groups(pid, self._container))

    def known(self) -> Throttling:
        """What was counted over all its starts; while it is down what was last read."""
        with contextlib.suppress(OSError):
            counted = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
            # version 1 counts nanoseconds, version 2 microseconds
            throttled_ns = int(counted.get("throttled_time", 0)) or 1000 * int(counted.get("throttled_usec", 0))
            self._last = Throttling(
                self.quota,
                self._ended.periods + int(counted["nr_periods"]),
                self._ended.throttled + int(counted["nr_throttled"]),
                self._ended.throttled_ns + throttled_ns,
            )
        return self._last


def _groups(pid: int, container: str) -> dict[str, str]:
    """The control groups of a container's first process, controllers to path; version 2 has one, and names none.

    The engine names them after the container, which tells its process from another of the same id. Raises OSError.
    """
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    found = {controllers: path for _, controllers, path in lines}
    if not any(container in path for path in found.values()):
        raise OSError(f"process {pid} is not of container {container}")
    return found


def _folder(groups: Mapping[str, str]) -> Path:
    """Where CPU is counted: version 1 has it under the controller's own folder."""
    for controllers, path in groups.items():
        if "cpu" in controllers.split(","):
            return _CGROUPS / "cpu" / path.lstrip("/")
    return _CGROUPS / groups.get("", "/").lstrip("/")
