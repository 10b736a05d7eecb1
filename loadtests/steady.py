"""When a warm-up is over: MSER-5 on its response times, found from what was measured and not guessed beforehand.

MSER truncates a series where the standard error of the mean of what remains is least (K. P. White, "An effective
truncation heuristic for bias reduction in simulation output", Simulation 69(6), 1997); MSER-5 does so on the means of
batches of five (White, Cobb and Spratt, "A comparison of five steady-state truncation heuristics for simulation", WSC
2000). A minimum in the second half, or at the end of the search, says that the series still changed there: not steady
(Hoad, Robinson and Davies, "Automating warm-up length estimation", J. Operational Research Society 61(9), 2010).

Times scatter by factors, so the series is that of their logarithms: on plain times one slow answer moves the truncation
point to itself, and white noise with 3 % of outliers was called unsteady twice as often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BATCH = 5
_LEFT = 10
FEWEST = 10 * BATCH
"""Observations under which nothing is said: of 30 white ones, one series in four would be called unsteady."""


@dataclass(frozen=True)
class Truncation:
    """Where MSER-5 cuts a series: `at` observations from its start, and whether the rest is steady."""

    at: int
    steady: bool


def truncation(times: Sequence[float]) -> Truncation | None:
    """MSER-5 of the logarithms of positive times in the order in which they were due; None of fewer than `FEWEST`.

    The candidates go from 0 to two thirds of the batches, but leave ten (which Hoad et al. ask for: the variance of
    fewer is small by chance) where half of them are more than that. The second half is searched as well, because the
    minimum over a first half that is all transient lies anywhere in it. Of equal minima the first counts, so that a
    constant series is whole.
    """
    if len(times) < FEWEST:
        return None
    logs = [math.log(time) for time in times]
    batches = [sum(logs[start : start + BATCH]) / BATCH for start in range(0, len(logs) - BATCH + 1, BATCH)]
    half = len(batches) // 2
    last = max(half, min(len(batches) * 2 // 3, len(batches) - _LEFT))
    errors = _squared_errors_of_rest(batches)
    best = min(range(last + 1), key=errors.__getitem__)
    return Truncation(best * BATCH, best <= half and best < last)


def _squared_errors_of_rest(values: Sequence[float]) -> list[float]:
    """For each start, the sum of squared deviations of the rest over its length squared (Welford 1962)."""
    errors: list[float] = []
    mean, squares = 0.0, 0.0
    for count, value in enumerate(reversed(values), start=1):
        step = value - mean
        mean += step / count
        squares += step * (value - mean)
        errors.append(squares / count**2)
    return errors[::-1]
