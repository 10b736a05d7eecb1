"""How a load is shared out between workers, which loads cannot be, and what speaks against a trial of several."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests import control, remote
from loadtests.matrix import ExperimentError, load_experiment
from loadtests.run_folder import SetupError
from loadtests.workers import Worker, reasons_against

GOOD = Worker(0, True, 4, 100, 0, 100, 0, 0.2, 5.0, 0.3, 1)  # noqa: FBT003 - as trial.json has it


def _reasons(*workers: Worker, locust: int | None = None, cores: int = 4, late: bool = True) -> list[str]:
    total = sum(each.requests for each in workers) if locust is None else locust
    return reasons_against(workers, locust=total, cores=cores, late=late)


def test_nothing_speaks_against_good_workers_nor_against_one_process():
    assert _reasons(GOOD, replace(GOOD, worker=1)) == []
    assert _reasons(locust=100) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lateness_p99_ms": 3.0}, "worker 1 late: p99 3.00 ms over 1.00 ms"),
        ({"cpu_share": 0.8}, "worker 1 used 80% of its core"),
        ({"recorded": 99}, "Locust counted 100 requests of worker 1 and 99 were recorded"),
    ],
)
def test_one_bad_worker_of_two_is_enough(change: dict[str, float], reason: str):
    assert _reasons(GOOD, replace(GOOD, worker=1, **change)) == [reason]


def test_a_late_worker_of_a_closed_loop_thought_longer():
    assert _reasons(replace(GOOD, lateness_p99_ms=3.0), late=False) == []


def test_workers_that_share_a_core_are_judged_together_as_well_and_those_of_other_hosts_are_not():
    two = (replace(GOOD, cpu_share=0.4), replace(GOOD, worker=1, cpu_share=0.4))
    assert _reasons(*two, cores=1) == ["2 workers used 80% of the core that they share"]
    assert _reasons(*two, cores=2) == []
    assert _reasons(two[0], replace(two[1], local=False), cores=1) == []


def test_the_master_must_have_counted_what_its_workers_did():
    assert _reasons(GOOD, locust=99) == ["Locust's master counted 99 requests and its workers 100"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"workers": 0}, "somebody must send"),
        ({"workers": -1}, "workers must lie between 0 and 256"),
        ({"workers": 4, "users": 3}, "users must lie between 4 and 80000, not 3"),
        ({"workers": 2, "max_in_flight": 5}, "max-in-flight counts the requests of one process"),
    ],
)
def test_what_workers_cannot_do_is_refused(changes: dict[str, int], said: str):
    with pytest.raises(ExperimentError, match=said):
        load_experiment("quick", changes)


@pytest.mark.parametrize("study", ["payload", "revocation", "sessions"])
def test_a_study_that_sends_nothing_by_locust_refuses_workers(study: str):
    with pytest.raises(ExperimentError, match=f"workers send nothing in the study {study}, .*: leave workers out"):
        load_experiment(study, {"workers": 2, "users": 4})


def test_the_others_take_them_and_a_fault_those_of_this_host_alone():
    assert load_experiment("capacity", {"workers": 1, "remote_workers": 2}).load.every_worker == 3
    assert load_experiment("faults", {"workers": 2}).load.spread
    with pytest.raises(ExperimentError, match="remote-workers: a fault's time is this host's clock"):
        load_experiment("faults", {"remote_workers": 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be the IPv4 address by which they reach this host, such as 10.0.0.5 or 10.0.0.5:5557, not ''"),
        ("0.0.0.0:5557", "not '0.0.0.0:5557'"),
        ("127.0.0.1:x", "not '127.0.0.1:x'"),
        ("here", "not 'here'"),
        ("192.0.2.1", "AUTHSCALE_MASTER=192.0.2.1 cannot be listened on here: Cannot assign requested address"),
    ],
)
def test_remote_workers_need_an_address_of_this_host(monkeypatch: pytest.MonkeyPatch, text: str, said: str):
    monkeypatch.setenv(remote.VARIABLE, text)
    remote.check(load_experiment("quick", {"workers": 2}).load)
    with pytest.raises(SetupError, match=re.escape(said)):
        remote.check(load_experiment("quick", {"remote_workers": 1}).load)


def test_a_master_says_which_worker_is_gone_and_takes_no_other_samples(tmp_path: Path):
    script = Path(__file__).with_name("conducted.py")
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.parent.name: path.read_text() for path in tmp_path.glob(f"*/{control.LOST}")} == {
        "silent": "worker 1 of 2 was silent for seconds",
        "left": "worker 1 of 2 left",
        "garbled": "of the samples of worker 1 came 12 octets of 12, or others",
    }
    assert (tmp_path / "whole" / "samples-1.parquet").read_bytes() == b"samples of b"
    assert len(json.loads((tmp_path / "whole" / control.COUNTS).read_text())["workers"]) == 2
    assert not (tmp_path / "garbled" / "samples-1.parquet").exists()


def test_run_json_of_before_there_were_workers_is_read_as_of_one():
    record = json.loads(json.dumps(load_experiment("quick", {}).as_dict()))
    del record["load"]["workers"], record["load"]["remote_workers"]
    assert type(load_experiment("quick", {})).from_dict(record).load.every_worker == 1
