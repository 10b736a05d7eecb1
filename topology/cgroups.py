"""Control groups that hold a component to its quota.

Of three kinds: a folder below the `cpu` controller of version 1; one below a group of version 2 that hands `cpu` down;
a scope of systemd, which does the same. Which of them can be made here is topology/cgroup_ways.py's to find out.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from topology import systemd_scope
from topology.quota import Quota, Throttling

V1, V2, SCOPE = "cgroup v1", "cgroup v2", "systemd scope"
PREFIX = "authscale-"
# Moves itself, then becomes the component: it is in its group from its first instruction, under the same id.
_ENTER = 'echo $$ > "$0" && exec "$@"'
# systemd is told the quota at once, or it would undo it later; until all serve it is not to hold.
_WAIT = 'echo max > "$0" && exec "$@"'


@dataclass(frozen=True)
class Method:
    """How quotas are kept here: `name` for run.json, and the folder that the groups are made in."""

    name: str
    parent: Path


class Group:
    """The control group of one component, over all its incarnations. Not limited until `limit`."""

    def __init__(self, method: Method, component: str, quota: Quota) -> None:
        self.quota = quota
        self._method = method
        self._name = f"{PREFIX}{secrets.token_hex(4)}-{component}"
        self._incarnation = 0
        self._limited = False
        self._ended = self._last = Throttling(quota, 0, 0, 0)
        if not self._is_scope:
            self.folder.mkdir()

    @property
    def _is_scope(self) -> bool:
        return self._method.name == SCOPE

    @property
    def folder(self) -> Path:
        """Where its files are; systemd has one for each incarnation."""
        scope = f"-{self._incarnation}.scope" if self._is_scope else ""
        return self._method.parent / f"{self._name}{scope}"

    def argv(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The command that becomes `argv` inside the group; for systemd of a new incarnation."""
        if not self._is_scope:
            return "/bin/sh", "-c", _ENTER, str(self.folder / "cgroup.procs"), *argv
        self._incarnation += 1
        self._ended = self._last
        wait = () if self._limited else ("/bin/sh", "-c", _WAIT, str(self.folder / "cpu.max"))
        return *systemd_scope.command(self.folder.name, self.quota), *wait, *argv

    def environment(self) -> dict[str, str]:
        """What `argv` needs to reach systemd; the component does not get it."""
        return systemd_scope.environment() if self._is_scope else {}

    def limit(self) -> None:
        """From now on the quota holds, in later incarnations from their start. Raises OSError."""
        self._limited = True
        # the scope of one that has ended went with it
        if not self._is_scope or self.folder.is_dir():
            self._write(self.quota.quota_us)

    def lift(self) -> None:
        """No quota until the next `limit`: what ends does so at once. The counters are read once more."""
        self._limited = False
        with contextlib.suppress(OSError):
            self.read()
            self._write(None)

    def read(self) -> Throttling:
        """What the kernel counted of all incarnations. Raises OSError when the group is gone."""
        file = self.folder / "cpu.stat"
        stat = dict(line.split() for line in file.read_text().splitlines())
        # version 1 counts nanoseconds, version 2 microseconds
        time, unit_ns = ("throttled_time", 1) if self._method.name == V1 else ("throttled_usec", 1000)
        try:
            counted = [int(stat[name]) for name in ("nr_periods", "nr_throttled", time)]
        except KeyError as error:  # version 2 has the file without the controller, too
            raise OSError(f"{file} has no {error}: the group has lost its cpu controller") from error
        before, (periods, throttled, stopped) = self._ended, counted
        self._last = Throttling(
            self.quota, before.periods + periods, before.throttled + throttled, before.throttled_ns + stopped * unit_ns
        )
        return self._last

    def known(self) -> Throttling | None:
        """As `read`; of a group that is gone with its component what was last read.

        None where the quota does not hold any more, because somebody else has changed the group.
        """
        if self._limited and self.folder.is_dir() and not self._holds():
            return None
        with contextlib.suppress(OSError):
            return self.read()
        return self._last

    def remove(self) -> None:
        """Remove the group, whose processes have ended. One that cannot be removed now is left to the reaper."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _write(self, quota_us: int | None) -> None:
        for file, text in self._files(quota_us).items():
            (self.folder / file).write_text(text)

    def _holds(self) -> bool:
        try:
            return all((self.folder / file).read_text().strip() == text
                       for file, text in self._files(self.quota.quota_us).items())  # fmt: skip
        except OSError:
            return False

    def _files(self, quota_us: int | None) -> dict[str, str]:
        """What stands in which file under this quota, None for none."""
        period_us = self.quota.period_us
        if self._method.name == V1:
            return {"cpu.cfs_period_us": f"{period_us}", "cpu.cfs_quota_us": f"{-1 if quota_us is None else quota_us}"}
        return {"cpu.max": f"{'max' if quota_us is None else quota_us} {period_us}"}
