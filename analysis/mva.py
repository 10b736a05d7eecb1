"""A closed product-form network, solved exactly by mean value analysis (Reiser and Lavenberg, JACM 27, 1980).

Stations of several servers take the marginal probabilities of the multi-server form (ibid.; Bolch, Greiner, de Meer and
Trivedi, "Queueing Networks and Markov Chains", 2006, section 8.2). That recursion loses digits where a station of many
servers is nearly full; probabilities are kept within their bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.stations import Station


@dataclass(frozen=True)
class Solution:
    """Throughput (1/s), response time (s, delays in it, think time not) and mean queue length of each station."""

    throughput_rps: float
    response_s: float
    queue: Mapping[str, float]


def solve(stations: Sequence[Station], users: int, *, think_s: float = 0.0, delay_s: float = 0.0) -> Solution:
    """Return the means with so many users. Raises ValueError without users."""
    if users < 1:
        raise ValueError(f"a closed network needs a user, not {users}")
    queues = [_Queue(each) for each in stations]
    throughput = response_s = 0.0
    for present in range(1, users + 1):
        spent_s = [each.response_s() for each in queues]
        response_s = sum(spent_s) + delay_s
        throughput = present / (response_s + think_s)
        for each, in_station_s in zip(queues, spent_s, strict=True):
            each.settle(throughput, in_station_s)
    return Solution(throughput, response_s, {each.station.name: each.length for each in queues})


class _Queue:
    """One station during the recursion: its state with the users that are there so far."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.length = 0.0  # of all copies
        self._with = [1.0] + [0.0] * (station.servers - 1)  # probability of so many requests at one copy

    def response_s(self) -> float:
        """Time that an arriving request spends here: what the others would see without it (arrival theorem)."""
        servers, copies = self.station.servers, self.station.copies
        idle = sum((servers - 1 - n) * self._with[n] for n in range(servers - 1))
        return self.station.demand_s / servers * (1 + self.length / copies + idle)

    def settle(self, throughput: float, response_s: float) -> None:
        """One user more, with this throughput."""
        self.length = throughput * response_s
        servers = self.station.servers
        load = throughput * self.station.demand_s / self.station.copies
        before = self._with
        after = [0.0] * servers
        for n in range(1, servers):
            after[n] = min(1.0, load / n * before[n - 1])
        busy = load + sum((servers - n) * after[n] for n in range(1, servers))
        after[0] = max(0.0, 1 - busy / servers)
        self._with = after
