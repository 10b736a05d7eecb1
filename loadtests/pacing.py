"""When a user turns to its next request: by a schedule in an open loop, after its think time in a closed one."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator

from loadtests import arrivals
from loadtests.rates import Rate

OPEN, CLOSED = "open", "closed"
MODELS = (OPEN, CLOSED)


def schedule(process: str, rate: Rate, users: int, seed: object, user: int) -> Iterator[float]:
    """Due times of one of `users` users in seconds from the start of a phase: its share of `rate`, by inversion."""
    # the user's share of the rate is 1 in `users`, so that its n-th unit is the n * users-th of all
    for unit in arrivals.PROCESSES[process](1.0, seed, user):
        yield rate.inverse(unit * users)


def think_times(mean_s: float, seed: object, user: int) -> Iterator[float]:
    """Exponential think times of mean `mean_s`, in seconds; 0 for ever where the mean is 0."""
    chance = random.Random(repr((seed, user, "think")))  # noqa: S311 - a load that can be repeated, not a secret
    while True:
        yield chance.expovariate(1 / mean_s) if mean_s else 0.0


class InFlight:
    """The requests of all users of a process that are being answered, under a cap (0: none).

    When the cap was reached is remembered, because a user that was busy then turns only later to a request that fell
    due meanwhile.
    """

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self._now = 0
        self._full_from_ns: list[int] = []
        self._full_to_ns: list[int] = []

    def begin(self, at_ns: int) -> None:
        """A request is sent."""
        self._now += 1
        if self._now == self.cap:
            self._full_from_ns.append(at_ns)

    def end(self, at_ns: int) -> None:
        """A request is answered, or has failed."""
        if self._now == self.cap:
            self._full_to_ns.append(at_ns)
        self._now -= 1

    def refuses(self, due_ns: int) -> bool:
        """Whether a request that fell due at `due_ns` is dropped: the cap was reached then, or is now."""
        if not self.cap:
            return False
        if self._now >= self.cap:
            return True
        place = bisect_right(self._full_from_ns, due_ns) - 1
        return place >= 0 and due_ns < self._full_to_ns[place]
