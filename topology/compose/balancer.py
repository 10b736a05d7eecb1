"""HAProxy in a container: its counters over HTTP, and whose they are, since it names replicas by their place in DNS."""

from __future__ import annotations

import csv
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from topology.balancer import Balancing
from topology.components.component import Component
from topology.compose.engine import number
from topology.ports import LOOPBACK

_TIMEOUT_S = 5.0
_START_S = 30.0
_UP = "UP"


def balancing(port: int, counters_port: int, replicas: Callable[[], Sequence[dict[str, Any]]], count: int) -> Balancing:
    """HAProxy, ready once it has found `count` replicas; `replicas` are their containers as the engine knows them."""
    counters = Counters(counters_port, replicas)
    probe = partial(counters.all_found, count)
    return Balancing(Component("haproxy", "balancer", (), port, probe, start_timeout_s=_START_S), counters)


class Counters:
    """Requests per replica since the start.

    A place in the configuration belongs to the replica whose address it has. One whose replica is gone keeps its
    count and has no address: it is still the last one's.
    """

    def __init__(self, port: int, replicas: Callable[[], Sequence[dict[str, Any]]]) -> None:
        self._url = f"http://{LOOPBACK}:{port}/;csv"
        self._replicas = replicas
        self._names: dict[str, str] = {}  # address to replica
        self._held: dict[str, str] = {}  # place to replica

    def __call__(self) -> dict[str, int]:
        """Read once. Raises OSError when the balancer does not answer."""
        counted: dict[str, int] = {}
        for row in self._rows():
            address = row["addr"].rpartition(":")[0]
            if address and address not in self._names:
                self._look()
            name = self._names.get(address) or self._held.get(row["svname"])
            if name:
                self._held[row["svname"]] = name
                counted[name] = counted.get(name, 0) + int(row["req_tot"])
        return dict(sorted(counted.items()))

    def all_found(self, count: int) -> bool:
        """Whether `count` replicas have been found and serve. Raises OSError."""
        return sum(row["status"].startswith(_UP) and bool(row["addr"]) for row in self._rows()) == count

    def _rows(self) -> list[dict[str, str]]:
        with urllib.request.urlopen(self._url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the URL is ours
            text = answer.read().decode()
        rows = csv.DictReader(text.removeprefix("# ").splitlines())
        return [row for row in rows if row["pxname"] == "replicas" and row["svname"] != "BACKEND"]

    def _look(self) -> None:
        for found in self._replicas():
            for network in found["NetworkSettings"]["Networks"].values():
                if network["IPAddress"]:
                    self._names[network["IPAddress"]] = f"replica-{number(found) - 1}"
