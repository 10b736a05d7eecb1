"""summary.json and summary.csv: the figures for programs. The shapes are docs/file-formats.md."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from analysis.answer import LATENCY, answer
from analysis.claims import judge_all
from analysis.claims.evidence import Evidence, Ruling
from analysis.compare import Comparison, compare_run, noise_floor
from analysis.estimates import CellResult, estimate_run
from analysis.finding import Finding
from analysis.findings import findings
from analysis.load import Run
from analysis.load_steps import StepFigures, step_figures
from analysis.metrics import METRICS
from analysis.prices import price_findings
from analysis.section import Section, sections_of
from analysis.thresholds import Judgement, judge
from analysis.thresholds import document as judged
from loadtests.thresholds import Threshold

FORMAT = 1


@dataclass(frozen=True)
class Analysis:
    """All that is learned from one run; every report is made from this and nothing else."""

    run: Run
    results: tuple[CellResult, ...]
    comparisons: tuple[Comparison, ...]
    noise: Mapping[str, Comparison]
    answer: tuple[str, ...]
    findings: tuple[Finding, ...]
    steps: tuple[StepFigures, ...] = ()
    """What each step of a staircase, or quarter of a ramp, gave; empty under a constant rate and in a closed loop."""
    thresholds: tuple[Judgement, ...] = ()
    sections: tuple[Section, ...] = ()
    """What this run has that others have not, in the order of the report."""
    rulings: tuple[Ruling, ...] = ()
    """Every common claim, and what this run says of it."""


def analyse(run: Run, demanded: Sequence[Threshold] = ()) -> Analysis:
    """Return estimates, comparisons, noise floor, answer and findings of a run; raise `RunError` on bad samples."""
    results = estimate_run(run) if run.loads else ()
    comparisons, noise = compare_run(results), noise_floor(results)
    sections = sections_of(run, results, comparisons)
    opening = tuple(sentence for each in sections for sentence in each.answer)
    found = tuple(finding for each in sections for finding in each.findings)
    usual = (*price_findings(results, comparisons), *findings(run, results, comparisons)) if results else ()
    made = Analysis(
        run=run,
        results=results,
        comparisons=comparisons,
        noise=noise,
        answer=opening or answer(run, results, comparisons, noise.get(LATENCY)),
        thresholds=judge(demanded, results),
        findings=(*found, *usual),
        steps=step_figures(run, results),
        sections=sections,
    )
    if run.of_targets:  # the claims are about our twins; a service may be called like one of them
        return made
    return replace(made, rulings=judge_all(Evidence((summary_document(made),))))


def summary_document(analysis: Analysis) -> dict[str, Any]:
    """Return summary.json as a document; what is not a number is null."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "run": dict(analysis.run.document),
        "cells": [_cell(result) for result in analysis.results],
        "comparisons": [asdict(comparison) for comparison in analysis.comparisons],
        "noise_floor": {name: _noise(each) for name, each in analysis.noise.items()},
        "answer": list(analysis.answer),
        "thresholds": judged(analysis.thresholds),
        "findings": [asdict(finding) for finding in analysis.findings],
        "steps": [asdict(step) for step in analysis.steps],
        "sections": {each.id: dict(each.document) for each in analysis.sections},
        "claims": [each.as_dict() for each in analysis.rulings],
    }
    return _without_nan(document)  # type: ignore[no-any-return]


def summary_json(analysis: Analysis) -> str:
    """Return the text of summary.json."""
    return json.dumps(summary_document(analysis), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def summary_csv(results: Sequence[CellResult]) -> str:
    """Return the text of summary.csv: cell, metric, value, low, high; empty where null."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["cell", "metric", "value", "low", "high"])
    for result in results:
        for metric in METRICS:
            figure = result.estimates[metric.name]
            writer.writerow([result.cell.id, metric.name, figure.value, figure.low, figure.high])
    return out.getvalue()


def _cell(result: CellResult) -> dict[str, Any]:
    cell = result.cell
    return {
        "id": cell.id,
        "scheme": cell.scheme,
        "store": cell.store,
        "replicas": cell.replicas,
        "policy": cell.policy,
        "options": dict(cell.options),
        "shared": cell.shared,
        "lags": cell.lags,
        "duplicate_of": cell.duplicate_of,
        "is_target": cell.is_target,
        "load": dict(cell.load),
        "valid_blocks": result.valid_blocks,
        "invalid_blocks": result.invalid_blocks,
        "measurable": result.measurable,
        "invalid_reasons": dict(result.invalid_reasons),
        "store_commands_whole": result.whole_commands,
        "metrics": {
            name: {"value": figure.value, "low": figure.low, "high": figure.high}
            for name, figure in result.estimates.items()
        },
    }


def _noise(comparison: Comparison) -> dict[str, Any]:
    kept = ("cell", "baseline", "ratio", "low", "high", "p", "verdict", "blocks")
    return {name: value for name, value in asdict(comparison).items() if name in kept}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
