"""The planner against counts worked out by hand, and what it must refuse to say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import plan as command
from analysis import plan_scale
from analysis.estimates import Estimate, estimate_run
from analysis.load import load_run
from analysis.plan_question import PlanError, Question, objective, question
from analysis.planned import Plan, SeriesPlan
from analysis.planner import plan
from analysis.session_memory import HINT, bytes_per_session
from analysis.synthetic import Plan as Layout
from analysis.synthetic import write_run

Build = Callable[..., Path]
QUOTA = {"replica_cpus": "1"}
SERIES: dict[str, Any] = {"series": (("control", "none"), ("token", "none"), ("session", "memory"))}


def _known(folder: Path, **changes: Any) -> Path:
    """A run whose CPU per request is exact: 300 us at a replica, 30 at the balancer, 20 at the store (control: 100)."""
    shape: dict[str, Any] = {"blocks": 3, "requests": 200, "replicas": (1,), **SERIES} | changes
    write_run(folder, Layout(**shape, extra=(("session", "redis", QUOTA),)))
    for path in folder.glob("trials/*/*/trial.json"):
        trial = json.loads(path.read_text())
        parts = trial["components"].values()
        replicas = sum(part["kind"] == "replica" for part in parts)
        replica_us = 100 if trial["cell"].startswith("control") else 300
        for part in parts:
            each_us = {"replica": replica_us / replicas, "balancer": 30, "store": 20}[part["kind"]]
            part["cpu_ns"] = round(1000 * each_us * trial["sent"])
        path.write_text(json.dumps(trial))
    return folder


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only, but for what a plan writes."""
    return _known(tmp_path_factory.mktemp("plan") / "known")


@pytest.fixture
def known_run(tmp_path: Path) -> Callable[..., Path]:
    """A builder of one that a test may change."""
    return lambda name="run", **changes: _known(tmp_path / name, **changes)


def _plan(folder: Path, memory: dict[tuple[str, str], Estimate] | None = None, *, only: str = "", **asked: Any) -> Plan:
    run = load_run(folder)
    results = [each for each in estimate_run(run) if each.cell.scheme == only or not only]
    return plan(run, results, Question(**{"rps": 50_000.0} | asked), memory or {})


def _of(made: Plan, scheme: str, store: str = "none") -> SeriesPlan:
    return next(each for each in made.series if (each.cell.scheme, each.cell.store) == (scheme, store))


def _values(made: SeriesPlan, *names: str) -> list[Any]:
    return [made.figure(name).value for name in names]  # type: ignore[union-attr]


def test_counts_are_those_worked_out_by_hand(known: Path):
    made = _of(_plan(known), "session", "redis")
    # 50,000/s x 300 us = 15 busy cores, at 40 % 37.5: 38 replicas; balancer 1.5 / 0.4: 4; store 1 / 0.4: 3
    names = ("replicas", "balancer_cores", "store_cores", "cores", "busy_cores")
    assert _values(made, *names) == [38, 4, 3, 45, pytest.approx(17.5)]
    # replicas 38 / 300 us = 126,667/s; balancer 133,333; store 150,000
    full = made.figure("saturation_rps")
    assert full.value == pytest.approx(126_667, rel=1e-4)
    assert full.note.startswith("replicas, 39 % busy")
    assert made.figure("replicas").how == "extrapolated"
    assert made.figure("replicas").factor == 38
    assert made.figure("replicas").far
    # 63 octets of credential x 50,000/s x 86,400 s = 272 GB
    assert made.figure("credential_gb_per_day").value == pytest.approx(272.16)
    assert made.figure("credential_gb_per_day").how == "measured"


def test_half_a_core_a_replica_takes_twice_as_many_and_two_take_no_fewer(known: Path):
    half, two = (_of(_plan(known, replica_cpus=cpus), "token") for cpus in (0.5, 2.0))
    assert _values(half, "replicas", "cores") == [75, 75 * 0.5 + 4]
    assert _values(two, "replicas", "cores") == [38, 38 * 2 + 4]  # one thread computes at a time


def test_headroom_is_spare_capacity_over_what_is_needed(known: Path):
    assert _values(_of(_plan(known, headroom=0.0), "token"), "replicas") == [15]
    assert _values(_of(_plan(known, headroom=1.0), "token"), "replicas") == [30]


