"""The local launcher: a topology as processes on loopback, started in order, always stopped in reverse."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from servers import stores
from servers.signing_keys import make_keys
from topology.backing import Backing, Ground, StoreCounters, backing
from topology.balancer import Balancing, Front, balancing
from topology.certificates import Certificate, make_certificate
from topology.components.component import Component
from topology.components.replica import replica
from topology.cpu import Usage
from topology.lives import Lives
from topology.ports import LOOPBACK, free_ports
from topology.process import ComponentError, RunningComponent
from topology.reaper import Reaper
from topology.spec import NO_STORE, Topology, one_of

# Between picking a free port and the server's own bind somebody else can take it.
_TRIES = 3
_STORE_PORTS = 32
_PORT_TAKEN = ("Address already in use", "cannot bind", "Address in use")


@dataclass(frozen=True)
class Accounts:
    """Who can log in: the user table and the secret that all replicas share."""

    users_db: Path
    secret_file: Path

    def keys_file(self, algorithm: str) -> Path:
        """The keys that tokens are signed with, made when first asked for; the same for every topology of a run."""
        path = self.secret_file.with_name(f"keys-{algorithm}.json")
        if not path.exists():
            make_keys(path, algorithm)
        return path


def make_secret(path: Path) -> None:
    """A new secret of 256 bits, readable by the owner alone."""
    path.touch(mode=0o600)
    path.write_bytes(secrets.token_bytes(32))


class RunningTopology:
    """What has been started so far, leaves last."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.running: list[RunningComponent] = []
        self.certificate: Certificate | None = None
        self.backing: Backing | None = None
        self.balancing: Balancing | None = None
        self._requests: Lives[Callable[[], dict[str, int]], dict[str, int]] | None = None

    @property
    def url(self) -> str:
        """Of the balancer."""
        return f"{'https' if self.certificate else 'http'}://{LOOPBACK}:{self._of_kind('balancer')[0].component.port}"

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

    def usage(self) -> dict[str, Usage]:
        """CPU and memory per component; CPU of all its incarnations, and no memory while it is down."""
        return {each.component.name: each.usage() for each in self.running}

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
        """Note the balancer, once it serves."""
        self.balancing = made
        self._requests = Lives(lambda: made.requests, _sum_by_name, {})

    @property
    def _lives(self) -> Mapping[str, Lives[Any, Any]]:
        of_store = self.backing.lives if self.backing else {}
        of_balancer = {self.balancing.component.name: self._requests} if self.balancing and self._requests else {}
        return {**of_store, **of_balancer}

    def _silence(self, name: str) -> RunningComponent:
        """Find the component, its counters read for the last time before it falls silent."""
        each = self._named(name)
        if counters := self._lives.get(name):
            counters.hold()
        return each

    def _named(self, name: str) -> RunningComponent:
        named = {each.component.name: each for each in self.running}
        return named[one_of("component", name, named)]

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
            started = RunningTopology(topology)
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
    names = [f"replica-{number}" for number in range(topology.replicas)]
    ports = iter(free_ports(1 + 2 * len(names) + _STORE_PORTS))
    folder = reaper.folder / f"topology-{secrets.token_hex(4)}"
    folder.mkdir()
    stack.callback(shutil.rmtree, folder, ignore_errors=True)

    def start(component: Component) -> RunningComponent:
        each = RunningComponent(component, logs / f"{component.name}.log", reaper, cores)
        stack.callback(each.stop)
        started.running.append(each)
        return each

    started.backing = under = _backing(topology, Ground(names, ports, folder, topology.every_option))
    for component in under.components:
        start(component).wait_ready()
    if under.prepare:
        under.prepare()
    settings = _settings(topology, accounts)
    if topology.tls:
        started.certificate = make_certificate(folder)
    at = dict(zip(names, ports, strict=False))
    replicas = []
    for name in names:
        url = {"STORE_URL": under.urls[name]} if name in under.urls else {}
        replicas.append(start(replica(name, at[name], threads=topology.threads, settings={**settings, **url})))
    for each in replicas:
        each.wait_ready()
    # the balancer last: a replica that is still starting would be marked down
    certificate = started.certificate.server if started.certificate else None
    front = Front(next(ports), at, topology.policy, logs, folder, certificate)
    made = balancing(topology.balancer, front)
    started.put_before(made)
    start(made.component).wait_ready()


def _sum_by_name(earlier: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    return {name: count + earlier.get(name, 0) for name, count in now.items()}


def _backing(topology: Topology, ground: Ground) -> Backing:
    if topology.store == NO_STORE:
        return Backing((), {})
    facts = stores.facts()[topology.store]
    if facts.needs is None:
        return Backing((), dict.fromkeys(ground.replicas, f"{facts.url_scheme}://"))
    return backing(facts.needs, replace(ground, url_scheme=facts.url_scheme))


def _settings(topology: Topology, accounts: Accounts) -> dict[str, str]:
    algorithm = topology.option("algorithm")
    return {
        "AUTH_SCHEME": topology.scheme,
        "USERS_DB": str(accounts.users_db),
        "SECRET_FILE": str(accounts.secret_file),
        **({"TOKEN_KEYS_FILE": str(accounts.keys_file(algorithm))} if algorithm is not None else {}),
        **topology.scheme_settings,
        **topology.settings,
    }
