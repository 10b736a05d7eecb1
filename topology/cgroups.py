"""Control groups that hold a component to its quota: found out by trying, since what is mounted need not be writable.

Three ways, the first that works: a folder below the `cpu` controller of version 1; one below a group of version 2 that
hands `cpu` down; a scope of the user's systemd, which does the same for who is not root.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from topology.quota import Quota, Throttling

NO_METHOD = "none"
_V1, _V2, _SCOPE = "cgroup v1", "cgroup v2", "systemd scope"
_PREFIX = "authscale-"
_TRY_S = 10.0
# Moves itself, then becomes the component: it is in its group from its first instruction, under the same id.
_ENTER = 'echo $$ > "$0" && exec "$@"'
# systemd-run speaks to the user's systemd, and the component must not know of it.
_OF_SYSTEMD = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
_SAY_GROUP = """
import pathlib
path = pathlib.Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2]
print(path, (pathlib.Path("/sys/fs/cgroup") / path.lstrip("/") / "cpu.max").read_text().split())
"""


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
        self._name = f"{_PREFIX}{secrets.token_hex(4)}-{component}"
        self._incarnation = 0
        self._ended = self._last = Throttling(quota, 0, 0, 0)
        if method.name != _SCOPE:
            self.folder.mkdir()

    @property
    def folder(self) -> Path:
        """Where its files are; systemd has one for each incarnation."""
        scope = f"-{self._incarnation}.scope" if self._method.name == _SCOPE else ""
        return self._method.parent / f"{self._name}{scope}"

    def argv(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The command that becomes `argv` inside the group; for systemd of a new incarnation."""
        if self._method.name != _SCOPE:
            return "/bin/sh", "-c", _ENTER, str(self.folder / "cgroup.procs"), *argv
        self._incarnation += 1
        self._ended, self._last = self._last, self._last
        return *_scope(self.folder.name, self.quota), "env", *(f"-u{name}" for name in _OF_SYSTEMD), *argv

    def environment(self) -> dict[str, str]:
        """What `argv` needs to reach systemd; the component does not get it."""
        if self._method.name != _SCOPE:
            return {}
        return {name: os.environ[name] for name in _OF_SYSTEMD if name in os.environ}

    def limit(self) -> None:
        """From now on the quota holds. Raises OSError."""
        _write(self._method.name, self.folder, self.quota.quota_us, self.quota.period_us)

    def lift(self) -> None:
        """No quota, so that what ends does so at once; the counters are read for the last time."""
        with contextlib.suppress(OSError):
            self.read()
            _write(self._method.name, self.folder, None, self.quota.period_us)

    def read(self) -> Throttling:
        """What the kernel counted of all incarnations. Raises OSError when the group is gone."""
        stat = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
        # version 1 counts nanoseconds, version 2 microseconds
        throttled_ns = int(stat["throttled_time"]) if self._method.name == _V1 else int(stat["throttled_usec"]) * 1000
        before = self._ended
        self._last = Throttling(
            self.quota,
            before.periods + int(stat["nr_periods"]),
            before.throttled + int(stat["nr_throttled"]),
            before.throttled_ns + throttled_ns,
        )
        return self._last

    def known(self) -> Throttling:
        """As `read`; of a group that is gone with its component what was last read."""
        with contextlib.suppress(OSError):
            return self.read()
        return self._last

    def remove(self) -> None:
        """Remove the group, whose processes have ended. One that cannot be removed now is left to the reaper."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()


@functools.cache
def method() -> Method | None:
    """The first way that works here; None where nobody lets us."""
    for name, parent in _candidates():
        found = Method(name, parent)
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if _works(found):
                return found
    return _systemd()


def method_name() -> str:
    """For run.json."""
    found = method()
    return found.name if found else NO_METHOD


def _candidates() -> Iterator[tuple[str, Path]]:
    """Folders in which groups may be made."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    except OSError:  # no Linux
        return
    for _, point, kind, options, *_ in mounts:
        if kind == "cgroup" and "cpu" in options.split(","):
            paths = [path for controllers, path in own.items() if "cpu" in controllers.split(",")]
            # in a container the path is the host's, and the mount's own root is the container's
            yield from ((_V1, Path(point) / path.lstrip("/")) for path in (*paths, ""))
        elif kind == "cgroup2":
            here = Path(point) / own.get("", "/").lstrip("/")
            above = [each for each in (here, *here.parents) if each.is_relative_to(point)]
            yield from ((_V2, each) for each in above if _hands_down(each))


def _hands_down(group: Path) -> bool:
    try:
        return "cpu" in (group / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False


def _works(found: Method) -> bool:
    """Whether a process can be put into a group with a quota, and whether its counters are there."""
    group = Group(found, "try", Quota(0.5, 5_000, 10_000))
    try:
        group.limit()
        done = subprocess.run(group.argv(("/bin/cat", "/proc/self/cgroup")), capture_output=True, text=True,
                              timeout=_TRY_S, check=False)  # fmt: skip
        group.read()
        return done.returncode == 0 and group.folder.name in done.stdout
    finally:
        group.remove()


def _systemd() -> Method | None:
    if shutil.which("systemd-run") is None:
        return None
    quota = Quota(0.5, 5_000, 10_000)
    argv = (*_scope(f"{_PREFIX}{secrets.token_hex(4)}.scope", quota), sys.executable, "-c", _SAY_GROUP)
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TRY_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    path, _, limit = done.stdout.strip().partition(" ")
    parent = Path("/sys/fs/cgroup") / path.lstrip("/")
    return Method(_SCOPE, parent.parent) if limit == str([str(quota.quota_us), str(quota.period_us)]) else None


def _scope(unit: str, quota: Quota) -> tuple[str, ...]:
    share = 100 * quota.quota_us / quota.period_us
    limits = (f"CPUQuota={share:g}%", f"CPUQuotaPeriodSec={quota.period_us}us")
    return (
        *("systemd-run", "--user", "--scope", "--quiet", "--collect", f"--unit={unit}"),
        *(word for limit in limits for word in ("-p", limit)),
        "--",
    )


def _write(name: str, folder: Path, quota_us: int | None, period_us: int) -> None:
    if name == _V1:
        (folder / "cpu.cfs_period_us").write_text(str(period_us))
        (folder / "cpu.cfs_quota_us").write_text(str(-1 if quota_us is None else quota_us))
    else:
        (folder / "cpu.max").write_text(f"{'max' if quota_us is None else quota_us} {period_us}")