def test_the_interval_is_that_of_the_demand(build_run: Build):
    folder = build_run(blocks=4, requests=100, replicas=(1,), **SERIES)
    for path in folder.glob("trials/*/token-*/trial.json"):
        trial = json.loads(path.read_text())
        spread = {1: 0.9, 2: 1.1, 3: 0.95, 4: 1.05}[trial["block"]]
        trial["components"]["replica-0"]["cpu_ns"] = int(300_000 * spread * trial["sent"])
        path.write_text(json.dumps(trial))
    run = load_run(folder)
    (measured,) = (
        each.estimates["replica_cpu_us_per_request"] for each in estimate_run(run) if each.cell.scheme == "token"
    )
    replicas = _of(_plan(folder), "token").figure("replicas")
    assert replicas.low < replicas.value < replicas.high
    assert replicas.low == -(-50_000 * measured.low // 400_000)
    assert replicas.high == -(-50_000 * measured.high // 400_000)


def test_a_store_that_is_not_shared_carries_no_plan_of_several_replicas(known: Path):
    assert "not shared" in _of(_plan(known), "session", "memory").refusal
    assert _of(_plan(known, rps=500), "session", "memory").refusal == ""


def test_too_few_blocks_and_too_wide_an_interval_carry_nothing(known_run: Callable[..., Path]):
    assert "needs 3" in _of(_plan(known_run(name="two", blocks=2)), "token").refusal
    folder = known_run(name="wide")
    for path in folder.glob("trials/1/token-*/trial.json"):
        trial = json.loads(path.read_text())
        trial["components"]["replica-0"]["cpu_ns"] *= 5
        path.write_text(json.dumps(trial))
    assert "more blocks" in _of(_plan(folder), "token").refusal


def test_no_valid_cell_carries_nothing(known_run: Callable[..., Path]):
    folder = known_run()
    for path in folder.glob("trials/*/token-*/trial.json"):
        trial = json.loads(path.read_text())
        path.write_text(json.dumps(trial | {"valid": False, "invalid_reasons": ["generator late"]}))
    assert "valid blocks" in _of(_plan(folder), "token").refusal
    assert _of(_plan(folder), "control").refusal == ""


def test_an_objective_tighter_than_what_was_measured_has_no_figure(known: Path):
    made = _of(_plan(known, objective=objective("p99<1ms"), only="token"), "token")
    refused = made.figure("response_p99_ms")
    assert refused.value is None
    assert "tighter" in refused.note
    assert made.figure("replicas").value == 38  # the law stands without it


def test_an_objective_within_reach_is_simulated_and_may_take_more_replicas(known: Path):
    easy = _of(_plan(known, objective=objective("p99<50ms"), rps=20_000, only="token"), "token")
    assert easy.figure("response_p99_ms").value < 50
    assert easy.figure("replicas").value == 15
    for replicas in (10, 100, 1000):  # as busy each: the tail is that of one replica, whatever their number
        large = easy.figure(f"response_p99_ms_at_{replicas}")
        assert large.value == pytest.approx(easy.figure("response_p99_ms").value, rel=0.25)
        assert (large.how, large.factor) == ("extrapolated", replicas)
    # at no headroom the replicas are full: the law is content, and the objective is not
    tight = _of(_plan(known, objective=objective("p99<6ms"), headroom=0.0, rps=23_300, only="token"), "token")
    assert tight.figure("response_p99_ms").value < 6
    assert tight.figure("replicas").value > 7
    assert "utilisation alone" in tight.figure("replicas").note


def test_demands_of_contention_are_called_so(known: Path):
    made = _plan(known)
    assert any("contention" in each for each in _of(made, "token").cautions)
    assert not any("contention" in each for each in _of(made, "session", "redis").cautions)  # it has a quota
    assert any("not checked" in each for each in _of(made, "token").cautions)


def test_a_model_that_is_not_valid_plans_no_response_time(build_run: Build):
    folder = build_run(blocks=3, requests=200, replicas=(1, 4), series=(("control", "none"),))  # slower by 30 % at 4
    made = _of(_plan(folder, objective=objective("p99<500ms")), "control")
    assert made.figure("response_p99_ms").value is None
    assert "not valid" in made.figure("response_p99_ms").note
    assert made.figure("response_p99_ms_at_1000") is None
    assert made.figure("replicas").value


def test_store_memory_comes_from_a_run_of_sessions_alone(known_run: Callable[..., Path]):
    folder = known_run()
    assert _of(_plan(folder, users=2_000_000), "session", "redis").figure("store_memory_bytes").note == HINT
    slopes = {
        "replica_rss_bytes": {"value": 9, "low": 8, "high": 10},
        "store_bytes": {"value": 500, "low": 490, "high": 510},
    }
    rows = [{"scheme": "session", "store": name, "per_session": slopes} for name in ("redis", "postgres")]
    rows[1]["per_session"] = {"replica_rss_bytes": slopes["replica_rss_bytes"]}  # not what that store holds
    (folder / "summary.json").write_text(json.dumps({"sections": {"memory": {"cells": rows}}}))
    assert list(bytes_per_session(folder)) == [("session", "redis")]
    made = _of(_plan(folder, dict(bytes_per_session(folder)), users=2_000_000), "session", "redis")
    memory = made.figure("store_memory_bytes")
    assert (memory.value, memory.low, memory.high) == (1000, 980, 1020)
    assert _of(_plan(folder), "token").figure("store_memory_bytes").value == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sections": {"memory": {"cells": [1, {"scheme": "session"}]}}}'])
def test_a_summary_that_is_none_holds_no_memory(tmp_path: Path, text: str):
    (tmp_path / "summary.json").write_text(text)
    assert bytes_per_session(tmp_path) == {}
    assert bytes_per_session(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rps": "many"}, "RPS must be a number"),
        ({"rps": "nan"}, "RPS must be a number"),
        ({"rps": "0"}, "RPS must be a number from 0.1"),
        ({"users": "-1"}, "USERS"),
        ({"headroom": "x%"}, "HEADROOM"),
        ({"replica_cpus": "0"}, "REPLICA_CPUS"),
        ({"slo": "p95<5ms"}, "write one of p50, p90, p99, mean"),
        ({"slo": "p99<0ms"}, "SLO"),
        ({"slo": "p99<1.2.3ms"}, "SLO"),
    ],
)
def test_what_is_no_question_is_refused_by_name(changes: dict[str, str], said: str):
    texts = {"rps": "100", "users": "", "slo": "", "headroom": "", "replica_cpus": ""} | changes
    with pytest.raises(PlanError, match=said):
        question(**texts)


def test_a_question_in_texts():
    asked = question("50,000", "2000000", "p99 < 0.05s", "100%", "0.5")
    assert (asked.rps, asked.users, asked.headroom, asked.replica_cpus) == (50_000, 2_000_000, 1.0, 0.5)
    assert str(asked.objective) == "p99 < 50 ms"
    assert question("1", "", "", "", "").target == pytest.approx(0.4)


def test_the_command_writes_three_files_and_stays_within_80_columns(
    known: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(plan_scale, "SIZES", (10,))  # the others take seconds each
    status = command.main(["--rps", "50000", "--slo", "p99<50ms", "--users", "2000000", "--run", str(known)])
    out = capsys.readouterr().out
    assert status == 0
    assert max(map(len, out.replace(str(known), "").splitlines())) <= 80
    document = json.loads((known / "plan.json").read_text())
    assert document["question"]["slo"] == "p99 < 50 ms"
    redis = next(each for each in document["series"] if each["store"] == "redis")
    assert redis["figures"]["replicas"]["value"] == 38
    assert redis["figures"]["store_memory_bytes"]["how"] == "refused"
    page = (known / "plan.html").read_text()
    assert "<script" not in page
    for text in (page, (known / "plan.md").read_text()):
        assert "session · redis" in text
        assert "EXPERIMENT=sessions" in text
    command.main(["--rps", "50000", "--slo", "p99<50ms", "--users", "2000000", "--run", str(known)])
    assert json.loads((known / "plan.json").read_text()) == document  # one seed, one plan


@pytest.mark.parametrize(
    "arguments", [["--rps", "x", "--run", "{}"], ["--rps", "5", "--run", "nowhere"], ["--rps", "5", "--slo", "fast"]]
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], quick_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    given = [each.format(quick_run) for each in arguments]
    assert command.main([*given, "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_that_carries_no_plan_has_a_status_of_its_own(build_run: Build):
    folder = build_run(blocks=1, requests=50, replicas=(1,), series=(("control", "none"),))
    assert command.main(["--rps", "5", "--run", str(folder)]) == 1
