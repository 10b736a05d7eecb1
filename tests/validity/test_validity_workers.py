"""A generator of several workers: one schedule however many send it, every request counted by each who met it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest

from loadtests import control, generator, workers
from loadtests.experiment import Load
from loadtests.gates import read_sent
from loadtests.generator import Generator, WorkerLostError
from servers.users import user_name
from topology.components.instant import instant
from topology.ports import free_ports
from topology.process import RunningComponent
from topology.reaper import Reaper

pytestmark = pytest.mark.bench
ROOT = Path(__file__).parents[2]
LOAD = Load("browse", rate_rps=150, users=7, warm_up_s=0.4, duration_s=0.8, warm_up_max_s=0.8)


@dataclass
class Driving:
    """A generator against an instant server, step by step."""

    generator: Generator
    url: str

    def step(self, signal_: str, until: str, text: str = "") -> None:
        self.generator.step(signal_, text, until, within_s=20, check=lambda: None)

    def warm_up(self) -> None:
        self.step(control.LOG_IN, control.LOGGED_IN, self.url)
        self.step(control.WARM_UP, control.WARMED_UP)

    def all(self) -> dict[str, Any]:
        self.warm_up()
        self.step(control.MEASURE, control.MEASURED)
        return self.generator.finish()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, Reaper]]:
    with Reaper() as reaper:
        (port,) = free_ports(1)
        component = instant(
            port, username=user_name(0, 1), config=reaper.folder / "instant.cfg", admin_socket=reaper.folder / "admin"
        )
        server = RunningComponent(component, reaper.folder / "instant.log", reaper, frozenset())
        server.wait_ready()
        yield f"http://127.0.0.1:{port}", reaper
        server.stop()


@pytest.fixture
def drive(served: tuple[str, Reaper], tmp_path: Path) -> Callable[..., Any]:
    url, reaper = served

    @contextmanager
    def driving(load: Load, name: str) -> Iterator[Driving]:
        with Generator(
            load, seed=1, accounts=1, folder=tmp_path / name, environment=reaper.environment, cores=frozenset(),
            runtime=reaper.folder / f"control-{tmp_path.name}-{name}",
        ) as made:  # fmt: skip
            yield Driving(made, url)

    return driving


def _schedule(files: list[Path], told: dict[str, Any]) -> list[tuple[int, int]]:
    """User and due time since the phase began, by each worker's own clock."""
    began = [each["measured_from_ns"] for each in told.get("workers", [told])]
    found = []
    for path, from_ns in zip(files, began, strict=True):
        samples = pq.read_table(path).to_pandas()
        measured = samples[samples["phase"] == "measured"]
        found += list(zip(measured["user"], measured["due_ns"] - from_ns, strict=True))
    return sorted(found)


def test_two_and_four_workers_send_what_one_would_and_every_request_is_counted(drive: Callable[..., Any]):
    schedules = {}
    for count in (1, 2, 4):
        with drive(replace(LOAD, workers=count), str(count)) as driving:
            told = driving.all()
            files = driving.generator.sample_files
        schedules[count] = _schedule(files, told)
        sent = read_sent(*files)
        assert told["requests"] == sent.recorded > 100
        assert told["failures"] == sent.dropped == 0
        spread = workers.workers_of(told, files)
        assert len(spread) == (count if count > 1 else 0)
        if count > 1:
            assert [each.requests for each in spread] == [each.recorded for each in spread]
            assert sum(each.requests for each in spread) == told["requests"]
            assert sum(each.users for each in spread) == LOAD.users
            assert all(each.local and 0 < each.cpu_share < 1 for each in spread)
            assert len({read_rounds(path) for path in files}) == 1
    assert len({user for user, _ in schedules[1]}) == LOAD.users
    assert schedules[1] == schedules[2] == schedules[4]


