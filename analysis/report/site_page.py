"""The page of all runs, with a way to pick two and see how they compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.listed import Listed, Pair
from analysis.palette import INKS
from analysis.report import html
from analysis.report.table import Entry, Table
from analysis.wording import NOTHING, count, joined


def render(listed: Sequence[Listed], pairs: Sequence[Pair], left_out: Mapping[tuple[str, str], str]) -> str:
    """Return index.html. `left_out`: why two runs of one experiment have no comparison, by their names."""
    return html.page(
        "site.html.j2",
        answer=(_told(listed),),
        tables=tuple(_table(kind, [each for each in listed if each.kind == kind]) for kind in _kinds(listed)),
        runs=[each for each in listed if each.comparable],
        pairs=pairs,
        left_out=_left_out(left_out) if left_out else None,
        inks=INKS,
    )


def _kinds(listed: Sequence[Listed]) -> list[str]:
    return [kind for kind in ("suite", "run", "browser lab", "comparison") if any(each.kind == kind for each in listed)]


def _told(listed: Sequence[Listed]) -> str:
    kinds = joined(count(sum(each.kind == kind for each in listed), kind) for kind in _kinds(listed))
    return f"{kinds}, the newest first." if listed else "There is no run yet: `make bench` makes one."


def _table(kind: str, listed: Sequence[Listed]) -> Table:
    return Table(
        title=count(len(listed), kind).capitalize(),
        columns=(kind, "experiment", "valid trials", "verdicts", "machine", "what it found"),
        rows=tuple(_row(each) for each in listed),
        cards=True,
    )


def _row(each: Listed) -> tuple[Entry, ...]:
    return (
        Entry(each.name, each.started.replace("T", " ").replace("Z", " UTC"), link=each.page),
        Entry(each.experiment or NOTHING),
        Entry(each.trials or NOTHING),
        Entry(each.verdicts or NOTHING),
        Entry(each.machine or NOTHING),
        Entry(each.answer),
    )


def _left_out(left_out: Mapping[tuple[str, str], str]) -> Table:
    return Table(
        title=f"{count(len(left_out), 'pair')} of one experiment without a comparison",
        columns=("A and B", "why"),
        rows=tuple((Entry(a, f"and {b}"), Entry(why)) for (a, b), why in left_out.items()),
        note="`make compare A=... B=...` compares any two.",
        cards=True,
    )
