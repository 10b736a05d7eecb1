"""Bounds of a closed network that need no more than demands.

Asymptotic bounds: Muntz and Wong 1974, Denning and Buzen 1978. Balanced job bounds: Zahorjan, Sevcik, Eager and Galler
1982, in the form of Lazowska et al. 1984, table 5.2, for stations of one server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.stations import Station


@dataclass(frozen=True)
class Bounds:
    """Throughput in requests per second and response time in seconds lie between these."""

    least_rps: float
    most_rps: float
    least_response_s: float
    most_response_s: float


def asymptotic(stations: Sequence[Station], users: int, *, think_s: float = 0.0, delay_s: float = 0.0) -> Bounds:
    """Return the bounds that hold for any network with these demands; `delay_s` is in the response, `think_s` not."""
    total_s = sum(each.demand_s for each in stations) + delay_s
    slowest_s = max(1 / each.capacity_rps for each in stations)
    most = min(users / (total_s + think_s), 1 / slowest_s)
    least = users / (users * total_s + think_s)
    return Bounds(least, most, max(total_s, users * slowest_s - think_s), users * total_s)


def balanced_job(stations: Sequence[Station], users: int, *, think_s: float = 0.0, delay_s: float = 0.0) -> Bounds:
    """Return the tighter bounds of a product-form network.

    Where a station has several servers or a quota there are none, and the asymptotic ones are returned.
    """
    if any(each.servers > 1 or each.quota < 1 for each in stations):
        return asymptotic(stations, users, think_s=think_s, delay_s=delay_s)
    queues = [each.demand_s / each.copies for each in stations if each.demand_s > 0 for _ in range(each.copies)]
    away_s = think_s + delay_s
    total_s, slowest_s = sum(queues), max(queues)
    mean_s = total_s / len(queues)
    more = users - 1
    least = users / (total_s + away_s + more * slowest_s / (1 + away_s / (users * total_s)))
    most = min(1 / slowest_s, users / (total_s + away_s + more * mean_s / (1 + away_s / total_s)))
    return Bounds(least, most, users / most - think_s, users / least - think_s)
