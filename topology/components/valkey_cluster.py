"""A Valkey cluster: `shards` nodes on loopback that share the keys, without copies of them."""

from __future__ import annotations

import time
from itertools import pairwise

from topology import resp
from topology.backing import Backing, Ground, StoreCounters, together
from topology.components.component import Component
from topology.components.valkey import Counters, valkey
from topology.ports import LOOPBACK
from topology.process import ComponentError

BINARIES = ("valkey",)

_SLOTS = 16384
_FORMING_S = 30.0
_POLL_S = 0.02


def backing(ground: Ground) -> Backing:
    """As many nodes as the option `shards` says; every replica is told all of them."""
    names = [f"valkey-{number}" for number in range(int(ground.options["shards"]))]
    ports, bus_ports = ([next(ground.ports) for _ in names] for _ in range(2))
    nodes = [_node(ground, *each) for each in zip(names, ports, bus_ports, strict=True)]
    counters = {name: Counters(port) for name, port in zip(names, ports, strict=True)}

    def read() -> StoreCounters:
        return together({name: each() for name, each in counters.items()})

    url = f"redis+cluster://{','.join(f'{LOOPBACK}:{port}' for port in ports)}"
    return Backing(tuple(nodes), dict.fromkeys(ground.replicas, url), read, prepare=lambda: _form(ports, bus_ports))


def _node(ground: Ground, name: str, port: int, bus_port: int) -> Component:
    folder = ground.folder / name
    folder.mkdir()  # the node keeps what it knows of the cluster there
    return valkey(
        name,
        port,
        str(folder),
        *("--cluster-enabled", "yes", "--cluster-port", str(bus_port), "--cluster-announce-ip", LOOPBACK),
        # as operators of a cache do: a node that is down takes its own keys with it, and not those of the others
        *("--cluster-require-full-coverage", "no"),
    )


def _form(ports: list[int], bus_ports: list[int]) -> None:
    """Share the slots out evenly, make everybody known to everybody, and wait until they say so.

    Raises:
        OSError: a node does not answer.
        ComponentError: no cluster came about in time.

    """
    bounds = [_SLOTS * number // len(ports) for number in range(len(ports) + 1)]
    for epoch, (port, (first, end)) in enumerate(zip(ports, pairwise(bounds), strict=True), start=1):
        # distinct from the start: equal ones are told apart by collisions, which takes its time
        resp.ask(port, f"CLUSTER SET-CONFIG-EPOCH {epoch}")
        resp.ask(port, f"CLUSTER ADDSLOTSRANGE {first} {end - 1}")
    for number, port in enumerate(ports):
        for other, bus_port in list(zip(ports, bus_ports, strict=True))[number + 1 :]:
            resp.ask(port, f"CLUSTER MEET {LOOPBACK} {other} {bus_port}")
    deadline = time.monotonic() + _FORMING_S
    for port in ports:
        while not _complete(port, len(ports)):
            if time.monotonic() > deadline:
                said = resp.ask(port, "CLUSTER INFO").replace("\r\n", ", ")
                raise ComponentError(
                    f"no cluster of {len(ports)} came about in {_FORMING_S:.0f} s; port {port}: {said}"
                )
            time.sleep(_POLL_S)


def _complete(port: int, nodes: int) -> bool:
    """Whether this node serves, knows all others, and knows which slots are whose."""
    found = resp.fields(resp.ask(port, "CLUSTER INFO"))
    known = int(found["cluster_known_nodes"]), int(found["cluster_slots_ok"]), int(found["cluster_size"])
    return found["cluster_state"] == "ok" and known == (nodes, _SLOTS, nodes)
