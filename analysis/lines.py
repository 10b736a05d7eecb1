"""What the figures share: their shape, and the lines of a run: one a scheme, store, policy and set of options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.common_options import plain
from analysis.estimates import CellResult
from analysis.load import Run
from analysis.palette import Ink, inks, scheme_inks
from analysis.wording import at_replicas, joined, series
from loadtests import load_words as words

MOST_LINES = 6
"""Lines that one chart can hold and a reader tell apart."""


@dataclass(frozen=True)
class Drawing:
    """One panel: its heading, what it shows in words, and its SVG."""

    heading: str
    alt: str
    svg: str


@dataclass(frozen=True)
class Figure:
    """A figure: its panels, the key to its colours, its caption and how to read it."""

    id: str
    title: str
    caption: str
    reading: str
    key: tuple[tuple[str, str], ...]
    panels: tuple[Drawing, ...]

    @property
    def shows(self) -> str:
        """Return what the panels show, in words."""
        return " ".join(each.alt for each in self.panels)


@dataclass(frozen=True)
class Line:
    """The cells of one scheme, store, policy and set of options, by replicas, with the ink and the name of them all."""

    name: str
    ink: Ink
    dashed: bool
    results: tuple[CellResult, ...]


def lines(results: Sequence[CellResult]) -> tuple[Line, ...]:
    """Return the series of the figures, in the order of run.json, without the A/A duplicate and empty cells.

    Up to `MOST_LINES` sessions have an ink for each store; of more, each scheme has one.
    """
    shown = [each for each in results if each.cell.duplicate_of is None and each.measurable]
    cells = [each.cell for each in results]
    keys = dict.fromkeys(_key(each) for each in shown)
    by_store, by_scheme = inks(cells), scheme_inks(cells)
    policies = list(dict.fromkeys(each.cell.policy for each in shown))
    made = []
    for key in keys:
        here = tuple(sorted((each for each in shown if _key(each) == key), key=_replicas))
        cell = plain(here[0].cell, cells)
        made.append(
            Line(
                name=f"{series(cell)}, {cell.policy}" if len(policies) > 1 else series(cell),
                ink=by_store[cell.scheme, cell.store],
                dashed=cell.policy != policies[0] or (len(keys) <= MOST_LINES and bool(cell.options)),
                results=here,
            )
        )
    if crowded(made):
        made = [replace(line, ink=by_scheme[line.results[0].cell.scheme]) for line in made]
    return tuple(made)


def crowded(drawn: Sequence[Line]) -> bool:
    """Whether there are more lines than one chart can hold, or two that look alike; then rows with names do."""
    return len(drawn) > MOST_LINES or len({(line.ink, line.dashed) for line in drawn}) < len(drawn)


def _key(result: CellResult) -> tuple[str, str, str]:
    return result.cell.scheme, series(result.cell), result.cell.policy


def _replicas(result: CellResult) -> int:
    return result.cell.replicas


def replica_counts(drawn: Sequence[Line]) -> list[int]:
    """Return the numbers of replicas that ran, ascending."""
    return sorted({each.cell.replicas for line in drawn for each in line.results})


def at(line: Line, replicas: int) -> CellResult | None:
    """Return the cell of a line with that many replicas, if it ran."""
    return next((each for each in line.results if each.cell.replicas == replicas), None)


def load_words(run: Run) -> str:
    """Return the load model in words; every figure of latency names it."""
    return words.of(run.load)


def left_out(drawn: Sequence[Line]) -> str:
    """Return the sentence that names the cells left out of a figure; empty if there are none."""
    names = [f"{line.name}{at_replicas(each.cell.replicas)}" for line in drawn for each in line.results if each.refused]
    return f" Left out, because signed-in users were refused: {joined(names)}." if names else ""


def series_key(drawn: Sequence[Line]) -> tuple[tuple[str, str], ...]:
    """Return the key to the lines: ink and name; of crowded ones the ink of each scheme."""
    if crowded(drawn):
        return tuple(dict.fromkeys((line.ink.name, line.results[0].cell.scheme) for line in drawn))
    return tuple((line.ink.name + (" dashed" if line.dashed else ""), line.name) for line in drawn)
