"""A component with a quota is held to it from its first instruction, with all its children; its group goes with it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from topology import process_tree, quota
from topology.cgroup_ways import method
from topology.cgroups import Group, Method
from topology.local import Accounts, RunningTopology, running
from topology.quota import Quota, QuotaError, quota_of
from topology.reaper import Reaper
from topology.spec import SpecError, Topology, option_names

can_limit = pytest.mark.skipif(method() is None, reason="no control group can be made here")


def _until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)  # polls a condition, up to a deadline


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("0", None),
        ("0.1", Quota(0.1, 1_000, 10_000)),
        ("0.25", Quota(0.25, 2_500, 10_000)),
        ("2", Quota(2.0, 20_000, 10_000)),
        ("0.05", Quota(0.05, 1_000, 20_000)),  # the kernel takes no quota below 1 ms
        ("0.03", Quota(0.03, 1_000, 33_334)),
        ("0.01", Quota(0.01, 1_000, 100_000)),
    ],
)
def test_the_period_is_short_unless_the_kernel_takes_no_such_quota(text: str, made: Quota | None):
    assert quota_of("replica", {"replica_cpus": text}) == made
    assert quota_of("balancer", {"replica_cpus": text}) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.009", r"replica_cpus 0.009 is too little: the kernel gives no less than 1 ms"),
        ("0.10", r"replica_cpus '0.10' is written 0.1"),
        ("1.0", r"replica_cpus '1.0' is written 1"),
        (".5", r"replica_cpus must be a number from 0 to 64 with 3 decimals at most, not '.5'"),
        ("-1", "must be a number"),
        ("65", "must be a number"),
        ("half", "must be a number"),
    ],
)
def test_a_quota_that_cannot_be(text: str, said: str):
    with pytest.raises(SpecError, match=said):
        Topology("control", "none", 1, options={"replica_cpus": text})


def test_a_quota_that_this_machine_cannot_give():
    quota.check({"replica_cpus": "1", "store_cpus": "2"}, frozenset({0, 1}))
    with pytest.raises(QuotaError, match=r"store_cpus 2.5 is more than this machine can give: 2 of its cores serve"):
        quota.check({"replica_cpus": "1", "store_cpus": "2.5"}, frozenset({0, 1}))


def test_only_a_store_with_a_server_can_have_one():
    assert "store_cpus" in option_names("session", "redis")
    assert "store_cpus" not in option_names("session", "memory")
    assert "store_cpus" not in option_names("session", "sqlite")
    assert "store_cpus" not in option_names("control", "none")


def test_what_version_2_is_told_and_tells(tmp_path: Path):
    group = Group(Method("cgroup v2", tmp_path), "replica-0", Quota(0.05, 1_000, 20_000))
    group.limit()
    assert (group.folder / "cpu.max").read_text() == "1000 20000"
    (group.folder / "cpu.stat").write_text("usage_usec 9\nnr_periods 7\nnr_throttled 3\nthrottled_usec 1234\n")
    counted = group.read()
    assert (counted.periods, counted.throttled, counted.throttled_ns) == (7, 3, 1_234_000)
    group.lift()
    assert (group.folder / "cpu.max").read_text() == "max 20000"


def test_what_systemd_is_asked_and_that_its_scopes_are_counted_together(tmp_path: Path):
    group = Group(Method("systemd scope", tmp_path), "replica-0", Quota(0.05, 1_000, 20_000))
    for incarnation in (1, 2):
        argv = group.argv(("server", "--port", "1"))
        assert argv[0] == "systemd-run"
        assert ("--user" in argv) == (os.geteuid() != 0)
        assert {"--scope", "CPUQuota=5.00%", "CPUQuotaPeriodSec=20000us", f"--unit={group.folder.name}"} <= set(argv)
        assert argv[-3:] == ("server", "--port", "1")
        assert group.folder.name.endswith(f"-replica-0-{incarnation}.scope")
        group.folder.mkdir()
        (group.folder / "cpu.stat").write_text("nr_periods 7\nnr_throttled 3\nthrottled_usec 1\n")
        group.lift()
        assert (group.folder / "cpu.max").read_text() == "max 20000"
        shutil.rmtree(group.folder)  # as systemd does with a scope that has ended
        group.limit()  # what is started again is under the quota, and there is no file yet to write it to
    assert group.known().periods == 14


def test_a_scope_waits_for_the_others_at_its_first_start_and_not_when_it_is_started_again(tmp_path: Path):
    group = Group(Method("systemd scope", tmp_path), "replica-0", Quota(0.035, 1_000, 28_572))
    first = group.argv(("server",))
    assert str(group.folder / "cpu.max") in first
    assert "CPUQuota=3.50%" in first
    group.limit()
    assert not any("cpu.max" in word for word in group.argv(("server",)))


def test_a_quota_that_somebody_else_took_away_is_not_claimed(tmp_path: Path):
    group = Group(Method("cgroup v2", tmp_path), "replica-0", Quota(0.1, 1_000, 10_000))
    stat, limit = group.folder / "cpu.stat", group.folder / "cpu.max"
    stat.write_text("usage_usec 9\nnr_periods 7\nnr_throttled 3\nthrottled_usec 1234\n")
    group.limit()
    assert group.known() is not None
    limit.write_text("max 10000")
    assert group.known() is None
    limit.unlink()  # the controller is gone from the group, and the rest of cpu.stat is still there
    stat.write_text("usage_usec 9\nuser_usec 6\nsystem_usec 3\n")
    assert group.known() is None
    with pytest.raises(OSError, match="has lost its cpu controller"):
        group.read()


def _groups(servers: RunningTopology, name: str) -> list[str]:
    (each,) = [each for each in servers.running if each.component.name == name]
    root = psutil.Process(each.pid)
    read = []
    # PostgreSQL's start leaves some that are just ending, and what has ended is in no group
    for child in (root, *root.children(recursive=True)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            read.append((child, Path(f"/proc/{child.pid}/cgroup").read_text()))
    return [group for child, group in read if process_tree._runs(child)]


def _settled(servers: RunningTopology, name: str, folder: Path) -> list[str]:
    """The groups of its processes; one that is just ending has left its group already, so they are read again."""
    deadline = time.monotonic() + 5
    while True:
        groups = _groups(servers, name)
        if all(folder.name in group for group in groups) or time.monotonic() > deadline:
            return groups


@can_limit
def test_every_process_is_in_its_group_after_a_restart_too(accounts: Accounts, reaper: Reaper, tmp_path: Path):
    topology = Topology("session", "postgres", 1, options={"replica_cpus": "0.2", "store_cpus": "0.3"})
    with running(topology, accounts, logs=tmp_path, reaper=reaper) as servers:
        first = [each.group.folder for each in servers.running if each.group]
        assert [each.quota.cpus for each in servers.throttling().values()] == [0.3, 0.2]
        groups = [each.group for each in servers.running if each.group]
        with servers.unlimited():
            assert not any(each._holds() for each in groups)
        assert all(each._holds() for each in groups)
        servers.restart("replica-0")
        servers.kill("postgres")
        servers.restart("postgres")
        folders = [each.group.folder for each in servers.running if each.group]  # a scope is another one now
        for folder, name, least in zip(folders, ("postgres", "replica-0"), (3, 2), strict=True):
            groups = _settled(servers, name, folder)
            assert len(groups) >= least
            assert [group for group in groups if folder.name not in group] == []
        assert set(servers.throttling()) == {"postgres", "replica-0"}  # and not the balancer
        # the restart imported a replica's modules, half a second of work, on a fifth of a core
        counted = servers.throttling()["replica-0"]
        assert 0 < counted.throttled <= counted.periods
        assert counted.throttled_ns > 100_000_000
    assert not any(folder.exists() for folder in (*first, *folders))


_HARNESS = """
import sys
from pathlib import Path
from topology.local import Accounts, running
from topology.reaper import Reaper
from topology.spec import Topology
folder = Path(sys.argv[1])
accounts = Accounts(folder / "users.db", folder / "secret")
topology = Topology("control", "none", 1, options={"replica_cpus": "0.1"})
with Reaper() as reaper, running(topology, accounts, logs=folder, reaper=reaper) as servers:
    print(*[each.group.folder for each in servers.running if each.group], flush=True)
    sys.stdin.read()
"""


@can_limit
def test_a_killed_harness_leaves_no_group(accounts: Accounts):
    harness = subprocess.Popen(
        [sys.executable, "-c", _HARNESS, str(accounts.secret_file.parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    folder = Path(harness.stdout.readline().strip())
    assert folder.is_dir()
    os.kill(harness.pid, signal.SIGKILL)
    _until(lambda: not folder.exists(), "the group outlived a SIGKILL of its harness")
    harness.wait(10)
    harness.stdin.close()
    harness.stdout.close()
