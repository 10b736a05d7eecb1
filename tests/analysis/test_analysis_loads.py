"""Load models in the report: named rightly, throughput judged the right way round, steps told apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from analysis.compare import Comparison, verdict
from analysis.load import load_run
from analysis.report import markdown
from analysis.report.model import build
from analysis.summary import Analysis, analyse, summary_json

CLOSED = {"model": "closed", "rate_rps": 0.0, "think_s": 0.0}


def _with_load(folder: Path, **changes: Any) -> Path:
    path = folder / "run.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["load"] |= changes
    path.write_text(json.dumps(document), encoding="utf-8")
    return folder


def _text(analysis: Analysis) -> str:
    return markdown.render(build(analysis), ())


def test_a_closed_loop_is_called_so_and_claims_nothing_of_an_open_one(build_run: Callable[..., Path]) -> None:
    text = _text(analyse(load_run(_with_load(build_run(), **CLOSED))))
    assert "closed loop, 40 users, no think time" in text
    assert "open loop, " not in text
    assert "coordinated" not in text
    assert "requests/s by" not in text
    assert "Poisson" not in text


def test_an_open_loop_does_not_compare_its_throughput_and_a_closed_one_does(build_run: Callable[..., Path]) -> None:
    folder = build_run()
    assert "throughput_rps" not in {each.metric for each in analyse(load_run(folder)).comparisons}
    analysis = analyse(load_run(_with_load(folder, **CLOSED)))
    assert "throughput_rps" in {each.metric for each in analysis.comparisons}
    assert "throughput_rps" in analysis.noise


def _compared(metric: str, ratio: float) -> Comparison:
    return Comparison(metric, "a", "b", ratio, ratio * 0.95, ratio * 1.05, 0.001, 0.001, "inconclusive", 5)


@pytest.mark.parametrize(
    ("metric", "ratio", "said"),
    [
        ("throughput_rps", 1.5, "faster"),
        ("throughput_rps", 0.6, "slower"),
        ("response_p50_ms", 1.5, "slower"),
        ("response_p50_ms", 0.6, "faster"),
    ],
)
def test_more_throughput_is_faster_and_more_time_is_slower(metric: str, ratio: float, said: str) -> None:
    assert verdict(_compared(metric, ratio), None) == said
    equal = replace(_compared(metric, 1.0), low=0.99, high=1.01)
    assert verdict(equal, None) == "equivalent"


def test_what_a_closed_loop_answers_after_the_phase_is_not_its_throughput(build_run: Callable[..., Path]) -> None:
    folder = _with_load(build_run(blocks=1), **CLOSED)
    cell = "token-none-1r-roundrobin"
    samples = pq.read_table(folder / "trials" / "1" / cell / "samples.parquet").to_pandas()
    measured = samples[samples["phase"] == "measured"]
    end_ns = int(measured["ended_ns"].sort_values().iloc[-11])
    late = int((measured["ended_ns"] > end_ns).sum())
    assert late == 10
    path = folder / "trials" / "1" / cell / "trial.json"
    trial = json.loads(path.read_text(encoding="utf-8")) | {"measured_from_ns": end_ns - 2_500_000_000}
    path.write_text(json.dumps(trial), encoding="utf-8")
    (found,) = [each for each in analyse(load_run(folder)).results if each.cell.id == cell]
    assert found.value("throughput_rps") == pytest.approx((len(measured) - late) / 2.5)


def test_every_request_stands_in_the_step_in_which_it_fell_due(build_run: Callable[..., Path]) -> None:
    folder = _with_load(build_run(blocks=2), rate_rps=100, ramp_to_rps=400, steps=4)
    analysis = analyse(load_run(folder))
    cell = "control-none-1r-roundrobin"
    mine = [each for each in analysis.steps if each.cell == cell]
    assert [(each.step, each.from_rps) for each in mine] == [(1, 100), (2, 200), (3, 300), (4, 400)]
    medians = []
    for block in (1, 2):
        samples = pq.read_table(folder / "trials" / str(block) / cell / "samples.parquet").to_pandas()
        measured = samples[samples["phase"] == "measured"]
        due_s = (measured["due_ns"] - measured["due_ns"].min()) / 1e9
        second = measured[(due_s >= 0.625) & (due_s < 1.25)]
        since = second["due_ns"].where(second["user_was_busy"], second["started_ns"])
        medians.append(float((second["ended_ns"] - since).median() / 1e6))
    assert mine[1].response_p50_ms == pytest.approx(float(np.sqrt(np.prod(medians))))
    assert len(json.loads(summary_json(analysis))["steps"]) == 4 * len(analysis.results)
    text = _text(analysis)
    assert "By step: 100 to 400 requests/s in 4 steps" in text
    assert "Changing rate" in text


def test_a_constant_rate_has_no_steps(build_run: Callable[..., Path]) -> None:
    analysis = analyse(load_run(build_run()))
    assert analysis.steps == ()
    assert "By step" not in _text(analysis)
