"""Capacity: the highest rate that met the objective, per cell, per replica and against replicas, and what limits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.common_options import plain
from analysis.compare import Comparison
from analysis.contention import contention
from analysis.estimates import CellResult, Estimate, estimate
from analysis.finding import Finding
from analysis.lines import Drawing, Figure
from analysis.load import Cell, Run, Trial
from analysis.replica_curves import Curve, Point, curves_panel
from analysis.replica_series import ByBlock, Series, all_series, as_document, efficiency, ratio
from analysis.report.table import Entry, Table
from analysis.section import Section
from analysis.wording import NOTHING, count, interval, joined, number, percent, subject
from loadtests.measurable import fewest_valid

PLACE = 30
KIND = "capacity"
LIMITS = {
    "replica": "the replicas",
    "balancer": "the balancer",
    "store": "the store",
    "servers' cores": "the cores that all servers share",
    "generator": "the load generator",
}
LATENCY = "latency, with no server full"


@dataclass(frozen=True)
class Capacity:
    """Of one cell over its blocks.

    Attributes:
        by_block: requests/s of the blocks in which a rate met the objective and was confirmed.
        at_least: in some block the search was ended by the generator or the machine, not by the servers.
        limits: what was full at the nearest rate that missed, in words, to the number of blocks.
        busiest: the most that this was busy, a share.
        throttled: the most of its quota's periods in which it was stopped, a share; None without a quota.

    """

    cell: Cell
    by_block: ByBlock
    tried: int
    at_least: bool
    limits: Mapping[str, int]
    busiest: float | None
    throttled: float | None

    @property
    def measurable(self) -> bool:
        """Whether enough blocks gave a capacity."""
        return 0 < len(self.by_block) >= fewest_valid(self.tried)

    @property
    def figure(self) -> Estimate:
        """Requests/s."""
        return estimate(list(self.by_block.values()) if self.measurable else [], positive=True)

    @property
    def per_replica(self) -> Estimate:
        """Requests/s of each."""
        values = [value / self.cell.replicas for value in self.by_block.values()]
        return estimate(values if self.measurable else [], positive=True)


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:
    """Return what the searches of a run found; None of a run of another study."""
    del results, comparisons  # a search leaves no samples of a measured phase
    if run.study["kind"] != KIND:
        return None
    found = {cell.id: _capacity(cell, [each for each in run.trials if each.cell == cell.id]) for cell in run.cells}
    lines = all_series(run.cells)
    figure = _figure(lines, found, run.study["slo"])
    return Section(
        id="capacity",
        title=f"Capacity: the highest rate at {run.study['slo']}",
        text=(_method(run),),
        answer=tuple(_sentences(lines, found, run.study["slo"])),
        findings=(*_cautions(found), *contention(run)),
        tables=(_table(lines, found),),
        figures=(figure,) if figure else (),
        document={"slo": run.study["slo"], "cells": [_document(line, found, n) for line in lines for n in line.cells]},
    )


def _capacity(cell: Cell, trials: Sequence[Trial]) -> Capacity:
    valid = [trial for trial in trials if trial.valid]
    limits = [trial.study["limit"] for trial in valid]
    return Capacity(
        cell=cell,
        by_block={trial.block: float(trial.study["capacity_rps"]) for trial in valid},
        tried=len(trials),
        at_least=any(trial.study["at_least"] for trial in valid),
        limits=Counter(LIMITS.get(each["kind"], each["kind"]) if each else LATENCY for each in limits),
        busiest=max((each["share"] for each in limits if each), default=None),
        throttled=max((each["throttled"] for each in limits if each and each["throttled"] is not None), default=None),
    )


def _by_replicas(line: Series, found: Mapping[str, Capacity]) -> dict[int, ByBlock]:
    return {n: found[cell.id].by_block for n, cell in line.cells.items() if found[cell.id].measurable}


def _figure(lines: Sequence[Series], found: Mapping[str, Capacity], slo: str) -> Figure | None:
    drawn = [line for line in lines if any(found[cell.id].measurable for cell in line.cells.values())]
    if not drawn:
        return None
    return Figure(
        id="capacity-replicas",
        title="Capacity against replicas",
        caption=f"Highest confirmed rate of an open loop at {slo}.",
        reading="Higher is better; a bar is the 95 % interval over blocks. Twice the replicas serve twice as much "
        "where the first line is straight and points to zero, and the second is level.",
        key=tuple((line.ink.name, line.name) for line in drawn),
        panels=(
            _panel("capacity", f"Capacity in requests/s at {slo}", drawn, found, lambda mine: mine.figure),
            _panel("capacity-each", f"Capacity per replica at {slo}", drawn, found, lambda mine: mine.per_replica),
        ),
    )


def _panel(
    name: str,
    heading: str,
    drawn: Sequence[Series],
    found: Mapping[str, Capacity],
    figure: Callable[[Capacity], Estimate],
) -> Drawing:
    curves = []
    for line in drawn:
        shown = [(n, figure(found[cell.id])) for n, cell in line.cells.items() if found[cell.id].measurable]
        points = tuple(Point(n, each.value or 0.0, each.low, each.high) for n, each in shown)
        curves.append(Curve(line.name, line.ink, points))
    told = "; ".join(
        f"{curve.name} {joined(f'{number(point.value)} at ×{point.replicas}' for point in curve.points)}"  # noqa: RUF001
        for curve in curves
    )
    alt = f"{heading}: {told}."
    return Drawing(heading.partition(" at ")[0], alt, curves_panel(name, alt, curves))


def _table(lines: Sequence[Series], found: Mapping[str, Capacity]) -> Table:
    return Table(
        title="Capacity by cell",
        columns=(
            "cell", "capacity (requests/s)", "per replica", "of N times one replica", "over control", "limit", "blocks",
        ),
        rows=tuple(_row(line, lines, found, n) for line in lines for n in line.cells),
        note="Of N times one replica: 100 % is scaling without loss, paired by block. Limit: what was over 85 % of its "
        "quota, or else of its core, at the lowest rate that missed the objective, and in how many blocks.",
    )  # fmt: skip


def _row(line: Series, lines: Sequence[Series], found: Mapping[str, Capacity], replicas: int) -> tuple[Entry, ...]:
    mine = found[line.cells[replicas].id]
    least = "≥ " if mine.at_least else ""
    scaled, floor = efficiency(_by_replicas(line, found), replicas), _over_control(line, lines, found, replicas)
    busiest = "" if mine.busiest is None else f"busy up to {percent(mine.busiest)}"
    busiest += "" if mine.throttled is None else f", stopped in up to {percent(mine.throttled)} of periods"
    told = "; ".join(f"{what} ({times})" for what, times in mine.limits.items())
    return (
        Entry(f"{line.name} ×{replicas}"),  # noqa: RUF001 - a times sign
        Entry(least + number(mine.figure.value), _span(mine.figure)),
        Entry(least + number(mine.per_replica.value), _span(mine.per_replica)),
        Entry(percent(scaled.value), _share_span(scaled)) if scaled and replicas > 1 else Entry(NOTHING),
        Entry(number(floor.value), _span(floor)) if floor else Entry(NOTHING),
        Entry(told or NOTHING, busiest),
        Entry(f"{len(mine.by_block)} of {mine.tried}"),
    )


def _over_control(
    line: Series, lines: Sequence[Series], found: Mapping[str, Capacity], replicas: int
) -> Estimate | None:
    control = next((each for each in lines if each.scheme == "control" and replicas in each.cells), None)
    if control is None or control is line:
        return None
    ours, theirs = _by_replicas(line, found), _by_replicas(control, found)
    return ratio(ours[replicas], theirs[replicas]) if replicas in ours and replicas in theirs else None


def _sentences(lines: Sequence[Series], found: Mapping[str, Capacity], slo: str) -> list[str]:
    told, cells = [], [each.cell for each in found.values()]
    for line in lines:
        known = [n for n, cell in line.cells.items() if found[cell.id].measurable]
        if known:
            parts = "; ".join(_said(found[line.cells[n].id]) for n in dict.fromkeys((known[0], known[-1])))
            told.append(f"{subject(plain(line.cells[known[0]], cells))} at {slo}: {parts}.")
    return [sentence[:1].upper() + sentence[1:] for sentence in told] or [f"No cell met {slo} at any rate."]


def _said(mine: Capacity) -> str:
    figure = mine.figure
    least = "at least " if mine.at_least else ""
    span = f" (95 % interval {_span(figure)})" if _span(figure) else ""
    limit = max(mine.limits, key=lambda name: mine.limits[name]) if mine.limits else LATENCY
    ended = "the search was ended by the generator or the machine" if mine.at_least else f"limited by {limit}"
    return f"{least}{number(figure.value)} requests/s{span} on {count(mine.cell.replicas, 'replica')}, {ended}"


def _cautions(found: Mapping[str, Capacity]) -> list[Finding]:
    least = [each.cell.id for each in found.values() if each.at_least]
    without = [each.cell.id for each in found.values() if each.tried and not each.measurable]
    made = []
    if least:
        text = (
            f"Of {count(len(least), 'cell')} the search was ended by the load generator or the machine: it can do more."
        )
        made.append(Finding("capacity-at-least", "caution", "Not the servers' limit", text, tuple(least)))
    if without:
        text = (
            f"Of {count(len(without), 'cell')} no capacity is given: in most blocks no rate met it and was confirmed."
        )
        made.append(Finding("capacity-none", "caution", "No capacity", text, tuple(without)))
    return made


def _method(run: Run) -> str:
    study, load = run.study, run.load
    return (
        f"Open loop, {load['arrivals']} arrivals of {load['users']} users; the servers of a trial stay up. The rate "
        f"doubles from {load['rate_rps']:g} requests/s and is bisected to {study['resolution']}. A probe of "
        f"{load['duration_s']:g} s meets the objective when its figure does and every request that fell due was "
        "answered right; near the limit two of three probes decide. What was found is confirmed by "
        f"{study['confirm_s']} s at that rate."
    )


def _document(line: Series, found: Mapping[str, Capacity], replicas: int) -> dict[str, Any]:
    mine = found[line.cells[replicas].id]
    return {
        "cell": mine.cell.id,
        "replicas": replicas,
        "capacity_rps": as_document(mine.figure),
        "per_replica_rps": as_document(mine.per_replica),
        "efficiency": as_document(efficiency(_by_replicas(line, found), replicas)),
        "at_least": mine.at_least,
        "limits": dict(mine.limits),
        "blocks": len(mine.by_block),
        "blocks_tried": mine.tried,
    }


def _span(figure: Estimate) -> str:
    return "" if figure.low is None else interval(figure.low, figure.high)


def _share_span(figure: Estimate) -> str:
    return "" if figure.low is None else f"{percent(figure.low)} to {percent(figure.high)}"
