"""The arrival process of one user: when its requests are due, whatever the servers do meanwhile.

Each gives due times in seconds from the start of a phase, without end. The same seed gives the same times: every cell
of a block is asked for the same load at the same moments, so that the luck of the arrivals cancels out of a comparison.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

Process = Callable[[float, object, int], Iterator[float]]
"""From the rate of one user (1/s), a seed that all users share, and the user's number, to due times."""


def poisson(rate_rps: float, seed: object, user: int) -> Iterator[float]:
    """Exponential gaps of mean 1/`rate_rps`: independent users who know nothing of each other.

    The sum over the users is one Poisson process of the summed rate (superposition).
    """
    chance = random.Random(repr((seed, user)))  # noqa: S311 - a load that can be repeated, not a secret
    due = 0.0
    while True:
        due += chance.expovariate(rate_rps)
        yield due


def uniform(rate_rps: float, seed: object, user: int) -> Iterator[float]:
    """Equal gaps of 1/`rate_rps`, each user from a random moment of its own: machines that poll."""
    due = random.Random(repr((seed, user))).random() / rate_rps  # noqa: S311 - as above
    while True:
        yield due
        due += 1 / rate_rps


def burst(rate_rps: float, seed: object, user: int) -> Iterator[float]:  # noqa: ARG001 - the same for every user
    """Equal gaps of 1/`rate_rps`, all users at the same moments: everybody reloads when the news is out."""
    due = random.Random(repr(seed)).random() / rate_rps  # noqa: S311 - as above
    while True:
        yield due
        due += 1 / rate_rps


PROCESSES: Mapping[str, Process] = {"poisson": poisson, "uniform": uniform, "burst": burst}
