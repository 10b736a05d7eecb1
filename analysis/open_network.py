"""An open product-form network: Poisson arrivals, each station by itself (Jackson 1957; Baskett et al. 1975).

A core that its requests share evenly is M/G/1-PS, whose mean response D / (1 - U) does not depend on how service times
scatter (Kleinrock 1967); several cores that share one queue are M/M/c (Erlang 1917), which holds for M/G/c-PS, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.stations import Station


def response_s(stations: Sequence[Station], rate_rps: float, *, delay_s: float = 0.0) -> float:
    """Return the mean response time in seconds; infinite where a station cannot keep up."""
    return sum(station_response_s(each, rate_rps) for each in stations) + delay_s


def station_response_s(station: Station, rate_rps: float) -> float:
    """Return the mean time in seconds that a request spends at one station, over all its visits."""
    used = station.utilisation(rate_rps)
    if used >= 1:
        return math.inf
    if station.servers == 1:
        return station.demand_s / (1 - used)
    return station.demand_s * (1 + erlang_c(station.servers, used) / (station.servers * (1 - used)))


def erlang_c(servers: int, utilisation: float) -> float:
    """Return the chance that an arrival has to wait, by the recursion of Erlang's B (no factorials to overflow)."""
    offered = servers * utilisation
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked / (1 - utilisation * (1 - blocked))
