"""Which control groups can be made here: found out by trying, since what is mounted need not be writable.

In this order, the first that works: a folder of version 1; one below the group that this process is in, where that was
delegated (a container's root, a scope or service of systemd with `Delegate=`); a scope of systemd; one below whatever
group above hands `cpu` down. The last is for machines without systemd, which may take from a group that is not its own.
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

from topology import systemd_scope
from topology.cgroups import PREFIX, SCOPE, V1, V2, Group, Method
from topology.quota import Quota

NO_METHOD = "none"
_TRY_S = 10.0
_TRIED = Quota(0.5, 5_000, 10_000)
_CPU = "cpu"
_LEAF = f"{PREFIX}harness"
_MOVES = 10
_DELEGATED = ("user.delegate", "trusted.delegate")  # marks of systemd; only root sees the second
# says which group it is in and which quota it has there, and that it may change it
_SAY_GROUP = """
import pathlib, sys
path = pathlib.Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2]
limit = pathlib.Path(sys.argv[1]) / path.lstrip("/") / "cpu.max"
limit.write_text(limit.read_text())
print(limit.read_text().strip(), limit.parent, sep="\\n")
"""


@dataclass(frozen=True)
class Hierarchies:
    """Where the groups of this process are, as its mounts and /proc/self/cgroup tell.

    `v1`: folders that may be its group of the `cpu` controller; `point`: where version 2 is mounted, `here` its group.
    """

    v1: tuple[Path, ...] = ()
    point: Path | None = None
    here: Path | None = None


def hierarchies(mounts: str, groups: str) -> Hierarchies:
    """Read the text of /proc/mounts and of /proc/self/cgroup."""
    own = dict(line.split(":", 2)[1:] for line in groups.splitlines())
    v1: list[Path] = []
    point = here = None
    for _, folder, kind, options, *_ in (line.split() for line in mounts.splitlines()):
        if kind == "cgroup" and _CPU in options.split(","):
            paths = [path for controllers, path in own.items() if _CPU in controllers.split(",")]
            # in a container the path may be the host's, and the mount's own root is the container's
            v1 += [Path(folder) / path.lstrip("/") for path in (*paths, "")]
        elif kind == "cgroup2" and point is None:
            point = Path(folder)
            here = point / own.get("", "/").lstrip("/")
            here = here if here.is_dir() else point
    return Hierarchies(tuple(v1), point, here)


@functools.cache
def method() -> Method | None:
    """The first way that works here; None where nobody lets us."""
    for found in _ways():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if found.name == SCOPE or works(found):
                return found
    return None


def method_name() -> str:
    """For run.json."""
    found = method()
    return found.name if found else NO_METHOD


def _ways() -> Iterator[Method]:
    """Look at one after the other; each is tried before the next is looked at."""
    try:
        found = hierarchies(Path("/proc/mounts").read_text(), Path("/proc/self/cgroup").read_text())
    except OSError:  # no Linux
        return
    yield from (Method(V1, each) for each in found.v1)
    if found.point is None or found.here is None:
        return
    if is_delegated(found.here, found.point) and hand_down(found.here):
        yield Method(V2, found.here)
    if scope := _systemd(found.point):
        yield scope
    above = [each for each in (found.here, *found.here.parents) if each.is_relative_to(found.point)]
    yield from (Method(V2, each) for each in above if _hands_down(each))


def works(found: Method) -> bool:
    """Whether a process can be put into a group with a quota, and whether its counters are there. Raises OSError."""
    group = Group(found, "try", _TRIED)
    try:
        group.limit()
        done = subprocess.run(group.argv(("/bin/cat", "/proc/self/cgroup")), capture_output=True, text=True,
                              timeout=_TRY_S, check=False)  # fmt: skip
        group.read()
        return done.returncode == 0 and group.folder.name in done.stdout
    finally:
        group.remove()


def is_delegated(here: Path, point: Path) -> bool:
    """Whether groups below this one are ours to make: systemd says so, or it is the root of all that we see."""
    if here == point:
        return True
    for mark in _DELEGATED:
        with contextlib.suppress(OSError, AttributeError):  # no such mark; no Linux
            if os.getxattr(here, mark) == b"1":
                return True
    return False


def hand_down(group: Path, controller: str = _CPU) -> bool:
    """Let the group give the controller to groups below it; whether processes can be put there then.

    A group that does so may have no processes of its own (but for the machine's root): those in it, this one among
    them, go to a leaf below, and first. `cpu` can be handed down before, too, but then the kernel takes the groups
    below for groups of threads, which no process can enter (`domain threaded`, cgroup-v2.rst).
    """
    try:
        if controller not in (group / "cgroup.controllers").read_text().split():
            return False
        if not (group / "cgroup.type").exists():  # the machine's root
            return _enable(group, controller)
        if _hands_down(group, controller):
            return _takes_processes(group)
        leaf = group / _LEAF
        leaf.mkdir(exist_ok=True)
        for _ in range(_MOVES):  # what is in it may start others meanwhile
            _move(group, leaf)
            if not (group / "cgroup.procs").read_text() and _enable(group, controller) and _takes_processes(group):
                return True
        _move(leaf, group)
        leaf.rmdir()
    except OSError:  # not ours to write to
        return False
    return False


def _takes_processes(group: Path) -> bool:
    return (group / "cgroup.type").read_text().strip() == "domain"


def _hands_down(group: Path, controller: str = _CPU) -> bool:
    try:
        return controller in (group / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False


def _enable(group: Path, controller: str) -> bool:
    with contextlib.suppress(OSError):
        (group / "cgroup.subtree_control").write_text(f"+{controller}")
    return _hands_down(group, controller)


def _move(source: Path, target: Path) -> None:
    for pid in (source / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):  # it has ended, or is the kernel's
            (target / "cgroup.procs").write_text(pid)


def _systemd(point: Path) -> Method | None:
    if shutil.which("systemd-run") is None:
        return None
    unit = f"{PREFIX}{secrets.token_hex(4)}-try.scope"
    argv = (*systemd_scope.command(unit, _TRIED), sys.executable, "-c", _SAY_GROUP, str(point))
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TRY_S, check=True,
                              env={**os.environ, **systemd_scope.environment()})  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    limit, _, folder = done.stdout.strip().partition("\n")
    held = limit.split() == [str(_TRIED.quota_us), str(_TRIED.period_us)] and folder.endswith(unit)
    return Method(SCOPE, Path(folder).parent) if held else None
