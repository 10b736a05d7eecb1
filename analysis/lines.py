"""What the figures share: their shape, and the lines of a run, one for each scheme, store and policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.estimates import CellResult
from analysis.load import Cell, Run
from analysis.palette import Ink, inks
from analysis.wording import count, joined, series, setting


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
    """The cells of one scheme, store and policy, by replicas, with the ink and the name of them all."""

    name: str
    ink: Ink
    dashed: bool
    results: tuple[CellResult, ...]


def lines(results: Sequence[CellResult]) -> tuple[Line, ...]:
    """Return the series of the figures, in the order of run.json, without the A/A duplicate and empty cells."""
    shown = [each for each in results if each.cell.duplicate_of is None and each.valid_blocks]
    colour = inks([each.cell for each in results])
    policies = list(dict.fromkeys(each.cell.policy for each in shown))
    keys = dict.fromkeys((each.cell.scheme, each.cell.store, each.cell.policy) for each in shown)
    return tuple(
        Line(
            name=_name(key, shown, named=len(policies) > 1),
            ink=colour[key[:2]],
            dashed=key[2] != policies[0],
            results=tuple(sorted((each for each in shown if _key(each) == key), key=_replicas)),
        )
        for key in keys
    )


def _name(key: tuple[str, str, str], results: Sequence[CellResult], *, named: bool) -> str:
    cell: Cell = next(each.cell for each in results if _key(each) == key)
    return f"{series(cell)}, {cell.policy}" if named else series(cell)


def _key(result: CellResult) -> tuple[str, str, str]:
    return result.cell.scheme, result.cell.store, result.cell.policy


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
    load = run.load
    arrivals = str(load.get("arrivals")).capitalize()
    return f"{load.get('model')} loop, {setting(load.get('rate_rps'))} requests/s, {arrivals} arrivals"


def left_out(drawn: Sequence[Line]) -> str:
    """Return the sentence that names the cells left out of a figure; empty if there are none."""
    names = [
        f"{line.name} at {count(each.cell.replicas, 'replica')}"
        for line in drawn
        for each in line.results
        if each.refused
    ]
    return f" Left out, because signed-in users were refused: {joined(names)}." if names else ""


def series_key(drawn: Sequence[Line]) -> tuple[tuple[str, str], ...]:
    """Return the key to the lines: ink and name."""
    return tuple((line.ink.name + (" dashed" if line.dashed else ""), line.name) for line in drawn)
