"""How often the components with a CPU quota met it: a component that is often stopped is the bottleneck."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.compare import Comparison
from analysis.estimates import CellResult, Estimate, estimate
from analysis.load import Run, Trial
from analysis.report.table import Entry, Table
from analysis.section import Section
from analysis.wording import count, interval, number, percent, setting, subject

PLACE = 80
_KINDS = ("replica", "store")
_TEXT = (
    "Each of these components may use so much of a core in every period ({periods}) and is stopped for the rest of one "
    "in which it has used it up ({method}). The stops are the kernel's own count over the measured phase. One that is "
    "often stopped is the bottleneck of its cell, and response times there are multiples of the period."
)


@dataclass(frozen=True)
class _Row:
    """One kind of component of one cell; `share` of periods and `used` of the quota, both from 0 to 1."""

    result: CellResult
    kind: str
    cpus: float
    period_us: int
    share: Estimate
    stopped_ms_per_s: Estimate
    used: Estimate


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:
    """Return a row for every kind of component with a quota; None where no quota held."""
    del comparisons
    rows = [row for result in results for kind in _KINDS for row in _row(run, result, kind)]
    if not rows:
        return None
    periods = ", ".join(f"{period / 1000:g} ms" for period in sorted({row.period_us for row in rows}))
    method = run.document.get("machine", {}).get("quota_method", "none")
    return Section(
        id="quotas",
        title="CPU quotas",
        text=(_TEXT.format(periods=periods, method=method),),
        tables=(_table(rows),),
        document={"method": method, "cells": [_document(row) for row in rows]},
    )


def _row(run: Run, result: CellResult, kind: str) -> Iterable[_Row]:
    trials = [trial for trial in run.trials if trial.cell == result.cell.id and trial.valid]
    parts = [_limited(trial, kind) for trial in trials]
    if not any(parts):
        return
    first = next(part for block in parts for part in block)
    shares, stopped, used = [], [], []
    for trial, block in zip(trials, parts, strict=True):
        if block and trial.duration_s:
            periods = sum(part["periods"] for part in block)
            periods, seconds = sum(part["periods"] for part in block), trial.duration_s * len(block)
            shares.append(sum(part["throttled_share"] * part["periods"] for part in block) / max(1, periods))
            stopped.append(sum(part["throttled_ns"] for part in block) / 1e6 / seconds)
            used.append(sum(part["cpu_ns"] / part["quota_cpus"] for part in block) / 1e9 / seconds)
    yield _Row(
        result, kind, first["quota_cpus"], int(first["quota_period_us"]),
        *(estimate(values, positive=False) for values in (shares, stopped, used)),
    )  # fmt: skip


def _limited(trial: Trial, kind: str) -> list[dict[str, float]]:
    return [dict(part) for part in trial.components.values() if part["kind"] == kind and "quota_cpus" in part]


def _table(rows: Sequence[_Row]) -> Table:
    return Table(
        "Quotas and how often they were met",
        ("cell", "component", "quota, cores", "period, ms", "used of it", "periods stopped", "stopped, ms per s"),
        tuple(
            (
                Entry(subject(row.result.cell), count(row.result.cell.replicas, "replica")),
                Entry(row.kind),
                Entry(setting(row.cpus)),
                Entry(f"{row.period_us / 1000:g}"),
                Entry(percent(row.used.value), _span(row.used, 100)),
                Entry(percent(row.share.value), _span(row.share, 100, 100)),
                Entry(number(row.stopped_ms_per_s.value), _span(row.stopped_ms_per_s)),
            )
            for row in rows
        ),
        "Mean over the components of a kind and over valid blocks, 95 % intervals over blocks (Student's t). Periods "
        "count in which the component wanted to run.",
    )


def _span(value: Estimate, scale: float = 1, most: float = math.inf) -> str:
    if value.low is None or value.high is None:
        return ""
    return interval(scale * max(0.0, value.low), min(most, scale * value.high))


def _document(row: _Row) -> dict[str, object]:
    figures = {"throttled_share": row.share, "throttled_ms_per_s": row.stopped_ms_per_s, "used_share": row.used}
    return {
        "cell": row.result.cell.id,
        "kind": row.kind,
        "quota_cpus": row.cpus,
        "quota_period_us": row.period_us,
        **{name: {"value": each.value, "low": each.low, "high": each.high} for name, each in figures.items()},
    }
