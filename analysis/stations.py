"""The parts of a queueing network that a request visits, as values.

Symbols are those of Lazowska, Zahorjan, Graham and Sevcik, "Quantitative System Performance" (1984): the demand D of a
station is the service that one request needs of it in all its visits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Station:
    """Queues of one kind.

    Attributes:
        name: for people: `replicas`, `balancer`, `store`, `cores`.
        demand_s: service that one request needs here, in seconds of one server.
        copies: equal queues among which requests are spread evenly: replicas.
        servers: servers that share one queue: cores.
        quota: share of a core that one server may use over a period; 1 for all of it. Within its share it computes at
            full speed, and then it is stopped until the period ends (CFS bandwidth control).
        period_s: that period.

    """

    name: str
    demand_s: float
    copies: int = 1
    servers: int = 1
    quota: float = 1.0
    period_s: float = 0.0

    @property
    def capacity_rps(self) -> float:
        """Requests per second at which every server is always busy (utilisation law); infinite without a demand."""
        return self.copies * self.servers * self.quota / self.demand_s if self.demand_s > 0 else float("inf")

    def utilisation(self, rate_rps: float) -> float:
        """Share of the time that a server is busy: U = X D, over the servers there are."""
        return rate_rps / self.capacity_rps


def bottleneck(stations: Sequence[Station]) -> Station:
    """Return the station that saturates first."""
    return min(stations, key=lambda each: each.capacity_rps)
