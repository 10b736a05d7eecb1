"""A straight line through points: what one more costs, with its interval, and what there is without any."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.estimates import Estimate, estimate
from loadtests import student


@dataclass(frozen=True)
class Line:
    """Slope and intercept of least squares, each with its 95 % interval (None with fewer than three points)."""

    slope: Estimate
    intercept: Estimate
    points: int
    over_blocks: bool = False
    """Whether the intervals are of the slopes of several blocks, and not of the points of one line."""


def least_squares(x: Sequence[float], y: Sequence[float]) -> Line:
    """Return the line of ordinary least squares; t intervals with n-2 degrees of freedom (Draper and Smith, 1.4).

    Points on one line give intervals of no width. Raises ValueError where all x are equal.
    """
    count = len(x)
    mean_x, mean_y = math.fsum(x) / count, math.fsum(y) / count
    spread = math.fsum((each - mean_x) ** 2 for each in x)
    if not spread:
        raise ValueError("a line needs points at two places")
    slope = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    intercept = mean_y - slope * mean_x
    if count < 3:  # noqa: PLR2004 - no degree of freedom is left
        return Line(Estimate(slope, None, None, 1), Estimate(intercept, None, None, 1), count)
    errors = math.fsum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True)) / (count - 2)
    reach = student.quantile(count - 2)
    slope_half = reach * math.sqrt(errors / spread)
    intercept_half = reach * math.sqrt(errors * (1 / count + mean_x**2 / spread))
    return Line(
        Estimate(slope, slope - slope_half, slope + slope_half, 1),
        Estimate(intercept, intercept - intercept_half, intercept + intercept_half, 1),
        count,
    )


def over_blocks(lines: Sequence[Line]) -> Line:
    """Return the mean line of several blocks with t intervals over blocks; of a single block its own."""
    if len(lines) == 1:
        return lines[0]
    slopes = [each.slope.value for each in lines if each.slope.value is not None]
    intercepts = [each.intercept.value for each in lines if each.intercept.value is not None]
    return Line(
        estimate(slopes, positive=False),
        estimate(intercepts, positive=False),
        sum(each.points for each in lines),
        over_blocks=True,
    )
