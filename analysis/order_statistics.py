"""Quantiles and shares with exact intervals, where some values are known only to lie beyond a limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from loadtests.student import CONFIDENCE

_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Quantile:
    """A quantile and the order statistics that hold it with 95 % confidence; None where there is no such one.

    Attributes:
        value: None without any values.
        low: 0 where even the smallest value may lie above the quantile.
        high: None where even the largest may lie below it, or where the end is only known to lie beyond a limit.
        at_least: the value is only known to be this or more.

    """

    value: float | None
    low: float | None
    high: float | None
    at_least: bool = False


def quantile(values: Sequence[float], beyond: Sequence[float], q: float) -> Quantile:
    """Return the q-quantile of `values` and of those that are known to be at least what `beyond` says.

    The value is the ceil(nq)-th smallest. The interval is the distribution-free one of order statistics (W. J. Conover,
    "Practical nonparametric statistics", 3.2): ranks by the binomial distribution of how many of n lie below the
    quantile, whatever the distribution, if the observations are independent. What is censored counts as larger than all
    that is not.
    """
    ordered = [*((value, False) for value in sorted(values)), *((value, True) for value in sorted(beyond))]
    count = len(ordered)
    if not count:
        return Quantile(None, None, None)
    value, at_least = ordered[max(1, math.ceil(q * count)) - 1]
    low_rank = int(stats.binom.ppf(_TAIL, count, q))
    high_rank = int(stats.binom.ppf(1 - _TAIL, count, q)) + 1
    low = ordered[low_rank - 1][0] if low_rank else 0.0
    high = ordered[high_rank - 1] if high_rank <= count else (0.0, True)
    return Quantile(value, low, None if high[1] else high[0], at_least)


@dataclass(frozen=True)
class Share:
    """`of` n trials in which something happened, as a share with its interval."""

    count: int
    of: int
    value: float
    low: float
    high: float


def share(count: int, of: int) -> Share:
    """Return count / of with the interval of Clopper and Pearson (Biometrika 26, 1934); `of` is above 0."""
    low = float(stats.beta.ppf(_TAIL, count, of - count + 1)) if count else 0.0
    high = float(stats.beta.ppf(1 - _TAIL, count + 1, of - count)) if count < of else 1.0
    return Share(count, of, count / of, low, high)
