"""The arrival process of one user: when its requests are due, whatever the servers do meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator


def poisson(rate_rps: float, seed: object) -> Iterator[float]:
    """Due times in seconds from the start of a phase, without end: exponential gaps of mean 1/`rate_rps`.

    The sum of such processes over the users is one Poisson process of the summed rate (superposition). The same seed
    gives the same times: every cell of a block is asked for the same load at the same moments, so that the chance of
    the arrivals cancels out of a comparison.
    """
    chance = random.Random(repr(seed))  # noqa: S311 - a load that can be repeated, not a secret
    due = 0.0
    while True:
        due += chance.expovariate(rate_rps)
        yield due