def read_rounds(path: Path) -> int:
    """Rounds of warm-up that a worker's samples show: gaps of more than a head start between due times of one user."""
    samples: pd.DataFrame = pq.read_table(path).to_pandas()
    warm_up = samples[samples["phase"] == "warm-up"]["due_ns"]
    return round((warm_up.max() - warm_up.min()) / 1e9 / LOAD.warm_up_s)


def test_a_worker_that_was_killed_is_missed_at_once(drive: Callable[..., Any]):
    with drive(replace(LOAD, workers=2, duration_s=20), "killed") as driving:
        driving.warm_up()
        driving.generator._processes[2].kill()
        with pytest.raises(WorkerLostError, match=r"local worker 2 of 2 died \(exit status -9\) before 6-measured"):
            driving.step(control.MEASURE, control.MEASURED)


@pytest.fixture
def by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as somebody starts it on another host: of the harness it knows where the master is, and no more."""
    (port,) = free_ports(1)
    monkeypatch.setenv(generator.MASTER_VARIABLE, f"127.0.0.1:{port}")
    argv = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests" / "scenarios" / "browse.py")]
    argv += ["--worker", "--master-host", "127.0.0.1", "--master-port", str(port)]
    with (
        (tmp_path / "by-hand.log").open("wb") as log,
        subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log, start_new_session=True) as worker,
    ):
        yield worker
        worker.kill()


def test_a_worker_by_hand_sends_its_samples_over_locusts_connection(
    drive: Callable[..., Any], by_hand: subprocess.Popen[bytes]
):
    with drive(replace(LOAD, workers=1, remote_workers=1), "remote") as driving:
        told = driving.all()
        files = driving.generator.sample_files
    spread = workers.workers_of(told, files)
    assert sorted(each.local for each in spread) == [False, True]
    assert [each.requests for each in spread] == [each.recorded for each in spread]
    assert told["requests"] == sum(pq.read_metadata(path).num_rows for path in files)
    assert by_hand.wait(20) == 0  # told to end by the master


def test_a_worker_by_hand_that_falls_silent_is_missed(drive: Callable[..., Any], by_hand: subprocess.Popen[bytes]):
    with drive(replace(LOAD, workers=1, remote_workers=1, duration_s=20), "silent") as driving:
        driving.warm_up()
        by_hand.kill()
        with pytest.raises(WorkerLostError, match=r"worker \d of 2 was silent for seconds before 6-measured"):
            driving.step(control.MEASURE, control.MEASURED)


def test_a_trial_that_lost_a_worker_is_invalid_and_says_why(bench: Any):
    cell = ["--schemes", "token", "--replicas", "1", "--blocks", "1", "--duration", "2", "--workers", "2"]
    run = bench.start(*cell)
    os.kill(_a_worker_that_measures(run).pid, signal.SIGKILL)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, out + err
    trials = [json.loads(path.read_text()) for path in bench.results.glob("latest/trials/1/*/trial.json")]
    earlier = [reason for trial in trials for reason in trial["earlier_attempt"] or []]
    (reason,) = [reason for reason in earlier if "local worker" in reason]
    assert "died (exit status -9) before 6-measured" in reason
    for trial in trials:
        told = trial["generator"]
        rows = sum(
            pq.read_metadata(path).num_rows
            for path in bench.results.glob(f"latest/trials/1/{trial['cell']}/samples-*.parquet")
        )
        assert len(told["workers"]) == 2
        assert rows == told["locust_requests"] == sum(each["requests"] for each in told["workers"])
        assert sum(trial["balancer"]["requests"].values()) == trial["sent"]


def _a_worker_that_measures(run: subprocess.Popen[str]) -> psutil.Process:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for process in psutil.Process(run.pid).children(recursive=True):
            try:
                is_worker = "--worker" in process.cmdline()
                if is_worker and (Path(process.environ()["HOME"]) / control.MEASURE).exists():
                    return process
            except (psutil.Error, KeyError):
                continue
        time.sleep(0.02)  # polls, up to the deadline
    pytest.fail(f"nothing was measured: {run.communicate()}")
