"""The local launcher: a topology as processes on loopback, started in order, always stopped in reverse."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from servers import stores
from topology.components.component import Component
from topology.components.haproxy import haproxy, requests_per_replica
from topology.components.replica import replica
from topology.components.valkey import StoreCounters, counters, url, valkey
from topology.cpu import Usage
from topology.ports import LOOPBACK, free_ports
from topology.process import ComponentError, RunningComponent
from topology.reaper import Reaper
from topology.spec import NO_STORE, Topology

# Between picking a free port and the server's own bind somebody else can take it.
_TRIES = 3
_PORT_TAKEN = ("Address already in use", "cannot bind", "Address in use")


@dataclass(frozen=True)
class Accounts:
    """Who can log in: the user table and the secret that all replicas share."""

    users_db: Path
    secret_file: Path


def make_secret(path: Path) -> None:
    """A new secret of 256 bits, readable by the owner alone."""
    path.touch(mode=0o600)
    path.write_bytes(secrets.token_bytes(32))


class RunningTopology:
    """What has been started so far, leaves last."""

    def __init__(self, topology: Topology, admin_socket: Path) -> None:
        self.topology = topology
        self.running: list[RunningComponent] = []
        self._admin_socket = admin_socket

    @property
    def url(self) -> str:
        """Of the balancer."""
        return f"http://{LOOPBACK}:{self._of_kind('balancer')[0].component.port}"

    @property
    def replica_urls(self) -> dict[str, str]:
        """Of each replica, past the balancer; to verify and to probe, never for load."""
        return {each.component.name: f"http://{LOOPBACK}:{each.component.port}" for each in self._of_kind("replica")}

    def check(self) -> None:
        """Raise ComponentError if any component has died."""
        for each in self.running:
            each.check()

    def usage(self) -> dict[str, Usage]:
        """CPU and memory per component."""
        return {each.component.name: each.usage() for each in self.running}

    def kinds(self) -> dict[str, str]:
        """Component name to kind."""
        return {each.component.name: each.component.kind for each in self.running}

    def store_counters(self) -> StoreCounters | None:
        """Of the shared store; None where there is none."""
        store = self._of_kind("store")
        return counters(store[0].component.port) if store else None

    def balancer_requests(self) -> dict[str, int]:
        """Requests sent to each replica since the start."""
        return requests_per_replica(self._admin_socket)

    def _of_kind(self, kind: str) -> list[RunningComponent]:
        return [each for each in self.running if each.component.kind == kind]


@contextlib.contextmanager
def running(
    topology: Topology, accounts: Accounts, *, logs: Path, reaper: Reaper, cores: frozenset[int] = frozenset()
) -> Iterator[RunningTopology]:
    """Start everything, wait for each probe, yield; stop in reverse whatever happens.

    Raises:
        ComponentError: a component did not start; nothing is left running.
        NoFreePortError, BinaryError: before anything starts.

    """
    logs.mkdir(parents=True, exist_ok=True)
    for attempt in range(_TRIES):
        with contextlib.ExitStack() as stack:
            started = RunningTopology(topology, reaper.folder / f"haproxy-{secrets.token_hex(4)}.sock")
            try:
                _start_all(started, stack, accounts, logs, reaper, cores)
            except ComponentError as error:
                if attempt + 1 < _TRIES and any(sign in str(error) for sign in _PORT_TAKEN):
                    continue
                raise
            yield started
            return


def _start_all(
    started: RunningTopology,
    stack: contextlib.ExitStack,
    accounts: Accounts,
    logs: Path,
    reaper: Reaper,
    cores: frozenset[int],
) -> None:
    topology = started.topology
    store_port, balancer_port, *replica_ports = free_ports(2 + topology.replicas)

    def start(component: Component) -> RunningComponent:
        each = RunningComponent(component, logs / f"{component.name}.log", reaper, cores)
        stack.callback(each.stop)
        started.running.append(each)
        return each

    settings = _settings(topology, accounts)
    if topology.store != NO_STORE and stores.facts()[topology.store].needs == "valkey":
        start(valkey("valkey", store_port, str(reaper.folder))).wait_ready()
        settings["STORE_URL"] = url(store_port)
    names = {f"replica-{number}": port for number, port in enumerate(replica_ports)}
    replicas = [start(replica(name, at, threads=topology.threads, settings=settings)) for name, at in names.items()]
    for each in replicas:
        each.wait_ready()
    # the balancer last: a replica that is still starting would be marked down
    balancer = haproxy(
        "haproxy",
        balancer_port,
        names,
        policy=topology.policy,
        config=logs / "haproxy.cfg",
        admin_socket=started._admin_socket,  # noqa: SLF001 - the launcher fills in what it yields
    )
    start(balancer).wait_ready()


def _settings(topology: Topology, accounts: Accounts) -> dict[str, str]:
    settings: Mapping[str, str] = {
        "AUTH_SCHEME": topology.scheme,
        "USERS_DB": str(accounts.users_db),
        "SECRET_FILE": str(accounts.secret_file),
    }
    # a store that needs a component gets its address when that has one
    store = {} if topology.store == NO_STORE else {"STORE_URL": f"{stores.facts()[topology.store].url_scheme}://"}
    return {**settings, **store, **topology.settings}
