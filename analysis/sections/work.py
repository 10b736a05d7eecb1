"""Whether the way of signing in matters beside the application's own work: the claim `no-difference`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.compare import MARGIN, Comparison
from analysis.estimates import CellResult
from analysis.lines import Drawing, Figure, load_words
from analysis.load import USUAL_THREADS, Cell, Run
from analysis.palette import scheme_inks
from analysis.report.table import Entry, Table
from analysis.rows import Mark, marks_panel
from analysis.section import Section
from analysis.wording import count, interval, joined, number, percent, series, signed_percent, subject

PLACE = 41
METRIC = "response_p50_ms"
WAITING, COMPUTING = "work_ms", "work_cpu_ms"
_TEXT = (
    "The ratio of median response times, end to end, {load}, of cells that differ in how a request is "
    "authenticated and do the same work besides. Waiting takes a thread and no processor, as an answer from a "
    "database does; computing takes both. Equivalent: the whole interval lies within {margin}."
)


@dataclass(frozen=True)
class Beside:
    """A ratio of end-to-end medians, of two cells that do the same work besides: ms of waiting and of computing."""

    waiting_ms: int
    computing_ms: int
    cell: Cell
    baseline: Cell
    comparison: Comparison

    @property
    def amount(self) -> str:
        """Return the work in words."""
        parts = [f"{self.waiting_ms} ms of waiting"] if self.waiting_ms else []
        parts += [f"{self.computing_ms} ms of computing"] if self.computing_ms else []
        return joined(parts) or "no work"

    @property
    def pair(self) -> str:
        """Return who is compared with whom, whatever the work."""
        replicas = count(self.cell.replicas, "replica")
        return f"{series(_bare(self.cell))} against {series(_bare(self.baseline))}, {replicas}"


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:
    """Return the part, where cells do different amounts of work; one amount for all is no axis."""
    cells = {each.cell.id: each.cell for each in results}
    if len({_work(cell) for cell in cells.values()}) < 2:  # noqa: PLR2004 - nothing beside anything
        return None
    rows = [
        Beside(*_work(cells[each.cell]), cells[each.cell], cells[each.baseline], each)
        for each in comparisons
        if each.metric == METRIC and each.question in ("floor", "scheme")
    ]
    rows.sort(key=lambda each: (each.waiting_ms, each.computing_ms))
    if not rows:
        return None
    return Section(
        id="work",
        title="Beside the application's own work",
        text=(_TEXT.format(load=load_words(run), margin=percent(MARGIN)),),
        answer=tuple(_answer(rows)) if run.document.get("experiment") == "work" else (),
        tables=(_table(rows),),
        figures=(_figure(run, rows),),
        document={"margin": MARGIN, "ratios": [_document(each) for each in rows]},
    )


def _work(cell: Cell) -> tuple[int, int]:
    return int(cell.options.get(WAITING, 0)), int(cell.options.get(COMPUTING, 0))


def _bare(cell: Cell) -> Cell:
    """Return the cell without what all of a comparison share."""
    own = {name: value for name, value in cell.options.items() if name not in (WAITING, COMPUTING)}
    return replace(cell, options=own, threads=USUAL_THREADS)


def _answer(rows: Sequence[Beside]) -> Iterable[str]:
    most = max((each.waiting_ms, each.computing_ms) for each in rows)
    for ends in ((0, 0), most):
        told = [each for each in rows if (each.waiting_ms, each.computing_ms) == ends]
        if told:
            said = "; ".join(_outcome(each) for each in told)
            yield f"With {told[0].amount} beside authentication, median response times compare so: {said}."
    alike = [each for each in rows if each.comparison.verdict == "equivalent"]
    which = joined(dict.fromkeys(f"{each.pair} with {each.amount}" for each in alike))
    yield f"Equivalent within {percent(MARGIN)}: {which or 'none of the pairs, at no amount of work that was tried'}."


def _outcome(each: Beside) -> str:
    found = each.comparison
    span = f", 95 % interval {signed_percent(found.low)} to {signed_percent(found.high)}" if found.low else ""
    ours, theirs = subject(_bare(each.cell)), subject(_bare(each.baseline))
    return f"{ours} against {theirs} {signed_percent(found.ratio)}{span} ({found.verdict})"


def _by_pair(rows: Sequence[Beside]) -> Mapping[str, list[Beside]]:
    found: dict[str, list[Beside]] = {}
    for each in rows:
        found.setdefault(each.pair, []).append(each)
    return found


def _table(rows: Sequence[Beside]) -> Table:
    pairs = _by_pair(rows)
    amounts = dict.fromkeys(each.amount for each in rows)
    at = {(each.pair, each.amount): each.comparison for each in rows}
    return Table(
        title="Ratio of median response times by the work that a request does besides",
        columns=("pair", *amounts),
        rows=tuple((Entry(pair), *(_entry(at.get((pair, amount))) for amount in amounts)) for pair in pairs),
        note="Below 1 the first of the pair is quicker. Under each ratio its 95 % interval and the verdict, with p "
        "corrected for all comparisons of that kind.",
    )


def _entry(found: Comparison | None) -> Entry:
    if found is None:
        return Entry("–", "not measured")  # noqa: RUF001 - a dash
    return Entry(number(found.ratio), f"{interval(found.low, found.high)}, {found.verdict}", found.verdict)


def _figure(run: Run, rows: Sequence[Beside]) -> Figure:
    inks = scheme_inks(run.cells)
    panels = []
    for place, (pair, here) in enumerate(_by_pair(rows).items()):
        marks = [
            Mark(each.amount, (each.comparison.ratio,), inks[each.cell.scheme], _span(each.comparison)) for each in here
        ]
        told = joined(f"{number(each.comparison.ratio)} with {each.amount}" for each in here)
        alt = f"Ratio of median response times, {pair}: {told}."
        panels.append(Drawing(pair, alt, marks_panel(f"work-{place}", alt, marks, line=1.0, shaded=MARGIN)))
    return Figure(
        id="work-ratios",
        title="What is left of the difference beside work",
        caption=f"Ratio of median response times, {load_words(run)}.",
        reading=f"1 is no difference, the band is ±{100 * MARGIN:g} %; a bar is the 95 % interval over blocks.",
        key=(),
        panels=tuple(panels),
    )


def _span(found: Comparison) -> tuple[float, float] | None:
    return None if found.low is None or found.high is None else (found.low, found.high)


def _document(each: Beside) -> dict[str, Any]:
    found = each.comparison
    return {
        "cell": each.cell.id,
        "baseline": each.baseline.id,
        WAITING: each.waiting_ms,
        COMPUTING: each.computing_ms,
        "ratio": {"value": found.ratio, "low": found.low, "high": found.high},
        "verdict": found.verdict,
        "blocks": found.blocks,
    }
