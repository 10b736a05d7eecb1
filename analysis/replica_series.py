"""Values by block along the replicas of one scheme, store, policy and set of options; and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.common_options import plain
from analysis.estimates import Estimate, estimate
from analysis.load import Cell
from analysis.palette import Ink, inks
from analysis.wording import series

ByBlock = Mapping[int, float]
"""Block to value."""


@dataclass(frozen=True)
class Series:
    """The cells of one line, by replicas, its name and its ink."""

    name: str
    ink: Ink
    cells: Mapping[int, Cell]

    @property
    def scheme(self) -> str:
        """Of all its cells."""
        return next(iter(self.cells.values())).scheme


def all_series(cells: Sequence[Cell]) -> tuple[Series, ...]:
    """Return the lines of a run, in the order of run.json; options that all cells share go without saying."""
    shown = [cell for cell in cells if cell.duplicate_of is None]
    policies = {cell.policy for cell in shown}
    lines: dict[str, dict[int, Cell]] = {}
    for cell in shown:
        name = series(plain(cell, shown)) + (f", {cell.policy}" if len(policies) > 1 else "")
        lines.setdefault(name, {})[cell.replicas] = cell
    ink = inks(shown)
    return tuple(
        Series(name, ink[line[min(line)].scheme, line[min(line)].store], dict(sorted(line.items())))
        for name, line in lines.items()
    )


def ratio(ours: ByBlock, theirs: ByBlock, factor: float = 1.0) -> Estimate:
    """Return ours / (factor x theirs), paired by block: the geometric mean and a t interval on the logarithms."""
    shared = sorted(block for block in ours.keys() & theirs.keys() if ours[block] > 0 and theirs[block] > 0)
    return estimate([ours[block] / (factor * theirs[block]) for block in shared], positive=True)


def efficiency(by_replicas: Mapping[int, ByBlock], replicas: int) -> Estimate | None:
    """Return X(N) / (N X(1)), 1 where N replicas do N times as much as one; None without a single replica."""
    if 1 not in by_replicas or replicas not in by_replicas:
        return None
    return ratio(by_replicas[replicas], by_replicas[1], replicas)


def geometric_mean(values: Sequence[float]) -> float:
    """Return exp(mean log) of positive values."""
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def as_document(figure: Estimate | None) -> dict[str, float | None] | None:
    """Return value, low and high for summary.json."""
    return None if figure is None else {"value": figure.value, "low": figure.low, "high": figure.high}
