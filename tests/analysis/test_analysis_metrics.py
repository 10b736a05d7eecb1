from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from analysis.load import load_run
from analysis.metrics import METRICS
from analysis.summary import Analysis, analyse, summary_csv, summary_document, summary_json

METRIC_NAMES = [
    "response_p50_ms",
    "response_p90_ms",
    "response_p99_ms",
    "service_p50_ms",
    "throughput_rps",
    "refused_ratio",
    "error_ratio",
    "auth_p50_us",
    "store_p50_us",
    "store_p99_us",
    "store_commands_per_request",
    "request_bytes",
    "response_bytes",
    "credential_bytes",
    "replica_cpu_us_per_request",
    "balancer_cpu_us_per_request",
    "store_cpu_us_per_request",
    "replica_rss_mb",
    "store_memory_bytes",
]


@pytest.fixture(scope="module")
def analysis(quick_run: Path) -> Analysis:
    return analyse(load_run(quick_run))


def metrics_of(analysis: Analysis, cell: str) -> dict[str, dict[str, float | None]]:
    document = summary_document(analysis)
    found: dict[str, dict[str, float | None]] = next(c["metrics"] for c in document["cells"] if c["id"] == cell)
    return found


def linear_quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def response_times_ms(path: Path) -> list[float]:
    times = []
    for row in pq.read_table(path).to_pylist():
        if row["phase"] == "measured" and row["status"]:
            since = row["due_ns"] if row["user_was_busy"] else row["started_ns"]
            times.append((row["ended_ns"] - since) / 1e6)
    return times


@pytest.mark.parametrize("share", [0.50, 0.90, 0.99])
def test_percentiles_are_those_of_the_raw_samples(analysis: Analysis, quick_run: Path, share: float) -> None:
    for cell in ("session-redis-4r-roundrobin", "session-memory-4r-roundrobin", "control-none-1r-roundrobin.aa"):
        paths = sorted(quick_run.glob(f"trials/*/{cell}/samples.parquet"))
        by_block = [linear_quantile(response_times_ms(path), share) for path in paths]
        expected = math.prod(by_block) ** (1 / len(by_block))
        found = metrics_of(analysis, cell)[f"response_p{round(100 * share)}_ms"]["value"]
        assert found == pytest.approx(expected, rel=1e-9)


def test_every_metric_of_the_format_is_there(analysis: Analysis) -> None:
    assert set(METRIC_NAMES) <= {metric.name for metric in METRICS}
    for cell in summary_document(analysis)["cells"]:
        assert set(METRIC_NAMES) <= set(cell["metrics"])


def test_exact_figures_have_no_width_and_those_that_do_not_apply_are_null(analysis: Analysis) -> None:
    null = {"value": None, "low": None, "high": None}
    token = metrics_of(analysis, "token-none-4r-roundrobin")
    session = metrics_of(analysis, "session-redis-4r-roundrobin")
    assert token["store_p50_us"] == token["store_memory_bytes"] == token["store_cpu_us_per_request"] == null
    assert token["store_commands_per_request"] == {"value": 0, "low": 0, "high": 0}
    assert session["store_commands_per_request"] == {"value": 1, "low": 1, "high": 1}
    assert session["credential_bytes"] == {"value": 63, "low": 63, "high": 63}
    assert token["request_bytes"]["value"] == 488
    lost = metrics_of(analysis, "session-memory-4r-roundrobin")["refused_ratio"]
    assert lost["value"] == pytest.approx(0.75, abs=0.01)


def test_summary_is_strict_json_in_the_documented_shape(analysis: Analysis) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(summary_json(analysis), parse_constant=refuse)
    assert document["format"] == 1
    assert {"run", "cells", "comparisons", "noise_floor", "findings"} <= set(document)
    assert len(document["cells"]) == 9
    comparison = {"metric", "cell", "baseline", "ratio", "low", "high", "p", "p_holm", "verdict", "blocks", "question"}
    assert all(set(each) == comparison for each in document["comparisons"])
    assert all(cell["valid_blocks"] == 3 and cell["invalid_blocks"] == 0 for cell in document["cells"])


def test_csv_has_a_row_for_every_cell_and_metric(analysis: Analysis) -> None:
    lines = summary_csv(analysis.results).splitlines()
    assert lines[0] == "cell,metric,value,low,high"
    assert len(lines) == 1 + 9 * len(METRICS)
    assert "token-none-1r-roundrobin,credential_bytes,338.0,338.0,338.0" in lines
    assert "token-none-1r-roundrobin,store_p50_us,,," in lines


def test_one_block_gives_values_without_intervals(build_run: Callable[..., Path]) -> None:
    analysis = analyse(load_run(build_run(blocks=1)))
    median = metrics_of(analysis, "token-none-1r-roundrobin")["response_p50_ms"]
    assert median["value"] is not None
    assert median["low"] is median["high"] is None
    assert {each.verdict for each in analysis.comparisons} == {"inconclusive"}


def test_samples_of_several_generators_are_merged_before_quantiles(build_run: Callable[..., Path]) -> None:
    folder = build_run(blocks=2)
    whole = analyse(load_run(folder)).results[0].estimates["response_p99_ms"]
    for path in folder.glob("trials/*/*/samples.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.slice(0, 333), path.with_name("samples-0.parquet"))
        pq.write_table(table.slice(333), path.with_name("samples-1.parquet"))
        path.unlink()
    assert analyse(load_run(folder)).results[0].estimates["response_p99_ms"] == whole


def change_trial(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | changes), encoding="utf-8")


def test_invalid_trials_are_dropped_counted_and_explained(build_run: Callable[..., Path]) -> None:
    folder = build_run(blocks=4)
    late = folder / "trials/2/token-none-1r-roundrobin/trial.json"
    change_trial(late, valid=False, invalid_reasons=["the generator was late"])
    change_trial(folder / "trials/1/token-none-4r-roundrobin/trial.json", sent=512)
    analysis = analyse(load_run(folder))
    cells = {cell["id"]: cell for cell in summary_document(analysis)["cells"]}
    assert cells["token-none-1r-roundrobin"]["valid_blocks"] == 3
    assert cells["token-none-1r-roundrobin"]["invalid_reasons"] == {"the generator was late": 1}
    assert cells["token-none-4r-roundrobin"]["invalid_blocks"] == 1
    told = next(each.text for each in analysis.findings if each.id == "invalid")
    assert told.startswith("2 trials")
    assert "the generator was late" in told
    blocks = {each.blocks for each in analysis.comparisons if each.cell == "token-none-1r-roundrobin"}
    assert blocks == {3}


def test_a_cell_without_a_valid_block_is_all_null(build_run: Callable[..., Path]) -> None:
    folder = build_run(blocks=2)
    for path in folder.glob("trials/*/token-none-1r-roundrobin/trial.json"):
        change_trial(path, valid=False, invalid_reasons=["the rate was missed"])
    analysis = analyse(load_run(folder))
    found = metrics_of(analysis, "token-none-1r-roundrobin")
    assert all(each == {"value": None, "low": None, "high": None} for each in found.values())
    assert not [each for each in analysis.comparisons if "token-none-1r-roundrobin" in (each.cell, each.baseline)]
