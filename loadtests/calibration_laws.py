"""The service times of the calibration server: four laws whose effect on a client is known exactly.

A connection serves one request at a time, so each virtual user is a queue of its own: Poisson arrivals, one server,
first come first served. The rates make the wait in that queue plain to see.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

DECK = 1000
"""Service times in a deck: each deck holds the stated law exactly, in an order of its own."""


@dataclass(frozen=True)
class Law:
    """Service times, ms: `atoms` (value to probability), or lognormal with `median_ms` and `sigma`.

    With `stall_every_s` the server begins no service for `stall_s` in every such period; what is in service is
    finished. `utilisation` is the share of the time that a user's own connection is busy, stalls apart.
    """

    name: str
    title: str
    utilisation: float
    users: int
    atoms: Mapping[float, float] | None = None
    median_ms: float = 0.0
    sigma: float = 0.0
    stall_every_s: float = 0.0
    stall_s: float = 0.0

    @property
    def mean_ms(self) -> float:
        """Of the service time."""
        if self.atoms is not None:
            return sum(value * share for value, share in self.atoms.items())
        return self.median_ms * math.exp(self.sigma**2 / 2)

    @property
    def user_rate_rps(self) -> float:
        """Arrivals of one user."""
        return self.utilisation / self.mean_ms * 1000

    @property
    def rate_rps(self) -> float:
        """Arrivals of all users together."""
        return self.user_rate_rps * self.users

    def below(self, ms: float) -> float:
        """Probability that a service time is at most `ms`."""
        if self.atoms is not None:
            return sum(share for value, share in self.atoms.items() if value <= ms)
        return NormalDist(math.log(self.median_ms), self.sigma).cdf(math.log(ms)) if ms > 0 else 0.0

    def deck_ns(self) -> list[int]:
        """The service times of one deck: the midpoints of `DECK` equal shares of the law (stratified sampling)."""
        shares = [(place + 0.5) / DECK for place in range(DECK)]
        if self.atoms is None:
            normal = NormalDist(math.log(self.median_ms), self.sigma)
            return [round(math.exp(normal.inv_cdf(share)) * 1e6) for share in shares]
        ends = list(itertools.accumulate(self.atoms.values()))
        return [
            round(next(value for value, end in zip(self.atoms, ends, strict=True) if share < end) * 1e6)
            for share in shares
        ]


# Quantiles that are asked for stand clear of the jumps of each law (with one at a jump, any figure would be right).
LAWS = (
    Law("constant", "constant 5 ms", 0.2, 12, {5.0: 1.0}),
    Law("two-point", "2 ms, one in ten 20 ms", 0.25, 10, {2.0: 0.9, 20.0: 0.1}),
    Law("lognormal", "lognormal, median 5 ms, sigma 0.5", 0.25, 14, median_ms=5.0, sigma=0.5),
    Law("stalls", "10 ms, and 500 ms of silence every 5 s", 0.3, 20, {10.0: 1.0}, stall_every_s=5.0, stall_s=0.5),
)
BY_NAME = {law.name: law for law in LAWS}
STALL_OFFSET_S = 2.0
"""From the start of the measured phase to its first stall; a phase of whole periods then begins and ends in calm."""


def service_times_ns(law: Law, user: str) -> Iterator[int]:
    """The service times that one user is given, deck after deck, each shuffled anew; the same in every run."""
    chance = random.Random(f"{law.name} {user}")  # noqa: S311 - an order that can be repeated, not a secret
    deck = law.deck_ns()
    while True:
        chance.shuffle(deck)
        yield from deck


def service_start_ns(law: Law, ready_ns: int, epoch_ns: int) -> int:
    """When a request that could be served at `ready_ns` is begun: then, or at the end of the stall it falls into.

    Stalls begin at `epoch_ns` and every period later.
    """
    if not law.stall_s or ready_ns < epoch_ns:
        return ready_ns
    into_ns = (ready_ns - epoch_ns) % round(law.stall_every_s * 1e9)
    return ready_ns + max(0, round(law.stall_s * 1e9) - into_ns)


def responses_ns(law: Law, due_ns: Iterable[int], services_ns: Iterable[int], epoch_ns: int) -> Iterator[int]:
    """Response times of one user's requests, one after the other (Lindley's recursion, with stalls).

    D. V. Lindley, "The theory of queues with a single server", 1952.
    """
    free_ns = -(1 << 62)
    for due, service in zip(due_ns, services_ns, strict=False):
        free_ns = service_start_ns(law, max(due, free_ns), epoch_ns) + service
        yield free_ns - due
