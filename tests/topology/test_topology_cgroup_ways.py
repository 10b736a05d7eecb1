"""Where control groups may be made is read from the kernel's own tables, and version 2 wants a leaf for processes."""

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from topology import cgroup_ways, systemd_scope
from topology.cgroup_ways import hand_down, hierarchies, is_delegated
from topology.cgroups import Method

_V1 = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0\n"


def test_in_a_session_of_version_2(tmp_path: Path):
    scope = tmp_path / "user.slice/user-1000.slice/session-3.scope"
    scope.mkdir(parents=True)
    found = hierarchies(
        f"proc /proc proc rw 0 0\ncgroup2 {tmp_path} cgroup2 rw,nosuid,nsdelegate 0 0\n",
        "0::/user.slice/user-1000.slice/session-3.scope\n",
    )
    assert (found.v1, found.point, found.here) == ((), tmp_path, scope)
    assert not is_delegated(scope, tmp_path)


@pytest.mark.parametrize("own", ["/", "/docker/4f1c", "/../../system.slice/x.service"])
def test_in_a_container_all_that_is_mounted_is_its_own(tmp_path: Path, own: str):
    found = hierarchies(f"cgroup2 {tmp_path} cgroup2 rw 0 0\n", f"0::{own}\n")
    assert found.here == found.point == tmp_path
    assert is_delegated(tmp_path, tmp_path)


def test_with_both_versions_the_controller_is_in_the_first(tmp_path: Path):
    found = hierarchies(f"{_V1}cgroup2 {tmp_path} cgroup2 rw 0 0\n", "4:cpu,cpuacct:/job\n1:name=systemd:/\n0::/\n")
    assert found.v1 == (Path("/sys/fs/cgroup/cpu,cpuacct/job"), Path("/sys/fs/cgroup/cpu,cpuacct"))
    assert found.here == tmp_path


def test_without_control_groups():
    assert hierarchies("proc /proc proc rw 0 0\n", "") == cgroup_ways.Hierarchies()


def test_a_group_is_delegated_where_systemd_marks_it_so(tmp_path: Path):
    group = tmp_path / "run-1.scope"
    group.mkdir()
    try:
        os.setxattr(group, "user.delegate", b"1")
    except (OSError, AttributeError):
        pytest.skip("this file system has no marks")
    assert is_delegated(group, tmp_path)
    os.setxattr(group, "user.delegate", b"0")
    assert not is_delegated(group, tmp_path)


def test_who_came_by_su_finds_the_own_systemd_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(systemd_scope, "_RUNTIME", tmp_path)
    for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    assert systemd_scope.environment() == {}
    (tmp_path / str(os.getuid())).mkdir()
    assert systemd_scope.environment() == {"XDG_RUNTIME_DIR": str(tmp_path / str(os.getuid()))}
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/elsewhere")
    assert systemd_scope.environment() == {"XDG_RUNTIME_DIR": "/elsewhere"}


@pytest.fixture
def group() -> Iterator[tuple[Path, str]]:
    """A group of version 2 and a controller that it could hand down; where the machine has `cpu` elsewhere, another."""
    found = hierarchies(Path("/proc/mounts").read_text(), Path("/proc/self/cgroup").read_text())
    controllers = (found.point / "cgroup.controllers").read_text().split() if found.point else []
    controller = "cpu" if "cpu" in controllers else next(iter(controllers), "")
    if not controller or not os.access(found.point / "cgroup.subtree_control", os.W_OK):
        pytest.skip("no group of version 2 can be made here")
    control = found.point / "cgroup.subtree_control"
    before = control.read_text().split()
    made = found.point / f"authscale-{secrets.token_hex(4)}-test"
    try:
        control.write_text(f"+{controller}")
        made.mkdir()
        yield made, controller
    finally:
        for each in (made / "below", made / "authscale-harness", made):
            with contextlib.suppress(FileNotFoundError):
                each.rmdir()
        if controller not in before:
            control.write_text(f"-{controller}")


def test_processes_go_to_a_leaf_before_their_group_hands_down(group: tuple[Path, str]):
    made, controller = group
    inside = [subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) for _ in range(3)]
    try:
        for each in inside:
            (made / "cgroup.procs").write_text(str(each.pid))
        assert hand_down(made, controller)
        assert hand_down(made, controller)  # as the next harness in it does
        assert (made / "cgroup.procs").read_text() == ""
        groups = [Path(f"/proc/{each.pid}/cgroup").read_text().splitlines()[-1] for each in inside]
        assert groups == [f"0::/{made.name}/authscale-harness"] * len(inside)
        assert (made / "cgroup.type").read_text() == "domain\n"  # and none of threads, which no process can enter
        below = made / "below"
        below.mkdir()
        (below / "cgroup.procs").write_text(str(inside[0].pid))
    finally:
        for each in inside:
            each.communicate()


def test_a_group_of_threads_is_not_taken(group: tuple[Path, str]):
    made, controller = group
    if controller != "cpu":
        pytest.skip("only a controller of threads can be handed down over processes")
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as inside:
        (made / "cgroup.procs").write_text(str(inside.pid))
        (made / "cgroup.subtree_control").write_text(f"+{controller}")
        assert not hand_down(made, controller)
        inside.communicate()


def test_what_cannot_be_handed_down_moves_nobody(group: tuple[Path, str]):
    made, _ = group
    assert not hand_down(made, "no-such-controller")
    assert not (made / "authscale-harness").exists()


def test_without_systemd_and_groups_there_is_no_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "cgroup.subtree_control").write_text("memory\n")
    monkeypatch.setattr(cgroup_ways, "hierarchies", lambda *_: cgroup_ways.Hierarchies((), tmp_path, tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(cgroup_ways._ways()) == []
    (tmp_path / "cgroup.subtree_control").write_text("memory cpu\n")
    assert list(cgroup_ways._ways()) == [Method("cgroup v2", tmp_path)]
