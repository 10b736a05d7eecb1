"""A topology that runs: what it is asked, and what is done to its components while it serves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from topology.backing import Backing, StoreCounters
from topology.balancer import Balancing
from topology.certificates import Certificate
from topology.components.link import RTT
from topology.cpu import Usage
from topology.links import Links
from topology.lives import Lives
from topology.part import Part
from topology.ports import LOOPBACK
from topology.quota import Throttling
from topology.spec import SpecError, Topology, one_of


class RunningTopology:
    """What has been started so far, leaves last."""

    def __init__(self, topology: Topology, also_on: str = "") -> None:
        self.topology = topology
        self.also_on = also_on
        self.running: list[Part] = []
        self.certificate: Certificate | None = None
        self.backing: Backing | None = None
        self.links: Links | None = None
        self.balancing: Balancing | None = None
        self._requests: Lives[Callable[[], dict[str, int]], dict[str, int]] | None = None

    @property
    def url(self) -> str:
        """Of the balancer, at the address that other hosts reach where there is one."""
        scheme, port = "https" if self.certificate else "http", self._of_kind("balancer")[0].component.port
        return f"{scheme}://{self.also_on or LOOPBACK}:{port}"

    @property
    def authority(self) -> Path | None:
        """What a client must trust to speak TLS to the balancer; None where it speaks none."""
        return self.certificate.authority if self.certificate else None

    @property
    def replica_urls(self) -> dict[str, str]:
        """Of each replica, past the balancer; to verify and to probe, never for load."""
        return {each.component.name: f"http://{LOOPBACK}:{each.component.port}" for each in self._of_kind("replica")}

    @property
    def down(self) -> frozenset[str]:
        """Names of the components that were stopped or killed by the verbs below, and not started again."""
        return frozenset(each.component.name for each in self.running if each.down)

    def check(self, but: Collection[str] = ()) -> None:
        """Raise ComponentError if any component has died, `but` those that are meant to be dead."""
        for each in self.running:
            if each.component.name not in but:
                each.check()

    def kill(self, name: str) -> None:
        """KILL to all of a component at one stroke; returns when it is gone. Raises SpecError for no such name."""
        each = self._silence(name)
        each.kill()

    def stop(self, name: str) -> None:
        """Stop a component in order; returns when it is gone. Raises SpecError."""
        each = self._silence(name)
        each.stop()

    def restart(self, name: str) -> None:
        """Start a component again on the same port, and wait for its probe; one that still runs is stopped in order.

        What it kept in its folder is there. Raises ComponentError when it does not serve in time, and SpecError.
        """
        each = self._silence(name)
        each.start_again()
        each.wait_ready()
        if counters := self._lives.get(name):
            counters.begin_again()

    def freeze(self, name: str) -> None:
        """Stop a component where it is, its connections open. Raises ComponentError if it is dead, and SpecError."""
        each = self._silence(name)
        each.freeze()

    def thaw(self, name: str) -> None:
        """Let a frozen component go on. Raises SpecError."""
        each = self._named(name)
        each.thaw()
        if not each.down and (counters := self._lives.get(name)):
            counters.go_on()

    def cut(self, replica: str, *, refuse: bool = False) -> None:
        """Cut a replica's link to the store: connections stay open, and nothing passes. Raises SpecError, OSError.

        With `refuse` they are reset, and new ones refused.
        """
        self._links_of(replica).cut(replica, refuse=refuse)

    def heal(self, replica: str) -> None:
        """Undo a cut; what was held on the way is delivered. Raises SpecError, OSError."""
        self._links_of(replica).heal(replica)

    def usage(self) -> dict[str, Usage]:
        """CPU and memory per component; CPU of all its incarnations, and no memory while it is down."""
        return {each.component.name: each.usage() for each in self.running}

    def limit(self) -> None:
        """Let every quota hold from now on: starting is not what is measured. Raises OSError or ComponentError."""
        for each in self.running:
            if each.group:
                each.group.limit()

    @contextlib.contextmanager
    def unlimited(self) -> Iterator[None]:
        """Let no quota hold inside: checking is not what is measured. Raises OSError or ComponentError."""
        for each in self.running:
            if each.group:
                each.group.lift()
        try:
            yield
        finally:
            self.limit()

    def throttling(self) -> dict[str, Throttling]:
        """What the kernel counted of each component that has a quota which holds."""
        known = {each.component.name: each.group.known() for each in self.running if each.group}
        return {name: counted for name, counted in known.items() if counted is not None}

    def kinds(self) -> dict[str, str]:
        """Component name to kind."""
        return {each.component.name: each.component.kind for each in self.running}

    def store_counters(self) -> StoreCounters | None:
        """Of the servers that the store runs on; None where there is none.

        Those of one that is down or frozen are as they were last read; one that was started again goes on from there.
        """
        return self.backing.counters() if self.backing and self.backing.counters else None

    def balancer_requests(self) -> dict[str, int]:
        """Requests sent to each replica since the start."""
        return self._requests() if self._requests else {}

    def put_before(self, made: Balancing) -> None:
        """Note the balancer, which is about to serve."""
        self.balancing = made
        self._requests = Lives(lambda: made.requests, _sum_by_name, {})

    @property
    def _lives(self) -> Mapping[str, Lives[Any, Any]]:
        of_store = self.backing.lives if self.backing else {}
        of_balancer = {self.balancing.component.name: self._requests} if self.balancing and self._requests else {}
        return {**of_store, **of_balancer}

    def _links_of(self, replica: str) -> Links:
        if self.links is None:
            raise SpecError(f"there is no link to the store that could be cut: give the topology a {RTT.name}")
        one_of("replica with a link", replica, self.links.urls)
        return self.links

    def _silence(self, name: str) -> Part:
        """Find the component, its counters read for the last time before it falls silent."""
        each = self._named(name)
        if counters := self._lives.get(name):
            counters.hold()
        return each

    def _named(self, name: str) -> Part:
        named = {each.component.name: each for each in self.running}
        return named[one_of("component", name, named)]

    def _of_kind(self, kind: str) -> list[Part]:
        return [each for each in self.running if each.component.kind == kind]


def _sum_by_name(earlier: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    return {name: count + earlier.get(name, 0) for name, count in now.items()}
