"""Capacity in the report, from trials that say what a search found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.load import load_run
from analysis.report import html, markdown
from analysis.report.model import build
from analysis.summary import Analysis, analyse, summary_document

Build = Callable[..., Path]
REPLICA = {"kind": "replica", "share": 0.97, "of": "quota 0.1", "throttled": 0.9}
GENERATOR = {"kind": "generator", "share": 0.75, "of": "a core", "throttled": None, "because": "generator used 75 %"}


def _search(rps: float | None, *, at_least: bool = False, limit: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "capacity_rps": rps, "missed_rps": rps and rps * 1.05, "at_least": at_least, "slo": "p99 < 50 ms",
        "limit": limit, "others_share": 0.0, "probes": [], "told": "",
    }  # fmt: skip


def _run(build_run: Build, found: Callable[[str, int, int], dict[str, Any]]) -> Analysis:
    """A run of the study; `found` says what a scheme's search found at so many replicas in a block."""
    series = (("control", "none"), ("token", "none"))
    folder = build_run(blocks=3, replicas=(1, 2, 4), series=series, requests=5)
    path = folder / "run.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["cells"] = [cell for cell in document["cells"] if not cell["duplicate_of"]]
    document["study"] = {"kind": "capacity", "slo": "p99 < 50 ms", "resolution": "5%", "confirm_s": "4"}
    document["study_loads"] = False
    path.write_text(json.dumps(document), encoding="utf-8")
    for trial in sorted(folder.glob("trials/*/*/trial.json")):
        facts = json.loads(trial.read_text(encoding="utf-8"))
        if facts["cell"].endswith(".aa"):
            trial.unlink()
            continue
        scheme, _, replicas = facts["cell"].split("-")[:3]
        facts["study"] = found(scheme, int(replicas.removesuffix("r")), facts["block"])
        if facts["study"]["capacity_rps"] is None:
            facts |= {"valid": False, "invalid_reasons": ["no rate met p99 < 50 ms"]}
        trial.write_text(json.dumps(facts), encoding="utf-8")
    return analyse(load_run(folder))


def _cells(analysis: Analysis) -> dict[str, Any]:
    return {each["cell"]: each for each in summary_document(analysis)["sections"]["capacity"]["cells"]}


@pytest.fixture
def linear(build_run: Build) -> Analysis:
    def found(scheme: str, replicas: int, block: int) -> dict[str, Any]:
        one = {"control": 500.0, "token": 400.0}[scheme] * {1: 0.98, 2: 1.0, 3: 1.02}[block]
        return _search(one * replicas, limit=REPLICA)

    return _run(build_run, found)


def test_capacity_stands_with_its_interval_per_replica_and_against_one(linear: Analysis):
    found = _cells(linear)["token-none-4r-roundrobin"]
    assert found["capacity_rps"]["value"] == pytest.approx(1600, rel=0.001)
    assert found["capacity_rps"]["low"] < 1600 * 0.98
    assert found["per_replica_rps"]["value"] == pytest.approx(400, rel=0.001)
    assert found["efficiency"] == {"value": pytest.approx(1), "low": pytest.approx(1), "high": pytest.approx(1)}
    assert found["limits"] == {"the replicas": 3}
    assert not found["at_least"]


def test_the_report_opens_with_it_and_draws_it(linear: Analysis):
    assert linear.answer[1].startswith("Tokens at p99 < 50 ms: 400 requests/s (95 % interval ")
    assert "on 4 replicas, limited by the replicas." in linear.answer[1]
    report = build(linear)
    text, page = markdown.render(report, ()), html.render(report, ())
    assert "Capacity by cell" in text
    assert "busy up to 97 %, stopped in up to 90 % of periods" in text
    assert "0.800" in text  # a token over control, paired by block
    assert "token 400 at ×1, 800 at ×2 and 1,600 at ×4" in page  # noqa: RUF001 - a times sign


def test_replicas_that_share_the_cores_without_a_quota_are_a_caution_and_those_with_one_are_not(build_run: Build):
    def run(name: str, **held: float) -> Analysis:
        found = _run(lambda **changes: build_run(name, **changes), lambda *_: _search(100.0, limit=REPLICA))
        for trial in found.run.trials:
            for part in trial.components.values():
                dict.update(part, held)  # type: ignore[arg-type]
        return analyse(found.run)

    assert "contention" in {each.id for each in run("without").findings}
    assert "contention" not in {each.id for each in run("with", quota_cpus=0.1).findings}


def test_where_the_generator_was_the_limit_it_is_at_least_and_a_caution(build_run: Build):
    def found(scheme: str, replicas: int, block: int) -> dict[str, Any]:
        ended = scheme == "control" and replicas == 4 and block == 2
        return _search(100.0 * replicas, at_least=ended, limit=GENERATOR if ended else REPLICA)

    analysis = _run(build_run, found)
    assert _cells(analysis)["control-none-4r-roundrobin"]["at_least"]
    (caution,) = [each for each in analysis.findings if each.id == "capacity-at-least"]
    assert caution.cells == ("control-none-4r-roundrobin",)
    assert "≥ 400" in markdown.render(build(analysis), ())
    assert "at least 400 requests/s" in analysis.answer[0]
    assert "limited by" not in analysis.answer[0].partition("at least")[2]


def test_a_cell_of_which_most_blocks_found_nothing_has_no_capacity(build_run: Build):
    def found(scheme: str, replicas: int, block: int) -> dict[str, Any]:
        lost = scheme == "token" and ((replicas == 1 and block > 1) or (replicas == 2 and block == 1))
        return _search(None if lost else 100.0 * replicas, limit=None)

    analysis = _run(build_run, found)
    cells = _cells(analysis)
    assert cells["token-none-1r-roundrobin"]["capacity_rps"] == {"value": None, "low": None, "high": None}
    assert cells["token-none-2r-roundrobin"]["capacity_rps"]["value"] == pytest.approx(200)
    assert cells["token-none-4r-roundrobin"]["efficiency"] is None
    (caution,) = [each for each in analysis.findings if each.id == "capacity-none"]
    assert caution.cells == ("token-none-1r-roundrobin",)
    assert "latency, with no server full" in markdown.render(build(analysis), ())
