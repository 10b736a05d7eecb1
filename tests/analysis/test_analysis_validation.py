"""The checks of `make validate` on small data with a known truth: each passes what is right and fails the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import known_truth, validation
from analysis import validate as command
from analysis.estimates import CellResult, Estimate
from analysis.load import Cell
from analysis.metrics import METRICS, Measurement, Octets
from loadtests import samples as contract
from loadtests.calibration_laws import BY_NAME, responses_ns, service_times_ns
from loadtests.calibration_truth import QUANTILES, true_quantiles_ms

LAW = BY_NAME["constant"]
REQUESTS = 60_000
NOTHING = dict.fromkeys(metric.name for metric in METRICS)


def _cell(name: str, **options: str) -> Cell:
    return Cell(name, "session", "redis", 1, "roundrobin", None, {}, options)


def _result(name: str, values: dict[str, list[float]], **options: str) -> CellResult:
    blocks = len(next(iter(values.values())))
    measurements = tuple(
        Measurement(
            cell=name, block=block, values={**NOTHING, **{metric: each[block] for metric, each in values.items()}},
            response_ms=np.array([]), octets=Octets(0, 0, 0, 0, 0), requests_by_replica={}, requests=1, commands=None,
            node_commands={}, fault=None,
        )
        for block in range(blocks)
    )  # fmt: skip
    nothing = dict.fromkeys((metric.name for metric in METRICS), Estimate(None, None, None, 0))
    return CellResult(_cell(name, **options), nothing, measurements, 0, {})


def _write_samples(folder: Path, due: np.ndarray, started: np.ndarray, ended: np.ndarray, busy: np.ndarray) -> None:
    count = len(due)
    filled = {
        "due_ns": due, "started_ns": started, "first_byte_ns": ended, "ended_ns": ended, "user_was_busy": busy,
        "user": np.zeros(count), "operation": ["me"] * count, "phase": [contract.MEASURED] * count,
        "status": np.full(count, 200), "outcome": [contract.OK] * count, "replica": [""] * count,
        "request_head_bytes": np.full(count, 80), "request_body_bytes": np.zeros(count),
        "response_head_bytes": np.full(count, 90), "response_body_bytes": np.full(count, 10),
        "credential_bytes": np.zeros(count), "auth_ns": np.full(count, -1), "store_ns": np.full(count, -1),
        "queue_ns": np.full(count, -1), "app_ns": np.full(count, -1), "connection_reused": [True] * count,
    }  # fmt: skip
    table = pa.table({name: pa.array(values) for name, values in filled.items()}).select(contract.SCHEMA.names)
    pq.write_table(table, folder / "samples.parquet")


def _calibration(folder: Path, *, extra_ns: int = 0, ignores_due: bool = False, drop: int = 0) -> Path:
    """What a perfect client would have recorded of many requests, or one that is wrong in one way."""
    chance = np.random.default_rng(3)
    due = np.cumsum(chance.exponential(1e9 / LAW.user_rate_rps, REQUESTS)).astype(np.int64)
    draws = (each + extra_ns for each in service_times_ns(LAW, "somebody"))
    response = np.fromiter(responses_ns(LAW, due, draws, 0), dtype=np.int64)
    ended = due + response
    started = np.maximum(due, np.concatenate([[0], ended[:-1]]))
    busy = np.zeros(REQUESTS, bool) if ignores_due else started > due
    kept = slice(drop, None)
    _write_samples(folder, due[kept], started[kept], ended[kept], busy[kept])
    document = {
        "format": 1, "law": {"name": LAW.name, "title": LAW.title}, "quantiles": list(QUANTILES), "advance_us": 100.0,
        "truth_ms": true_quantiles_ms(LAW),
        "server": {"requests": REQUESTS, "late_us": {"p50": 20.0, "p99": 60.0, "p99.9": 90.0}, "cpu_s": 1.0},
    }  # fmt: skip
    (folder / "calibration.json").write_text(json.dumps(document))
    return folder


def _failed(folder: Path) -> list[float]:
    return [each.share for each in known_truth.recover(folder) if not known_truth.judge_recovered(each).passed]


def test_a_perfect_client_recovers_the_truth_and_the_uncorrected_figures_do_not(tmp_path: Path):
    found = list(known_truth.recover(_calibration(tmp_path)))
    assert _failed(tmp_path) == []
    assert all(each.uncorrected_ms == pytest.approx(5) for each in found)
    assert found[-1].true_ms > 15


def test_another_service_time_is_seen(tmp_path: Path):
    assert _failed(_calibration(tmp_path, extra_ns=400_000)) == list(QUANTILES)


def test_a_client_that_counts_from_the_sending_is_seen(tmp_path: Path):
    assert _failed(_calibration(tmp_path, ignores_due=True)) == [0.9, 0.99, 0.999]


def test_one_sample_that_is_missing_is_seen(tmp_path: Path):
    assert known_truth.judge_sent(_calibration(tmp_path)).passed
    assert not known_truth.judge_sent(_calibration(tmp_path, drop=1)).passed


def test_a_server_that_is_late_itself_is_seen(tmp_path: Path):
    folder = _calibration(tmp_path)
    assert known_truth.judge_server(folder).passed
    path = folder / "calibration.json"
    path.write_text(path.read_text().replace('"p99": 60.0', '"p99": 3060.0'))
    assert not known_truth.judge_server(folder).passed


def _identical(shift: float, sd: float) -> list[CellResult]:
    chance = np.random.default_rng(11)
    made = []
    for number in range(40):
        scale = 1 + shift * (number % 2)
        values = {name: list(scale * np.exp(chance.normal(0, sd, 3))) for name in validation.AA_METRICS}
        made.append(_result(f"cell{number}", values))
    return made


def test_identical_cells_pass_and_a_bias_between_them_does_not():
    fair = list(validation.judge_aa(list(validation.aa_comparisons(_identical(0, 0.05)))))
    assert [(check.limit, check.passed) for check in fair] == [(3, True), (3, True)]
    biased = list(validation.judge_aa(list(validation.aa_comparisons(_identical(0.5, 0.05)))))
    assert [check.passed for check in biased] == [False, False]


def test_no_valid_pair_is_no_pass():
    assert not any(check.passed for check in validation.judge_aa([]))


def test_the_smallest_effect_is_that_of_the_formula():
    found = {each.metric: each for each in validation.smallest_effects(_identical(0, 0.1), trial_s=2.0)}
    each = found["response_p50_ms"]
    assert each.blocks == 30
    assert each.sd == pytest.approx(0.1 * 2**0.5, rel=0.2)
    # t(0.975, 29) + t(0.8, 29) = 2.045 + 0.854
    assert each.smallest == pytest.approx(np.expm1(2.899 * each.sd / 30**0.5), rel=1e-3)


def _planted(by_us: float) -> list[CellResult]:
    plain = {"auth_p50_us": [180.0, 190, 200, 185, 195], "replica_cpu_us_per_request": [600.0, 610, 640, 605, 600]}
    noise = [5.0, -8, 3, -4, 6]
    other = {name: [a + by_us + b for a, b in zip(values, noise, strict=True)] for name, values in plain.items()}
    return [_result("plain", plain), _result("with", other, spin_us="200")]


def test_a_planted_cost_is_found_with_its_size():
    assert all(check.passed for check in validation.judge_planted(_planted(200)))


@pytest.mark.parametrize("by_us", [0, 100, 300])
def test_another_cost_than_the_planted_one_is_seen(by_us: float):
    checks = list(validation.judge_planted(_planted(by_us)))
    assert [check.passed for check in checks if check.unit == "us"] == [False, False]
    assert [check.passed for check in checks if check.unit == "p"] == [by_us > 0] * 2


def _accounting(folder: Path, **changed: object) -> Path:
    count = np.arange(1, 9) * 1_000_000
    _write_samples(folder, count, count, count + 1, np.zeros(8, bool))
    document = {
        "format": 1, "locust": 8, "balancer": {"a": 4, "b": 4}, "replicas": {"a": 4, "b": 4},
        "capture": {"requests": 8, "sent_bytes": 640, "received_bytes": 800}, **changed,
    }  # fmt: skip
    (folder / "accounting.json").write_text(json.dumps(document))
    return folder


def _verdicts(folder: Path) -> list[bool]:
    return [check.passed for check in validation.judge_accounting(folder)]


def test_equal_counts_and_octets_pass(tmp_path: Path):
    assert _verdicts(_accounting(tmp_path)) == [True, True, True]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"locust": 7}, [False, True, True]),
        ({"balancer": {"a": 4, "b": 5}}, [False, True, True]),
        ({"replicas": {"a": 4, "b": 3}}, [False, True, True]),
        ({"capture": {"requests": 9, "sent_bytes": 640, "received_bytes": 800}}, [False, True, True]),
        ({"capture": {"requests": 8, "sent_bytes": 641, "received_bytes": 800}}, [True, False, True]),
        ({"capture": {"requests": 8, "sent_bytes": 640, "received_bytes": 799}}, [True, True, False]),
    ],
)
def test_a_difference_of_one_fails(changed: dict[str, object], expected: list[bool], tmp_path: Path):
    assert _verdicts(_accounting(tmp_path, **changed)) == expected


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command over checks made up here: what it prints, writes and answers."""
    recovered = tuple(known_truth.recover(_calibration(tmp_path)))
    facts = {"cpu": "a", "cores": 2, "kernel": "b", "os": "c", "python": "d", "noise_p99_us": 1, "pinning": {}}
    identical = _identical(0, 0.05)
    made = validation.Validation(
        document={
            "id": "x-validate", "quick": False, "machine": {**facts, "loadavg_1m_before": 0.1},
            "software": {"git_revision": None}, "seconds": {"total": 300.0},
        },
        checks=tuple(known_truth.judge_recovered(each) for each in recovered),
        recovered=recovered,
        servers=(json.loads((tmp_path / "calibration.json").read_text()),),
        pairs=tuple(validation.aa_comparisons(identical)),
        smallest=tuple(validation.smallest_effects(identical, 2.0)),
    )  # fmt: skip

    def run(*, broken: bool) -> int:
        checks = (replace(made.checks[0], passed=not broken), *made.checks[1:])
        monkeypatch.setattr(command, "validate", lambda _: replace(made, checks=checks))
        monkeypatch.setenv("COLUMNS", "80")
        return command.main(["--run", str(tmp_path), "--out", str(tmp_path / "validate.json")])

    return run


@pytest.mark.parametrize("broken", [False, True])
def test_the_command_tells_by_table_file_page_and_exit_status(
    judged: Callable[..., int], *, broken: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert judged(broken=broken) == (1 if broken else 0)
    out = capsys.readouterr().out
    assert ("FAIL" in out) is broken
    assert max(map(len, out.splitlines()[:-1])) <= 80
    written = json.loads((tmp_path / "validate.json").read_text())
    assert written["format"] == 1
    assert [check["passed"] for check in written["checks"]] == [not broken, True, True, True]
    assert all({"name", "passed", "value", "limit"} <= check.keys() for check in written["checks"])
    page = (tmp_path / "validate.html").read_text()
    assert page.count("<script") == 1  # what sorts the tables
    assert not [part for part in ("src=", "@import", 'href="http', "url(http") if part in page]
    assert ("FAIL" in page) is broken


def test_nothing_to_judge_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert command.main(["--run", str(tmp_path / "none"), "--out", str(tmp_path / "validate.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
