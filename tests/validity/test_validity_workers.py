"""A generator of several workers: one schedule however many send it, every request counted by each who met it."""

import functools
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from analysis.load import Trial, read_samples
from loadtests import control, pacing, remote, workers
from loadtests.experiment import Load
from loadtests.gates import read_sent
from loadtests.generator import Generator
from loadtests.rates import Rate
from servers.users import user_name
from topology.components.instant import instant
from topology.ports import free_ports
from topology.process import RunningComponent
from topology.reaper import Reaper

pytestmark = pytest.mark.bench
ROOT = Path(__file__).parents[2]
LOAD = Load(
    "browse", rate_rps=150, users=7, warm_up_s=0.4, duration_s=0.8, warm_up_max_s=0.8, workers=3, remote_workers=1
)
SHIFT_S = 1_000_000
OTHER_CLOCK = ["unshare", "--user", "--map-root-user", "--time", "--monotonic", str(SHIFT_S)]


@functools.cache
def _has_other_clock() -> bool:
    try:
        return subprocess.run([*OTHER_CLOCK, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Driven:
    """What a generator told in the end, and the samples of its workers."""

    told: dict[str, Any]
    files: list[Path]

    @property
    def workers(self) -> tuple[workers.Worker, ...]:
        return workers.workers_of(self.told, self.files)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
    """Three workers of the harness and one that was started by hand, as on another host, whose clock is another."""
    folder = tmp_path_factory.mktemp("four")
    username = user_name(0, 1)
    with pytest.MonkeyPatch.context() as patch, Reaper() as reaper:
        served, mastered = free_ports(2)
        patch.setenv(remote.VARIABLE, f"127.0.0.1:{mastered}")
        component = instant(
            served, username=username, config=reaper.folder / "instant.cfg", admin_socket=reaper.folder / "admin"
        )
        server = RunningComponent(component, reaper.folder / "instant.log", reaper, frozenset())
        server.wait_ready()
        argv = [*(OTHER_CLOCK if _has_other_clock() else []), "make", "worker"]
        with (folder / "by-hand.log").open("wb") as log:
            by_hand = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            yield _drive(LOAD, f"http://127.0.0.1:{served}", folder, reaper)
        finally:
            os.killpg(by_hand.pid, signal.SIGKILL)
            by_hand.wait()
            server.stop()


def _drive(load: Load, url: str, folder: Path, reaper: Reaper) -> Driven:
    with Generator(
        load, seed=1, accounts=1, folder=folder, environment=reaper.environment, cores=frozenset(),
        runtime=reaper.folder / "control",
    ) as made:  # fmt: skip
        for asked, text, until in (
            (control.LOG_IN, url, control.LOGGED_IN),
            (control.WARM_UP, "", control.WARMED_UP),
            (control.MEASURE, "", control.MEASURED),
        ):
            made.step(asked, text, until, within_s=20, check=lambda: None)
        return Driven(made.finish(), made.sample_files)


def test_each_request_is_counted_by_worker_master_and_samples_alike(four: Driven):
    spread, sent = four.workers, read_sent(*four.files)
    assert sorted(each.local for each in spread) == [False, True, True, True]
    assert [each.requests for each in spread] == [each.recorded for each in spread]
    assert sum(each.requests for each in spread) == four.told["requests"] == sent.recorded > 100
    assert four.told["failures"] == sent.dropped == sum(each.failures for each in spread) == 0
    assert sum(each.users for each in spread) == LOAD.users
    assert all(0 < each.cpu_share < 1 for each in spread)
    reasons = workers.reasons_against(spread, locust=four.told["requests"], cores=4, late=False)
    assert not [reason for reason in reasons if "counted" in reason]


def test_they_send_what_one_would(four: Driven):
    sent = []
    for path, worker in zip(four.files, four.workers, strict=True):
        samples = pq.read_table(path).to_pandas()
        measured = samples[samples["phase"] == "measured"]
        sent += zip(measured["user"], measured["due_ns"] - worker.measured_from_ns, strict=True)
    asked = []
    for user in range(LOAD.users):
        times = pacing.schedule("poisson", Rate(LOAD.rate_rps), LOAD.users, ("1", "measured"), user)
        asked += [(user, round(due_s * 1e9)) for due_s in takewhile(lambda due_s: due_s < LOAD.duration_s, times)]
    assert sorted(sent) == sorted(asked)


def test_all_go_through_the_rounds_of_warm_up_that_were_judged_on_all_their_times(four: Driven):
    rounds = set()
    for path in four.files:
        samples = pq.read_table(path).to_pandas()
        due_ns = samples[samples["phase"] == "warm-up"]["due_ns"]
        rounds.add(round((due_ns.max() - due_ns.min()) / 1e9 / LOAD.warm_up_s))
    assert rounds == {four.told["warm_up"]["rounds"]}


def test_no_clock_is_taken_from_another(four: Driven):
    """A worker whose clock is a million seconds ahead changes no figure."""
    spread = four.workers
    (far,) = (each for each in spread if not each.local)
    if _has_other_clock():
        near = next(each for each in spread if each.local)
        assert far.measured_from_ns - near.measured_from_ns == pytest.approx(SHIFT_S * 1e9, abs=60e9)
    assert far.response_p99_ms < 1000
    assert far.lateness_p99_ms < 1000
    told = {"workers": [asdict(each) for each in spread]}
    trial = Trial(
        "cell", 1, True, (), (), LOAD.duration_s, 1, 0, told, {}, {}, None, four.files[0].parent,  # noqa: FBT003
        measured_from_ns=four.told["measured_from_ns"],
    )  # fmt: skip
    laid = read_samples(trial).to_pandas()
    measured = laid[laid["phase"] == "measured"]
    since_s = (measured["due_ns"] - trial.measured_from_ns) / 1e9
    assert since_s.between(0, LOAD.duration_s).all()
    raw = np.concatenate([pq.read_table(path)["ended_ns"].to_numpy() for path in four.files])
    raw -= np.concatenate([pq.read_table(path)["started_ns"].to_numpy() for path in four.files])
    assert sorted(laid["ended_ns"] - laid["started_ns"]) == sorted(raw)


def test_a_trial_that_lost_a_worker_is_invalid_and_says_why(bench: Any):
    cell = ["--schemes", "control", "--replicas", "1", "--blocks", "1", "--warmup-max", "0", "--duration", "1"]
    run = bench.start(*cell, "--workers", "2")
    os.kill(_a_worker_that_measures(run).pid, signal.SIGKILL)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, out + err
    trials = [json.loads(path.read_text()) for path in bench.results.glob("latest/trials/1/*/trial.json")]
    earlier = [reason for trial in trials for reason in trial["earlier_attempt"] or []]
    (reason,) = [reason for reason in earlier if "local worker" in reason]
    assert "of 2 died (exit status -9) before 6-measured" in reason
    for trial in trials:
        told = trial["generator"]
        files = bench.results.glob(f"latest/trials/1/{trial['cell']}/samples-*.parquet")
        rows = [pq.read_metadata(path).num_rows for path in files]
        assert len(told["workers"]) == len(rows) == 2
        assert sum(rows) == told["locust_requests"] == sum(each["requests"] for each in told["workers"])
        assert sum(trial["balancer"]["requests"].values()) == trial["sent"]
        assert told["here_cpu_share"] > told["cpu_share"]  # the busiest worker's


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
