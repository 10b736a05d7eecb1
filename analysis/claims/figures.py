"""Figures that several claims ask for, found in summaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.claims.evidence import CellSeen, Evidence, Interval
from analysis.wording import number
from loadtests import load_words

NONE = 0.01
"""A share of requests or users up to which `nobody` is said: one in a hundred."""


def at_ease(cells: Iterable[CellSeen]) -> list[CellSeen]:
    """Return those of an open loop: in a closed one times are those of a queue."""
    return [each for each in cells if not load_words.is_closed(each.facts["load"])]


def below(figure: Interval, bound: float) -> bool | None:
    """Whether all of the interval lies at or below the bound; None where it reaches over it."""
    return figure.within(float("-inf"), bound)


def above(figure: Interval, bound: float) -> bool | None:
    """Whether all of the interval lies above the bound; None where it reaches over it."""
    if figure.low > bound:
        return True
    return False if figure.high <= bound else None


def less(one: Interval, other: Interval) -> bool | None:
    """Whether one figure lies below another; None where their intervals meet."""
    if one.high < other.low:
        return True
    return False if one.low > other.high else None


def per_ms(cell: CellSeen, metric: str) -> Interval | None:
    """Return a metric in us as ms."""
    found = cell.metric(metric)
    return found.times(1e-3) if found else None


def told(figure: Interval, unit: str = "", factor: float = 1) -> str:
    """Return a figure for a sentence, with its interval where it has a width: `0.21 ms (0.19 to 0.24)`."""
    shown = f"{number(figure.value * factor)}{f' {unit}' if unit else ''}"
    if figure.low == figure.high:
        return shown
    return f"{shown} ({number(figure.low * factor)} to {number(figure.high * factor)})"


def share(figure: Interval) -> str:
    """Return a share as a percentage with its interval."""
    return told(figure, "%", 100)


def fault(evidence: Evidence, kinds: Iterable[str], stores: Iterable[str], **facts: str) -> list[Mapping[str, Any]]:
    """Return the cells of the study faults with one of these faults and stores, and these facts."""
    wanted, places = set(kinds), set(stores)
    return [
        cell
        for document in evidence.sections("faults")
        for cell in document["cells"]
        if cell["fault"] in wanted
        and cell["store"] in places
        and cell["blocks"]
        and all(cell[name] == value for name, value in facts.items())
    ]


def of_cells(cells: Sequence[Mapping[str, Any]], figure: str) -> list[Interval]:
    """Return a figure of cells of the study faults; those without an interval are left out."""
    found = (Interval.of(cell["figures"].get(figure)) for cell in cells)
    return [each for each in found if each]


def ids(cells: Iterable[Mapping[str, Any]], name: str = "id") -> tuple[str, ...]:
    """Return the ids of cells as they stand in a document."""
    return tuple(str(cell[name]) for cell in cells)
