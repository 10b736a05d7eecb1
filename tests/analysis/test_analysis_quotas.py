"""Quotas in the report: where they held a step in replicas is scaling, where they did not it is contention."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.load import load_run
from analysis.report.model import build
from analysis.summary import Analysis, analyse, summary_document

LIMITED = ("session", "redis", {"replica_cpus": "0.1"})


def limit(folder: Path, cpus: float, method: str = "cgroup v1") -> None:
    """Let every replica of the cells with a quota have one that held, stopped in a quarter of its periods."""
    run = json.loads((folder / "run.json").read_text())
    run["machine"]["quota_method"] = method
    (folder / "run.json").write_text(json.dumps(run))
    counted = {"quota_cpus": cpus, "quota_period_us": 10_000, "periods": 80, "throttled_share": 0.25}
    for path in folder.glob("trials/*/*replica_cpus*/trial.json"):
        trial = json.loads(path.read_text())
        for part in trial["components"].values():
            if part["kind"] == "replica":
                part |= {**counted, "throttled_ns": 100_000_000, "cpu_ns": 50_000_000}
        path.write_text(json.dumps(trial))


@pytest.fixture
def analysed(build_run: Callable[..., Path]) -> Callable[[float], Analysis]:
    def make(cpus: float, series=(("control", "none"),)) -> Analysis:
        folder = build_run(series=series, extra=(LIMITED,), blocks=3, replicas=(1, 4), requests=100)
        limit(folder, cpus)
        return analyse(load_run(folder))

    return make


def told(analysis: Analysis, id_: str) -> list[str]:
    return [each.text for each in analysis.findings if each.id == id_]


def test_contention_is_said_of_the_cells_without_a_quota_alone(analysed) -> None:
    (text,) = told(analysed(0.1), "contention")
    assert "Up to 4 replicas" in text
    assert "(1 cell of 2 with several replicas)" in text


def test_where_every_quota_held_nothing_is_said(build_run: Callable[..., Path]) -> None:
    folder = build_run(series=(), extra=(LIMITED,), blocks=3, replicas=(1, 4), requests=100)
    limit(folder, 0.1)
    analysis = analyse(load_run(folder))
    assert told(analysis, "contention") == told(analysis, "crowded") == told(analysis, "no-quota") == []


def test_quotas_that_add_up_to_more_than_the_machine_has(analysed) -> None:
    (text,) = told(analysed(0.9), "crowded")
    assert "add up to 3.6 cores" in text
    assert "have 2 cores" in text


def test_a_quota_that_could_not_be_kept_is_told_and_labelled(build_run: Callable[..., Path]) -> None:
    folder = build_run(series=(), extra=(LIMITED,), blocks=3, replicas=(1, 4), requests=100)
    analysis = analyse(load_run(folder))
    assert len(told(analysis, "no-quota")) == len(told(analysis, "contention")) == 1
    assert all(each.id != "quotas" for each in analysis.sections)


def test_how_often_a_quota_was_met(analysed) -> None:
    analysis = analysed(0.1)
    (section,) = summary_document(analysis)["sections"]["quotas"]["cells"][:1]
    assert section["throttled_share"] == {"value": 0.25, "low": 0.25, "high": 0.25}
    run = analysis.run
    assert section["throttled_ms_per_s"]["value"] == pytest.approx(100 / run.trials[0].duration_s)
    assert section["used_share"]["value"] == pytest.approx(0.5 / run.trials[0].duration_s)
    (shown,) = [each for each in build(analysis).sections if each.id == "quotas"]
    assert "stopped for the rest" in shown.text[0]
