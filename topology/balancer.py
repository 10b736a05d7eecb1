"""What stands before the replicas: which balancers there are, what each can do, and how it counts.

A balancer is a file of its name in `topology/components/` with its `FACTS` and `balancing(front)`.
"""

from __future__ import annotations

import importlib
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topology import binaries
from topology.components.component import Component

BALANCERS = ("haproxy", "nginx")
"""By preference: the first that this platform has is the usual one."""

ROUTE_COOKIE = "route"
"""The cookie by which a sticky balancer knows its replica again; its value is the replica's name."""

STICKY = "sticky"


@dataclass(frozen=True)
class BalancerFacts:
    """What a balancer can do.

    Attributes:
        policies: by which it can pick a replica.
        stamps: whether a request tells the replica in microseconds when it came, so that the wait before it is known.

    """

    policies: tuple[str, ...]
    stamps: bool


@dataclass(frozen=True)
class Beside:
    """Pages of somebody else's server under `path` of every host, and a JSON line a request to a UDP port."""

    path: str
    port: int
    log_port: int


@dataclass(frozen=True)
class Front:
    """What a launcher gives a balancer to be built from.

    Attributes:
        port: where clients come.
        replicas: name to port.
        policy: one of its facts' policies.
        logs: a folder for what outlives the topology, such as the configuration.
        runtime: a folder of this topology's own with a short path, removed with it.
        certificate: key and certificate (PEM) with which clients are spoken to in TLS; None for plain HTTP.
        beside: pages of the same origin; HAProxy alone serves them.

    """

    port: int
    replicas: Mapping[str, int]
    policy: str
    logs: Path
    runtime: Path
    certificate: Path | None = None
    beside: Beside | None = None


@dataclass(frozen=True)
class Balancing:
    """The component, and the requests that it sent to each replica since it started (raises OSError)."""

    component: Component
    requests: Callable[[], dict[str, int]]


def facts(name: str) -> BalancerFacts:
    """What the balancer of that name can do."""
    found: BalancerFacts = _module(name).FACTS
    return found


def policies() -> tuple[str, ...]:
    """Every policy that some balancer has."""
    return tuple(dict.fromkeys(policy for name in BALANCERS for policy in facts(name).policies))


def usual() -> str:
    """The first balancer that this platform has, or that the environment names; the very first where it has none."""
    return next((name for name in BALANCERS if binaries.present(name)), BALANCERS[0])


def balancing(name: str, front: Front) -> Balancing:
    """The balancer of that name before these replicas. Raises BinaryError, OSError."""
    made: Balancing = _module(name).balancing(front)
    return made


def max_connections() -> int:
    """Clients at once that the limit on open files allows: each takes two, and a balancer keeps some for itself."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 20_000
    return most if limit == resource.RLIM_INFINITY else max(1, min(most, (limit - 200) // 2))


def _module(name: str) -> Any:
    return importlib.import_module(f"topology.components.{name}")
