"""Operational bounds: the most throughput that measured service demands allow, and where a curve must bend.

With d_k the CPU time that a request takes of component k and c_k the cores that it may use, X <= c_k / d_k (the
utilisation law and asymptotic bounds: P. J. Denning and J. P. Buzen, "The operational analysis of queueing network
models", Computing Surveys 10(3), 1978). N replicas are N times the bound of one; balancer, store and the cores that all
share stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

REPLICAS = "replicas"
SHARED_CORES = "servers' cores"


@dataclass(frozen=True)
class Demand:
    """Of one kind of component: CPU seconds per request, and the cores that one of it may use."""

    kind: str
    cpu_s: float
    cores: float

    @property
    def most_rps(self) -> float:
        """Requests a second at which it is full; infinite where it does nothing."""
        return self.cores / self.cpu_s if self.cpu_s > 0 else float("inf")


@dataclass(frozen=True)
class Bound:
    """The most throughput at some number of replicas, requests/s, and what sets it."""

    rps: float
    limit: str


@dataclass(frozen=True)
class Basis:
    """What a prediction rests on, of one block or of a mean.

    Attributes:
        one_replica_rps: what each replica was measured to add, where replicas were the limit.
        shared: demands of what all replicas share: balancer, store.
        all_cpu_s: CPU seconds per request of all servers together.
        server_cores: cores that all servers share; 0 where they are not set apart.

    """

    one_replica_rps: float
    shared: tuple[Demand, ...]
    all_cpu_s: float
    server_cores: int


def predict(basis: Basis, replicas: int) -> Bound:
    """Return the least of the asymptotic bounds at that many replicas."""
    bounds = [Bound(replicas * basis.one_replica_rps, REPLICAS)]
    bounds += [Bound(each.most_rps, each.kind) for each in basis.shared]
    if basis.server_cores:
        bounds.append(Bound(basis.server_cores / basis.all_cpu_s, SHARED_CORES))
    return min(bounds, key=lambda bound: bound.rps)


def bend(basis: Basis) -> tuple[float, str]:
    """Return the number of replicas, a fraction, above which something other than replicas is the limit, and what."""
    at = {each.kind: each.most_rps for each in basis.shared}
    if basis.server_cores:
        at[SHARED_CORES] = basis.server_cores / basis.all_cpu_s
    limit = min(at, key=at.__getitem__)
    return at[limit] / basis.one_replica_rps, limit


def hinge(throughput: Mapping[int, float]) -> float:
    """Return the number of replicas at which measured throughput stops to grow: of min(a N, b), b / a.

    Fitted to relative errors over every split of the counts into a rising and a flat part; both have a point at least,
    and the flat part may have none: then the curve has not bent, and infinity is returned.
    """
    counts = sorted(throughput)
    best, at = _error([throughput[n] / n for n in counts]), float("inf")
    for split in range(1, len(counts)):
        rising = [throughput[n] / n for n in counts[:split]]
        flat = [throughput[n] for n in counts[split:]]
        slope, level = _mean(rising), _mean(flat)
        error = _error(rising) + _error(flat)
        # a corner that lies outside of its split describes another split
        if counts[split - 1] <= level / slope <= counts[split] and error < best:
            best, at = error, level / slope
    return at


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _error(values: Sequence[float]) -> float:
    mean = _mean(values)
    return sum((value / mean - 1) ** 2 for value in values)
