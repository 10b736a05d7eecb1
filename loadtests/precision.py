"""The adaptive stop: blocks are run until every comparison's interval is as narrow as was asked, or a maximum.

The rule sees widths alone, never which cell is ahead or by how much, so it cannot stop on a lucky difference. Stopping
when an interval looks narrow still picks moments at which the spread came out small, so that the interval covers less
than it claims (Stein 1945; Chow and Robbins 1965). `LEAST_BLOCKS` and `LOOKS` are what bounds that:
`make bench-inference` prints the coverage after stopping, and docs/methodology.md the figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadtests import student
from loadtests.measurable import fewest_valid
from loadtests.pairs import C, pairs

METRIC = "response_p50_ms"
"""The primary metric: what trial.json says of it by itself."""
LEAST_BLOCKS = 8
"""Paired blocks, before which no width is believed."""
LOOKS = 3
"""Blocks in a row after each of which the interval must be narrow enough."""


@dataclass(frozen=True)
class Precision:
    """What was asked: the wider half of a 95 % interval, as a share of its ratio, and the most blocks for it."""

    asked: float
    max_blocks: int


@dataclass(frozen=True)
class Open:
    """A comparison that is not narrow enough yet: the wider half of its interval, and how many more blocks it needs.

    Both None with fewer than two paired blocks, where nothing is known of the spread.
    """

    cell: str
    baseline: str
    blocks: int
    half_width: float | None
    more_blocks: int | None


@dataclass(frozen=True)
class Look:
    """What is known after some block: how many comparisons the report will make, and those that are still open."""

    compared: int
    unresolved: tuple[Open, ...]

    @property
    def reached(self) -> bool:
        """Whether every comparison is narrow enough; not where there is none."""
        return self.compared > 0 and not self.unresolved

    @property
    def over(self) -> bool:
        """Whether further blocks would change nothing: all is narrow, or no two cells can be compared."""
        return not self.unresolved

    def as_dict(self) -> dict[str, Any]:
        """For run.json."""
        return {"reached": self.reached, "unresolved": [asdict(each) for each in self.unresolved]}


def look(cells: Sequence[C], trials: Iterable[Mapping[str, Any]], asked: float) -> Look:
    """Return how the comparisons stand after `trials` (their trial.json), in the cells' and blocks' own order.

    Left out is what the report leaves out: duplicates, cells with refusals or too few valid blocks, invalid trials.
    """
    values: dict[str, dict[int, float]] = {}
    tried: dict[str, int] = {}
    refused: set[str] = set()
    for trial in trials:
        tried[trial["cell"]] = tried.get(trial["cell"], 0) + 1
        if trial["valid"]:
            values.setdefault(trial["cell"], {})[trial["block"]] = trial[METRIC]
            refused |= {trial["cell"]} if trial["outcomes"].get("refused") else set()
    fit = [
        cell
        for cell in cells
        if cell.duplicate_of is None
        and cell.id not in refused
        and len(values.get(cell.id, {})) >= fewest_valid(max(tried.get(cell.id, 0), 1))
    ]
    asked_about = dict.fromkeys((one.id, other.id) for made in pairs(fit).values() for one, other in made)
    logs = {(one, other): _log_ratios(values[one], values[other]) for one, other in asked_about}
    return Look(
        compared=len(logs),
        unresolved=tuple(
            Open(one, other, len(found), half_width(found), more_blocks(found, asked))
            for (one, other), found in logs.items()
            if not is_narrow(found, asked)
        ),
    )


def _log_ratios(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    shared = sorted(block for block in ours.keys() & theirs.keys() if ours[block] > 0 and theirs[block] > 0)
    return [math.log(ours[block] / theirs[block]) for block in shared]


def half_width(log_ratios: Sequence[float]) -> float | None:
    """Return the wider (upper) half of the ratio's interval as a share of it; None for fewer than two blocks."""
    if len(log_ratios) < 2:  # noqa: PLR2004 - two is where a spread begins
        return None
    return math.expm1(student.mean_and_half_width(log_ratios)[1] or 0.0)


def is_narrow(log_ratios: Sequence[float], asked: float) -> bool:
    """Whether the interval was narrow enough after each of the last `LOOKS` blocks, and there are `LEAST_BLOCKS`."""
    count = len(log_ratios)
    if count < LEAST_BLOCKS:
        return False
    widths = (half_width(log_ratios[: count - back]) for back in range(LOOKS))
    return all(width is not None and width <= asked for width in widths)


def more_blocks(log_ratios: Sequence[float], asked: float) -> int | None:
    """Return how many more blocks the spread so far asks for: n = (t s / ln(1 + asked))^2, rounded up."""
    count = len(log_ratios)
    if count < 2:  # noqa: PLR2004 - two is where a spread begins
        return None
    deviation = student.mean_and_deviation(log_ratios)[1] or 0.0
    needed = math.ceil((student.quantile(count - 1) * deviation / math.log1p(asked)) ** 2)
    return max(needed, LEAST_BLOCKS, count + 1) - count
