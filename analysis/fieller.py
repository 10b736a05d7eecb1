"""A ratio of two means over the same blocks, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.estimates import NOT_APPLICABLE, Estimate
from loadtests.student import quantile

_FEWEST = 2  # blocks, from which a spread begins


def ratio_of_means(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate:
    """Return mean(numerators) / mean(denominators) with its 95 % interval (Fieller 1954), paired by position.

    For differences, which noise can take below zero, where a mean of logarithms does not exist. Every ratio r is in
    the interval at which a paired t test does not refuse that mean(numerators - r * denominators) is 0:

        (y^2 - t^2 Syy) r^2 - 2 (xy - t^2 Sxy) r + (x^2 - t^2 Sxx) <= 0

    with x and y the means, S the covariances of the means, and t Student's quantile at n-1 degrees of freedom. Where
    the denominators cannot be told from zero no bounded interval exists: low and high are None, as with one block.
    Raises ValueError for sequences of different lengths.
    """
    if len(numerators) != len(denominators):
        raise ValueError(f"{len(numerators)} numerators and {len(denominators)} denominators do not pair")
    count = len(numerators)
    if count == 0 or float(np.mean(denominators)) == 0:
        return NOT_APPLICABLE
    x, y = float(np.mean(numerators)), float(np.mean(denominators))
    if count < _FEWEST:
        return Estimate(x / y, None, None, count)
    (sxx, sxy), (_, syy) = np.cov(numerators, denominators, ddof=1) / count
    t_squared = quantile(count - 1) ** 2
    a, b, c = y * y - t_squared * syy, x * y - t_squared * sxy, x * x - t_squared * sxx
    if a <= 0:
        return Estimate(x / y, None, None, count)
    reach = float(np.sqrt(max(0.0, b * b - a * c)))
    return Estimate(x / y, float((b - reach) / a), float((b + reach) / a), count)
