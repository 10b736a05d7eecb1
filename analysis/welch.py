"""The difference of two means whose samples are not paired: Welch's t.

B. L. Welch, "The generalization of Student's problem when several different population variances are involved",
Biometrika 34 (1947); degrees of freedom by F. E. Satterthwaite, Biometrics Bulletin 2 (1946).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from loadtests.student import CONFIDENCE


@dataclass(frozen=True)
class Difference:
    """mean(b) - mean(a) with its 95 % interval and two-sided p; None where a side has a single value."""

    mean: float
    low: float | None
    high: float | None
    p: float | None


def difference(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Return the difference of two samples that need not have equal variances or sizes; both must hold a value."""
    mean = float(np.mean(b) - np.mean(a))
    if min(len(a), len(b)) < 2:  # noqa: PLR2004 - two is where a spread begins
        return Difference(mean, None, None, None)
    parts = [float(np.var(each, ddof=1)) / len(each) for each in (a, b)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return Difference(mean, mean, mean, float(mean == 0))
    # shares, not squares of the variances themselves: those underflow for differences of a millionth
    shares = [part / sum(parts) for part in parts]
    freedom = 1 / sum(share**2 / (len(each) - 1) for share, each in zip(shares, (a, b), strict=True))
    half = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    return Difference(mean, mean - half, mean + half, float(2 * special.stdtr(freedom, -abs(mean) / error)))
