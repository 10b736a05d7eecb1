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
        return station.demand_s / (1 - used * station.quota) + stopped_s(station, used)
    return station.demand_s * (1 + erlang_c(station.servers, used) / (station.servers * (1 - used)))


def stopped_s(station: Station, utilisation: float) -> float:
    """Return the mean time that a request is stopped by a quota, an approximation; 0 without one.

    A quota is a bucket that holds one period's share and fills at the quota's rate: a request is stopped for what its
    virtual delay in a queue of that rate exceeds the period (as in a leaky bucket, J. S. Turner 1986). That queue is
    M/D/1, since a request needs about the same each time; its wait, w in the mean, is taken as exponential where it is
    not 0.
    """
    if station.quota >= 1 or utilisation <= 0:
        return 0.0
    service_s = station.demand_s / station.quota
    wait_s = utilisation * service_s / (2 * (1 - utilisation))
    spare_s = station.period_s - service_s
    if spare_s <= 0:
        return wait_s - spare_s
    return wait_s * math.exp(-spare_s * utilisation / wait_s)


def erlang_c(servers: int, utilisation: float) -> float:
    """Return the chance that an arrival has to wait, by the recursion of Erlang's B (no factorials to overflow)."""
    offered = servers * utilisation
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked / (1 - utilisation * (1 - blocked))
