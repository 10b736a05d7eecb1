"""Where a request's time goes, over blocks: the parts of `analysis.parts` with intervals, and whether they add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from analysis.estimates import CellResult, Estimate, estimate
from analysis.parts import PARTS

TOLERANCE = 0.05
"""The parts add up where their sum is within this share of the mean response time."""
MOST_NEGATIVE = 0.01
"""Share of requests with a negative remainder above which the clocks are not believed."""


@dataclass(frozen=True)
class Breakdown:
    """The parts of one cell's mean response time.

    Attributes:
        result: the cell.
        parts: mean over blocks of each part's mean in ms, with a t interval on plain values: logarithms do not add up.
        response_mean_ms: plain mean over the same blocks of the metric, which is made of all answered requests; the
            report's own is geometric over blocks, and so lower where blocks differ.
        negative_share: of all blocks the greatest share of requests with a negative remainder.

    """

    result: CellResult
    parts: Mapping[str, Estimate]
    response_mean_ms: float
    negative_share: float

    @property
    def sum_ms(self) -> float:
        """All parts together."""
        return sum(each.value or 0.0 for each in self.parts.values())

    @property
    def difference(self) -> float:
        """The sum over the measured mean, less one."""
        return self.sum_ms / self.response_mean_ms - 1

    @property
    def believed(self) -> bool:
        """Whether the parts add up and the clocks agree."""
        return abs(self.difference) <= TOLERANCE and self.negative_share <= MOST_NEGATIVE

    def share(self, *names: str) -> float:
        """Return the share of some parts in the sum."""
        return sum(self.parts[name].value or 0.0 for name in names) / self.sum_ms


def breakdowns(results: Sequence[CellResult]) -> tuple[Breakdown, ...]:
    """Return the breakdown of every measurable cell whose replicas told it, duplicates and refused ones left out."""
    shown = [each for each in results if each.measurable and each.cell.duplicate_of is None and not each.refused]
    return tuple(made for each in shown if (made := _of(each)))


def _of(result: CellResult) -> Breakdown | None:
    told = [each.parts for each in result.measurements if each.parts]
    measured = [each.values["response_mean_ms"] or 0.0 for each in result.measurements if each.parts]
    if not told or not all(measured):
        return None
    return Breakdown(
        result=result,
        parts={name: estimate([each.mean_ms[name] for each in told], positive=False) for name in PARTS},
        response_mean_ms=fmean(measured),
        negative_share=max(each.negative_share for each in told),
    )
