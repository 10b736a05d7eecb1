"""What one request needs of each component, by block, and the queueing network that a cell is with these demands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from analysis.estimates import CellResult
from analysis.load import Cell, Run
from analysis.stations import Station

SHARED = "cores"
"""Name of the one station of a cell whose components share the machine."""
_METRICS = ("replica_cpu_us_per_request", "balancer_cpu_us_per_request", "store_cpu_us_per_request")


@dataclass(frozen=True)
class Demands:
    """CPU seconds of one request by component, and the rest of its response time, which no queue of ours explains."""

    replica_s: float
    balancer_s: float
    store_s: float
    delay_s: float = 0.0

    @property
    def total_s(self) -> float:
        """CPU of all components."""
        return self.replica_s + self.balancer_s + self.store_s


def demands_of(result: CellResult) -> dict[int, Demands]:
    """Return the demands of every valid block of a cell, without a delay; a component that does not run needs 0."""
    found = [result.by_block(metric) for metric in _METRICS]
    return {
        block: Demands(*(values.get(block, 0.0) / 1e6 for values in found))
        for block in result.by_block("total_cpu_us_per_request")
    }


def mean_of(parts: Sequence[Demands]) -> Demands:
    """Return the mean of each demand."""
    return Demands(
        replica_s=fmean(each.replica_s for each in parts),
        balancer_s=fmean(each.balancer_s for each in parts),
        store_s=fmean(each.store_s for each in parts),
        delay_s=fmean(each.delay_s for each in parts),
    )


def with_delay(demands: Demands, delay_s: float) -> Demands:
    """Return the same with another delay."""
    return replace(demands, delay_s=delay_s)


@dataclass(frozen=True)
class Processors:
    """What computes in a cell.

    Attributes:
        replica: cores of one replica, by its quota; 0 for none, so that all components share `cores`.
        store: cores of the store, by its quota; 0 for one of its own.
        cores: of the machine that the servers may use.

    """

    replica: float
    store: float
    cores: int

    @property
    def shared(self) -> bool:
        """Whether components contend for the machine's cores: more replicas then add none."""
        return self.replica == 0


def processors(run: Run, cell: Cell) -> Processors:
    """Return what the servers of a cell run on, from its quotas and the pinning of the run."""
    machine: Mapping[str, Any] = run.document.get("machine") or {}
    pinned = (machine.get("pinning") or {}).get("servers") or ()
    return Processors(
        replica=quota(cell, "replica_cpus"),
        store=quota(cell, "store_cpus"),
        cores=max(1, len(pinned) or int(machine.get("cores") or 1)),
    )


def quota(cell: Cell, name: str) -> float:
    """Return a CPU quota of the cell's options in cores; 0 where there is none."""
    return float(cell.options.get(name) or 0)


PERIOD_S, LEAST_SHARE_S = 0.010, 0.001
"""Of a quota: its period, longer where the share in one would be less than the kernel takes."""


def period_s(share: float) -> float:
    """Return the period in which a component may compute for its share of it."""
    return max(PERIOD_S, LEAST_SHARE_S / share)


def speed(cores: float) -> float:
    """Return how much of a core a component can use that has so many and computes in one thread at a time.

    That is so of Python (the interpreter's lock), and of the main thread of HAProxy and Valkey as they run here.
    """
    return min(cores, 1.0) if cores else 1.0


def network(demands: Demands, replicas: int, runs_on: Processors) -> tuple[Station, ...]:
    """Return the stations of a cell.

    With quotas, or with a core for each component, replicas are queues of their own; otherwise every component's work
    queues for the same cores, however many replicas there are: that is contention, not scaling.
    """
    components = replicas + 1 + (demands.store_s > 0)
    if runs_on.shared and runs_on.cores < components:
        return (Station(SHARED, demands.total_s, servers=runs_on.cores),)
    replica, store = speed(runs_on.replica), speed(runs_on.store)
    return (
        Station("replicas", demands.replica_s, copies=replicas, quota=replica, period_s=period_s(replica)),
        Station("balancer", demands.balancer_s),
        *((Station("store", demands.store_s, quota=store, period_s=period_s(store)),) if demands.store_s > 0 else ()),
    )
