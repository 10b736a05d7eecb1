"""What a store stands on, its servers started as the harness starts them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from topology.backing import Backing, Ground, backing
from topology.ports import free_ports
from topology.process import RunningComponent
from topology.reaper import Reaper


@dataclass(frozen=True)
class Placed:
    """What stands for a store of several nodes; `nodes` by name, as the counters have them."""

    backing: Backing
    nodes: dict[str, RunningComponent]
    revive: Callable[[str], None]

    @property
    def url(self) -> str:
        return self.backing.urls["replica-0"]

    def counted(self, work: Callable[[], object]) -> dict[str, dict[str, int]]:
        """Commands by node, without the nodes that had none."""
        before = self.backing.counters()
        work()
        return {name: commands for name, commands in self.backing.counters().since(before).nodes.items() if commands}

    def client(self, name: str) -> redis.Redis:
        return redis.Redis(port=self.nodes[name].component.port)

    def empty(self) -> None:
        for name in self.nodes:
            with self.client(name) as client:
                if client.info("replication")["role"] == "master":
                    client.flushall()


@contextlib.contextmanager
def placed(needs: str, folder: Path, options: dict[str, str]) -> Iterator[Placed]:
    ground = Ground(replicas=["replica-0", "replica-1"], ports=iter(free_ports(16)), folder=folder, options=options)
    under = backing(needs, ground)
    with Reaper() as reaper, contextlib.ExitStack() as stack:
        nodes: dict[str, RunningComponent] = {}
        components = {each.name: each for each in under.components}

        def start(name: str) -> None:
            nodes[name] = RunningComponent(components[name], folder / f"{name}.log", reaper, frozenset())
            stack.callback(nodes[name].stop)
            nodes[name].wait_ready()

        for name in components:
            start(name)
        if under.prepare:
            under.prepare()
        yield Placed(under, nodes, start)
