"""What the life of an access token costs at the store: hybrid cells that differ in nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.compare import Comparison
from analysis.drawing import note, panel
from analysis.estimates import CellResult, Estimate
from analysis.finding import Finding
from analysis.lines import Drawing, Figure
from analysis.load import Cell, Run
from analysis.palette import SCHEMES
from analysis.report.table import Entry, Table
from analysis.rows import logarithmic
from analysis.section import Section
from analysis.wording import count, interval, label, number

PLACE = 42
_OPTION, _USUAL_LIFE_S = "access_ttl_s", 300
_METRIC = "store_commands_per_request"
_LEAST = 0.001  # a logarithmic axis has no zero
_TEXT = (
    "An access token is good until its life is over, whatever its user does meanwhile, so the life is also the "
    "longest that a log-out may take to hold (EXPERIMENT=revocation measures it). A client renews its token once nine "
    "tenths of the life are over, and only the renewal asks the store: the shorter the life, the more often."
)
_NOTE = (
    "Store commands of the measured phase over its requests, by the store's own counter; the interval is t over "
    "blocks. A life that outlasts the trial has no renewal in it, and so no commands."
)


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:  # noqa: ARG001 - of every section
    """Return the part on the life of access tokens, where a run has several lives of otherwise equal cells."""
    families = _families(results)
    if not families:
        return None
    shown = [each for family in families for each in family]
    sessions = [each for each in results if each.cell.scheme == "session" and each.measurable and not each.refused]
    return Section(
        id="access-life",
        title="Store commands against the life of an access token",
        text=(_TEXT,),
        findings=tuple(_finding(family) for family in families),
        tables=(_table(shown, sessions),),
        figures=(_figure(families, sessions),),
        document={"cells": [_entry(each) for each in shown]},
    )


def life_s(cell: Cell) -> int:
    """Return the life of its access tokens, seconds."""
    return int(cell.options.get(_OPTION, _USUAL_LIFE_S))


def _families(results: Sequence[CellResult]) -> list[list[CellResult]]:
    """Return hybrid cells that differ in the life alone, shortest first; of two lives at least."""
    made: dict[tuple[Any, ...], list[CellResult]] = {}
    for each in results:
        cell = each.cell
        if cell.scheme == "hybrid" and cell.duplicate_of is None and each.measurable and not each.refused:
            others = tuple(sorted((name, value) for name, value in cell.options.items() if name != _OPTION))
            made.setdefault((cell.store, cell.replicas, cell.policy, others), []).append(each)
    found = [sorted(family, key=lambda each: life_s(each.cell)) for family in made.values()]
    return [family for family in found if len(family) > 1 and all(each.value(_METRIC) is not None for each in family)]


def _entry(result: CellResult) -> dict[str, Any]:
    figure = result.estimates[_METRIC]
    return {
        "cell": result.cell.id,
        "life_s": life_s(result.cell),
        _METRIC: {"value": figure.value, "low": figure.low, "high": figure.high},
    }


def _table(shown: Sequence[CellResult], sessions: Sequence[CellResult]) -> Table:
    rows = []
    for each in (*shown, *sessions):
        figure = each.estimates[_METRIC]
        life = str(life_s(each.cell)) if each.cell.scheme == "hybrid" else "looked up each time"
        rows.append((Entry(label(each.cell)), Entry(life), Entry(number(figure.value), _span(figure))))
    return Table("Commands by life", ("cell", "life, s", "store commands a request"), tuple(rows), _NOTE)


def _span(figure: Estimate) -> str:
    return interval(figure.low, figure.high)


def _finding(family: Sequence[CellResult]) -> Finding:
    told = "; ".join(f"{life_s(each.cell)} s {number(each.value(_METRIC))}" for each in family)
    text = (
        f"{label(family[0].cell).split(',')[0]}, store commands a request by the life of an access token: {told}. "
        f"A log-out holds after {count(life_s(family[0].cell), 'second')} at most with the shortest, and "
        f"{life_s(family[-1].cell)} with the longest."
    )
    return Finding(
        "access-life", "finding", "Short access tokens ask the store", text, tuple(each.cell.id for each in family)
    )


def _figure(families: Sequence[Sequence[CellResult]], sessions: Sequence[CellResult]) -> Figure:
    ink = SCHEMES["hybrid"]
    shown = [each for family in families for each in family]
    told = "; ".join(f"{life_s(each.cell)} s {number(each.value(_METRIC))}" for each in shown)
    alt = f"Store commands a request by the life of an access token: {told}."
    with panel("access-life", alt, height=230) as made:
        for family in families:
            drawn = [each for each in family if each.value(_METRIC)]
            lives = [life_s(each.cell) for each in drawn]
            spans = [each.estimates[_METRIC] for each in drawn]
            made.axes.vlines(
                lives,
                [max(_LEAST, each.low or each.value or _LEAST) for each in spans],
                [each.high or each.value or _LEAST for each in spans],
                color=ink.light,
                linewidth=2,
            )
            made.axes.plot(lives, [each.value(_METRIC) or _LEAST for each in drawn], color=ink.light, marker=ink.marker)
        for each in sessions:
            made.axes.axhline(each.value(_METRIC) or _LEAST, color=SCHEMES["session"].light, linewidth=1)
            note(made.axes, min(life_s(each.cell) for each in shown), (each.value(_METRIC) or _LEAST) * 0.8, "session")
        logarithmic(made.axes, made.axes.xaxis)
        logarithmic(made.axes, made.axes.yaxis)
        made.axes.set_xlabel("life, s")
    return Figure(
        id="access-life",
        title="Store commands against the life of an access token",
        caption="Commands a request, both axes logarithmic; a life without any renewal in the trial is not drawn.",
        reading="The line at the top is what a session asks: one command each time.",
        key=((ink.name, "hybrid"), (SCHEMES["session"].name, "session")),
        panels=(Drawing("Store commands a request", alt, made.svg),),
    )
