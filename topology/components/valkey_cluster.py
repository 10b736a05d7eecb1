"""A Valkey cluster: `shards` nodes on loopback that share the keys, with or without a copy of each that can take over.

Without copies a node that dies takes its keys with it. With one each, the cluster lets the copy take over: the others
agree that the node is dead when it has not answered for a second, and the copy is elected.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from topology import resp
from topology.backing import Backing, Ground, StoreCounters, led, over_lives, together
from topology.components.component import Component
from topology.components.valkey import Counters, valkey
from topology.ports import LOOPBACK
from topology.process import ComponentError

BINARIES = ("valkey",)

_SLOTS = 16384
_FORMING_S = 30.0
_POLL_S = 0.02
_DEAD_AFTER_MS = 1000


@dataclass(frozen=True)
class _Node:
    """One node; `copies` is the primary that it copies."""

    name: str
    port: int
    bus_port: int
    copies: _Node | None = None


def backing(ground: Ground) -> Backing:
    """As many nodes as the option `shards` says, with `cluster_copies` of each; every replica is told all of them."""
    primaries = [_node(ground, f"valkey-{number}") for number in range(int(ground.options["shards"]))]
    copied = ground.options.get("cluster_copies", "0") != "0"
    copies = [_node(ground, f"{each.name}-copy", each) for each in primaries] if copied else []
    nodes = [*primaries, *copies]
    lives = {each.name: over_lives(partial(Counters, each.port)) for each in nodes}

    def read() -> StoreCounters:
        return together({name: each() for name, each in lives.items()})

    url = f"redis+cluster://{','.join(f'{LOOPBACK}:{each.port}' for each in nodes)}"
    return Backing(
        tuple(_component(ground, each, copied=copied) for each in nodes),
        dict.fromkeys(ground.replicas, url),
        read,
        prepare=partial(_form, primaries, copies),
        lives=lives,
        far_ports=tuple(each.port for each in nodes),
        through=_through,
    )


def _through(url: str, ports: Mapping[int, int]) -> str:
    """The nodes announce their own ports: who goes another way must know which one stands for which."""
    return f"{led(url, ports)}?via={','.join(f'{far}-{near}' for far, near in ports.items())}"


def _node(ground: Ground, name: str, copies: _Node | None = None) -> _Node:
    return _Node(name, next(ground.ports), next(ground.ports), copies)


def _component(ground: Ground, node: _Node, *, copied: bool) -> Component:
    folder = ground.folder / node.name
    folder.mkdir()  # the node keeps what it knows of the cluster there
    # every copy stays with its own primary, whichever of the two serves
    soon = ("--cluster-node-timeout", str(_DEAD_AFTER_MS), "--cluster-allow-replica-migration", "no")
    return valkey(
        node.name,
        node.port,
        str(folder),
        *("--cluster-enabled", "yes", "--cluster-port", str(node.bus_port), "--cluster-announce-ip", LOOPBACK),
        # as operators of a cache do: a node that is down takes its own keys with it, and not those of the others
        *("--cluster-require-full-coverage", "no"),
        # a copy gets its first state at once and without a file
        *((*soon, "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0") if copied else ()),
    )


def _form(primaries: Sequence[_Node], copies: Sequence[_Node]) -> None:
    """Share the slots out evenly, make everybody known to everybody, and wait until they say so.

    Raises:
        OSError: a node does not answer.
        ComponentError: no cluster came about in time.

    """
    nodes = [*primaries, *copies]
    bounds = [_SLOTS * number // len(primaries) for number in range(len(primaries) + 1)]
    for epoch, (node, (first, end)) in enumerate(zip(primaries, pairwise(bounds), strict=True), start=1):
        # distinct from the start: equal ones are told apart by collisions, which takes its time
        resp.ask(node.port, f"CLUSTER SET-CONFIG-EPOCH {epoch}")
        resp.ask(node.port, f"CLUSTER ADDSLOTSRANGE {first} {end - 1}")
    for number, node in enumerate(nodes):
        for other in nodes[number + 1 :]:
            resp.ask(node.port, f"CLUSTER MEET {LOOPBACK} {other.port} {other.bus_port}")
    deadline = time.monotonic() + _FORMING_S
    for node in nodes:
        while not _complete(node, len(nodes), len(primaries)):
            _wait(deadline, node, len(nodes))
    if copies:
        _copy(nodes, copies, deadline)


def _copy(nodes: Sequence[_Node], copies: Sequence[_Node], deadline: float) -> None:
    """Make the copies copies, and wait until they are, and until everybody knows it."""
    for copy in copies:
        if copy.copies:
            resp.ask(copy.port, f"CLUSTER REPLICATE {resp.ask(copy.copies.port, 'CLUSTER MYID')}")
    for copy in copies:
        while resp.fields(resp.ask(copy.port, "INFO replication")).get("master_link_status") != "up":
            _wait(deadline, copy, len(nodes))
    # a copy of which the others do not know yet that it is one is not asked to take over
    for node in nodes:
        while resp.ask(node.port, "CLUSTER NODES").count("slave") != len(copies):
            _wait(deadline, node, len(nodes))


def _wait(deadline: float, node: _Node, nodes: int) -> None:
    if time.monotonic() > deadline:
        said = resp.ask(node.port, "CLUSTER INFO").replace("\r\n", ", ")
        raise ComponentError(f"no cluster of {nodes} came about in {_FORMING_S:.0f} s; {node.name}: {said}")
    time.sleep(_POLL_S)


def _complete(node: _Node, nodes: int, primaries: int) -> bool:
    """Whether this node serves, knows all others, and knows which slots are whose."""
    found = resp.fields(resp.ask(node.port, "CLUSTER INFO"))
    known = int(found["cluster_known_nodes"]), int(found["cluster_slots_ok"]), int(found["cluster_size"])
    return found["cluster_state"] == "ok" and known == (nodes, _SLOTS, primaries)
