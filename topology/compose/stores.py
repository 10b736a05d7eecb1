"""The stores that docker-compose.yml has a server for: its service, its port, and how its counters are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from topology.backing import StoreCounters
from topology.components import memcached, postgres, valkey
from topology.compose.engine import Project
from topology.ports import LOOPBACK
from topology.probes import resp_ping

_PASSWORD = "/password/postgres"  # noqa: S105 - the name of a file


@dataclass(frozen=True)
class ServedStore:
    """A store's server.

    Attributes:
        service: its name in docker-compose.yml, and of its component.
        port: in its container.
        answers: whether the server at a port of loopback serves; raises OSError.
        counters: given a port and the secret, what reads the counters of a server that has just started.
        secret: what reading them takes; empty where it takes nothing. Raises ComponentError.

    """

    service: str
    port: int
    answers: Callable[[int], bool]
    counters: Callable[[int, str], Callable[[], StoreCounters]]
    secret: Callable[[Project], str] = lambda _project: ""


def _password(project: Project) -> str:
    (found,) = project.containers("postgres")
    return project.engine.docker("exec", found["Id"], "cat", _PASSWORD)


STORES = {
    "redis": ServedStore(
        "valkey", 6379, lambda port: resp_ping(LOOPBACK, port), lambda port, _secret: valkey.Counters(port)
    ),
    "postgres": ServedStore("postgres", 5432, postgres.answers, postgres.Counters, _password),
    "memcached": ServedStore(
        "memcached", 11211, memcached.answers, lambda port, _secret: memcached.Counters(port)
    ),
}  # fmt: skip
"""By the store's name. Stores of several nodes have none."""
