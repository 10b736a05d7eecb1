"""Where a request's time goes: mean times by part, stacked, one bar a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from analysis.breakdown import MOST_NEGATIVE, TOLERANCE, Breakdown, breakdowns
from analysis.compare import Comparison
from analysis.estimates import CellResult, Estimate
from analysis.finding import Finding
from analysis.lines import Drawing, Figure, load_words
from analysis.load import Run
from analysis.palette import PARTS as INKS
from analysis.parts import PARTS
from analysis.report.table import Entry, Table
from analysis.rows import Bar, stacked_panel
from analysis.section import Section
from analysis.wording import capital, count, interval, joined, label, number, percent, series, signed_percent, subject

PLACE = 80
NAMES = {
    "store": "store",
    "auth": "auth check, store apart",
    "flask": "Flask and view",
    "queue": "hand-over and wait for a thread",
    "outside": "network, client, balancer (what is left)",
    "user": "user still waiting",
    "reading": "reading the answer",
}
_STACKED = (("store",), ("auth",), ("flask",), ("queue",), ("outside", "reading"), ("user",))
"""Parts that share a colour, in the order of the bar."""
_TEXT = (
    "Mean times, because medians do not add up. A mean follows the slowest requests, so it lies above the median.",
    "All parts but one are differences of two readings of one clock. The one is what is left: it must not be negative.",
)
_NOTE = (
    f"Where it says yes, the sum is within {percent(TOLERANCE)} of the measured mean and no more than "
    f"{percent(MOST_NEGATIVE)} of the remainders are negative; the mean of the report is geometric over blocks, so "
    "where blocks differ it is below the sum. The balancer's CPU time is measured, but not when: it "
    "is in the hand-over and in what is left, and no part of its own. Threads that wait for the "
    "interpreter's lock wait inside the part that they are in."
)


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:
    """Return the section; None where no replica told how long it took, as in runs with samples of format 1."""
    del comparisons  # of the contract; means that add up are compared by the report
    made = breakdowns(results)
    if not made:
        return None
    return Section(
        id="breakdown",
        title="Where a request's time goes",
        text=_TEXT,
        findings=_findings(made),
        tables=(_table(made),),
        figures=(_figure(run, made),),
        document={"cells": [_document(each) for each in made]},
    )


def _findings(made: Sequence[Breakdown]) -> tuple[Finding, ...]:
    fewest = min(each.result.cell.replicas for each in made)
    told = [
        f"{subject(each.result.cell)} {percent(each.share('store', 'auth'))} ({percent(each.share('store'))} the store)"
        for each in made
        if each.result.cell.replicas == fewest and each.result.cell.scheme != "control"
    ]
    text = f"Share of the mean response time that recognises the user, at {count(fewest, 'replica')}: {joined(told)}."
    cells = tuple(each.result.cell.id for each in made)
    good = (Finding("breakdown", "finding", "Where a request's time goes", text, cells),) if told else ()
    doubted = [each for each in made if not each.believed]
    if not doubted:
        return good
    why = joined(
        f"{label(each.result.cell)} (sum {signed_percent(1 + each.difference)}, remainder negative in "
        f"{percent(each.negative_share)} of requests)"
        for each in doubted
    )
    warning = f"The parts of the response time do not add up, or its clocks disagree: {why}. Do not quote those parts."
    return (*good, Finding("breakdown-doubt", "caution", "Parts that do not add up", capital(warning), cells))


def _figure(run: Run, made: Sequence[Breakdown]) -> Figure:
    panels, told_of = [], ("store", "auth", "flask", "queue", "outside")
    for replicas in sorted({each.result.cell.replicas for each in made}):
        here = [each for each in made if each.result.cell.replicas == replicas]
        bars = [_bar(each) for each in here]
        told = "; ".join(
            f"{series(each.result.cell)} {number(each.sum_ms)}, of it "
            + joined(f"{name} {percent(each.share(name))}" for name in told_of)
            for each in here
        )
        alt = f"Mean response time in ms by part at {count(replicas, 'replica')}: {told}."
        drawn = stacked_panel(f"breakdown-{replicas}", alt, bars)
        panels.append(Drawing(f"{count(replicas, 'replica')} (mean, ms)", alt, drawn))
    return Figure(
        id="breakdown-figure",
        title="Mean response time, by part",
        caption=f"Means over the answered requests of each block, {load_words(run)}.",
        reading="The length of a bar is the mean response time; the line at its end is the 95 % interval of that mean.",
        key=tuple(
            (ink.name, " and ".join(NAMES[name] for name in names)) for ink, names in zip(INKS, _STACKED, strict=True)
        ),
        panels=tuple(panels),
    )


def _bar(each: Breakdown) -> Bar:
    # a bar has no length below nothing: a negative remainder is told in the table and as a caution
    parts = tuple(max(0.0, sum(each.parts[name].value or 0.0 for name in names)) for names in _STACKED)
    mean = each.result.estimates["response_mean_ms"]
    span = None if mean.low is None or mean.high is None else (mean.low, mean.high)
    return Bar(series(each.result.cell), parts, span=span)


def _table(made: Sequence[Breakdown]) -> Table:
    return Table(
        title="Parts of the mean response time (ms)",
        columns=("cell", "adds up", "measured mean", "sum", *NAMES.values(), "balancer CPU (us)"),
        rows=tuple(_row(each) for each in made),
        note=_NOTE,
    )


def _row(each: Breakdown) -> tuple[Entry, ...]:
    mean = each.result.estimates["response_mean_ms"]
    verdict = "yes" if each.believed else "no"
    return (
        Entry(label(each.result.cell)),
        Entry(verdict, f"{percent(each.negative_share)} negative"),
        _entry(mean),
        Entry(number(each.sum_ms), signed_percent(1 + each.difference)),
        *(_entry(each.parts[name]) for name in NAMES),
        _entry(each.result.estimates["balancer_cpu_us_per_request"]),
    )


def _entry(figure: Estimate) -> Entry:
    return Entry(number(figure.value), interval(figure.low, figure.high))


def _document(each: Breakdown) -> dict[str, Any]:
    mean = each.result.estimates["response_mean_ms"]
    return {
        "cell": each.result.cell.id,
        "parts_ms": {name: _interval(each.parts[name]) for name in PARTS},
        "sum_ms": each.sum_ms,
        "response_mean_ms": _interval(mean),
        "difference": each.difference,
        "negative_share": each.negative_share,
        "adds_up": each.believed,
    }


def _interval(figure: Estimate) -> dict[str, Any]:
    return {name: value for name, value in asdict(figure).items() if name != "blocks"}
