"""What a store stands on: the servers that must run for it, and what it is called by each replica.

A store names what it needs in its facts; a file of that name in `topology/components/` (hyphens as underscores) has a
`backing(ground)` and the names of its `BINARIES`. A store that needs nothing has none.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from topology.components.component import Component
from topology.lives import Lives, Reader


@dataclass(frozen=True)
class StoreCounters:
    """The store's own counters. `commands` by lower-case name since it started, administration left out.

    Octets as the server counted them, None where it does not, without those of the readings. All of it is of all nodes
    together; `nodes` has the commands of each where there are several.
    """

    commands: Mapping[str, int]
    memory_bytes: int
    keys: int
    bytes_in: int | None = None
    bytes_out: int | None = None
    nodes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def since(self, before: StoreCounters) -> StoreCounters:
        """What was counted after `before`; memory and keys as they are now."""
        return StoreCounters(
            _difference(self.commands, before.commands),
            self.memory_bytes,
            self.keys,
            None if self.bytes_in is None or before.bytes_in is None else self.bytes_in - before.bytes_in,
            None if self.bytes_out is None or before.bytes_out is None else self.bytes_out - before.bytes_out,
            {name: _difference(commands, before.nodes.get(name, {})) for name, commands in self.nodes.items()},
        )

    def and_then(self, later: StoreCounters) -> StoreCounters:
        """What a server counted in this life and a `later` one; memory and keys as they are in that one."""
        names = dict.fromkeys((*self.commands, *later.commands))
        return StoreCounters(
            {name: self.commands.get(name, 0) + later.commands.get(name, 0) for name in names},
            later.memory_bytes,
            later.keys,
            _sum([self.bytes_in, later.bytes_in]),
            _sum([self.bytes_out, later.bytes_out]),
        )


NOTHING_COUNTED = StoreCounters({}, 0, 0, 0, 0)


def over_lives(begin: Callable[[], Reader]) -> Lives[Reader, StoreCounters]:
    """Return the counters of one node; `begin` makes what reads those of a process that has just started."""
    return Lives(begin, StoreCounters.and_then, NOTHING_COUNTED)


def together(nodes: Mapping[str, StoreCounters]) -> StoreCounters:
    """The sum over several nodes, by name."""
    names = dict.fromkeys(name for each in nodes.values() for name in each.commands)
    counted = list(nodes.values())
    return StoreCounters(
        {name: sum(each.commands.get(name, 0) for each in counted) for name in names},
        sum(each.memory_bytes for each in counted),
        sum(each.keys for each in counted),
        _sum([each.bytes_in for each in counted]),
        _sum([each.bytes_out for each in counted]),
        {name: each.commands for name, each in nodes.items()},
    )


@dataclass(frozen=True)
class Ground:
    """What a launcher gives a backing to build on.

    Attributes:
        replicas: names of the replicas that will use it.
        ports: free ports, one with each `next`.
        folder: an empty folder of this topology's own, removed with it.
        options: every option of the topology, by name.
        url_scheme: of the store, where several need the same.

    """

    replicas: Sequence[str]
    ports: Iterator[int]
    folder: Path
    options: Mapping[str, str]
    url_scheme: str = ""


def led(url: str, ports: Mapping[int, int]) -> str:
    """`url` with each port of ours that stands in it replaced by the one that leads there."""
    return re.sub(r"(?<=:)\d+", lambda found: str(ports.get(int(found[0]), found[0])), url)


@dataclass(frozen=True)
class Backing:
    """Components, started in order, each waited for; then `prepare`.

    Attributes:
        components: of kind `store`.
        urls: STORE_URL by replica.
        counters: reads every node's counters; None where no server counts. Raises OSError.
        prepare: what is done once when all components serve, such as to form a cluster. Raises OSError, and
            ComponentError for what does not come about in time.
        lives: the counters of each node, by the name of its component.
        far_ports: of the servers that a replica reaches over the network, and not on its own machine.
        through: rewrites a URL for a replica whose way to each far port leads through another port.

    """

    components: tuple[Component, ...]
    urls: Mapping[str, str]
    counters: Callable[[], StoreCounters] | None = None
    prepare: Callable[[], None] | None = None
    lives: Mapping[str, Lives[Any, StoreCounters]] = field(default_factory=dict)
    far_ports: tuple[int, ...] = ()
    through: Callable[[str, Mapping[int, int]], str] = led


def backing(needs: str, ground: Ground) -> Backing:
    """The backing of that name."""
    made: Backing = _module(needs).backing(ground)
    return made


def binary_names(needs: str) -> tuple[str, ...]:
    """The binaries it runs, as `topology.binaries` knows them."""
    names: tuple[str, ...] = _module(needs).BINARIES
    return names


def _module(needs: str) -> Any:
    return importlib.import_module(f"topology.components.{needs.replace('-', '_')}")


def _difference(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
