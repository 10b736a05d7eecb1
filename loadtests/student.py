"""Student's t on the values of single blocks: what the report's intervals and the adaptive stop both rest on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import special

CONFIDENCE = 0.95


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the standard deviation with n-1 degrees of freedom; None for a single value."""
    if min(values) == max(values):  # else rounding would make a spread of what never varied
        return float(values[0]), 0.0 if len(values) > 1 else None
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def mean_and_half_width(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and half the width of its t interval (Student 1908); None for a single value."""
    mean, deviation = mean_and_deviation(values)
    if deviation is None:
        return mean, None
    return mean, quantile(len(values) - 1) * deviation / math.sqrt(len(values))


def quantile(degrees: int) -> float:
    """Return the quantile of Student's t with that many degrees of freedom which a 95 % interval reaches to."""
    return float(special.stdtrit(degrees, (1 + CONFIDENCE) / 2))
