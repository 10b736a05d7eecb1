"""Real faults under a small load: who is signed out, what is lost, and that everything is put right or ended."""

import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from analysis.fault_trials import Struck, struck
from analysis.load import load_run
from loadtests.fault_cases import Step
from loadtests.fault_end import mended
from loadtests.fault_script import Script
from servers import users
from tests.validity.conftest import Bench
from topology.local import Accounts, RunningTopology, make_secret, running
from topology.reaper import Reaper
from topology.spec import Topology

pytestmark = pytest.mark.bench

STICKY = "session-memory-2r-sticky~kill-replica"
FORGETS = "session-redis-2r-roundrobin~restart-store"
REMEMBERS = "session-redis-2r-roundrobin.persistence-aof~restart-store"
_SMALL = (
    "--experiment",
    "faults",
    "--blocks",
    "1",
    "--replicas",
    "2",
    "--rate",
    "80",
    "--users",
    "20",
    "--accounts",
    "50",
)
_FAULTS = ", ".join(f"{cell.partition('~')[2]}@{cell.partition('~')[0]}" for cell in (STICKY, FORGETS, REMEMBERS))


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Struck]:
    """Three trials; an invalid one (a noisy machine) shows the same."""
    bench = Bench(tmp_path_factory.mktemp("results"))
    axes = ("--schemes", "session", "--stores", "memory,redis")
    times = ("--fault-at", "0.8", "--fault-for", "0.6", "--duration", "6.5")
    process = bench.start_plain(*_SMALL, *axes, *times, "--faults", _FAULTS)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, out + err
    run = load_run(bench.results / "latest")
    return {trial.cell: struck(trial) for trial in run.trials}


def test_a_sticky_replica_that_dies_signs_its_users_out_once_and_nobody_else(trials: dict[str, Struck]):
    figures = trials[STICKY].figures
    assert figures["users_signed_out_before_share"] == 0
    assert 0.2 < figures["users_on_struck_share"] < 0.8
    assert figures["users_signed_out_share"] == pytest.approx(figures["users_on_struck_share"], abs=0.11)
    assert figures["most_sign_outs"] == 1
    assert figures["failed"] > 0


def test_a_store_without_persistence_forgets_every_session(trials: dict[str, Struck]):
    figures = trials[FORGETS].figures
    assert figures["users_signed_out_share"] > 0.8
    assert figures["most_sign_outs"] == 1
    assert figures["unavailable_s"] >= 0.25
    assert figures["lost_writes"] == 0  # what a sign-in held went with it


def test_a_store_that_writes_its_changes_down_forgets_none(trials: dict[str, Struck]):
    figures = trials[REMEMBERS].figures
    assert figures["failed"] > 0
    assert figures["users_signed_out_share"] == 0
    assert figures["lost_writes"] == 0
    assert figures["acknowledged_writes"] > 20


def test_every_topology_is_healthy_in_the_end(trials: dict[str, Struck]):
    assert {cell: trial.why for cell, trial in trials.items()} == dict.fromkeys((STICKY, FORGETS, REMEMBERS), "")


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTopology]:
    """Two replicas on a store that can be cut off; nobody's load."""
    with Reaper() as reaper:
        accounts = Accounts(reaper.folder / "users.db", reaper.folder / "secret")
        make_secret(accounts.secret_file)
        users.seed(accounts.users_db, 50, users.HashCost.parse("fast"))
        topology = Topology("session", "redis", 2, options={"store_rtt_ms": "0.5"})
        with running(topology, accounts, logs=tmp_path_factory.mktemp("logs"), reaper=reaper) as servers:
            yield servers


@pytest.mark.parametrize(
    ("step", "undone"),
    [
        (Step(0, "cut", "replica-0"), "heal replica-0"),
        (Step(0, "kill", "valkey"), "restart valkey"),
        (Step(0, "freeze", "valkey"), "thaw valkey"),
        (Step(0, "kill", "replica-1"), "restart replica-1"),
    ],
)
def test_whatever_was_broken_is_put_right_and_every_replica_signs_in(linked: RunningTopology, step: Step, undone: str):
    with Script([step], linked) as script:
        script.wait()
    ended = mended(linked, 50, script)
    assert (ended["healthy"], ended["why"]) == (True, "")
    assert ended["restored"] == [undone]
    assert ended["replicas"] == ["replica-0", "replica-1"]


def test_what_does_not_come_back_is_told(linked: RunningTopology):
    script = Script([], linked)
    script.failure = "restart valkey: it was not ready"
    ended = mended(linked, 50, script)
    assert (ended["healthy"], ended["why"]) == (False, "restart valkey: it was not ready")


def test_a_signal_while_the_store_stands_still_leaves_nothing(bench: Any):
    """A stopped process takes no TERM: it must end all the same."""
    axes = ("--schemes", "session", "--stores", "redis", "--policies", "roundrobin", "--persistence", "off")
    times = ("--fault-at", "0.5", "--fault-for", "30", "--duration", "40")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    run = bench.start_plain(*_SMALL, *axes, *times, "--faults", "freeze-store")
    family = _until_something_is_stopped(run)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=30)
    signal.signal(signal.SIGINT, before)
    assert (run.returncode, said.count("\n")) == (130, 1)
    _, alive = psutil.wait_procs(family, timeout=3)
    assert not alive


def _until_something_is_stopped(run: subprocess.Popen[str]) -> list[psutil.Process]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        family = psutil.Process(run.pid).children(recursive=True)
        try:
            if any(process.status() == psutil.STATUS_STOPPED for process in family):
                return family
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.02)  # polls, up to the deadline
    pytest.fail(f"nothing was frozen: {run.communicate()}")
