"""The local launcher: a topology as processes on loopback, started in order, always stopped in reverse."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from servers import stores
from servers.signing_keys import make_keys
from servers.users import HashCost, seed
from topology.backing import Backing, Ground, backing
from topology.balancer import Beside, Front, balancing
from topology.certificates import make_certificate
from topology.cgroups import Group, method
from topology.components.component import Component
from topology.components.replica import replica
from topology.links import Links, rtt_ms
from topology.ports import free_ports
from topology.process import ComponentError, RunningComponent
from topology.quota import quota_of
from topology.reaper import Reaper
from topology.running_topology import RunningTopology
from topology.spec import HASH_COST, NO_STORE, Topology

__all__ = ["Accounts", "RunningTopology", "make_secret", "running"]

# Between picking a free port and the server's own bind somebody else can take it.
_TRIES = 3
_STORE_PORTS = 32
_PORT_TAKEN = ("Address already in use", "cannot bind", "Address in use")


@dataclass(frozen=True)
class Accounts:
    """Who can log in: the user table and the secret that all replicas share.

    `users_db` is the table at the usual hash cost; those at others stand beside it (`seed`).
    """

    users_db: Path
    secret_file: Path

    def table(self, hash_cost: str) -> Path:
        """The user table at that cost."""
        if hash_cost == HASH_COST.default:
            return self.users_db
        cost = HashCost.parse(hash_cost)
        name = f"users-{cost.time_cost}-{cost.memory_kib}-{cost.parallelism}.db"
        return self.users_db.with_name(name)

    def seed(self, count: int, hash_costs: Iterable[str]) -> None:
        """Make the tables of so many users at these costs. Raises OSError or sqlite3.Error."""
        for cost in sorted(set(hash_costs)):
            seed(self.table(cost), count, HashCost.parse(cost))

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


@contextlib.contextmanager
def running(
    topology: Topology, accounts: Accounts, *, logs: Path, reaper: Reaper, cores: frozenset[int] = frozenset(),
    beside: Beside | None = None,
) -> Iterator[RunningTopology]:  # fmt: skip
    """Start everything, wait for each probe, yield; stop in reverse whatever happens.

    `beside` is what the balancer serves and tells besides (`topology.balancer.Beside`).

    Raises:
        ComponentError: a component did not start; nothing is left running.
        NoFreePortError, BinaryError: before anything starts.

    """
    logs.mkdir(parents=True, exist_ok=True)
    for attempt in range(_TRIES):
        with contextlib.ExitStack() as stack:
            started = RunningTopology(topology)
            try:
                _start_all(started, stack, accounts, logs, reaper, cores, beside)
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
    beside: Beside | None,
) -> None:
    topology = started.topology
    names = [f"replica-{number}" for number in range(topology.replicas)]
    promised = free_ports(1 + 2 * len(names) + _STORE_PORTS)
    ports = iter(promised)
    folder = reaper.folder / f"topology-{secrets.token_hex(4)}"
    folder.mkdir()
    stack.callback(shutil.rmtree, folder, ignore_errors=True)

    def start(component: Component) -> RunningComponent:
        group = _group(component, topology, reaper)
        if group:
            stack.callback(group.remove)
        each = RunningComponent(component, logs / f"{component.name}.log", reaper, cores, group)
        stack.callback(each.stop)
        started.running.append(each)
        return each

    started.backing = under = _backing(topology, Ground(names, ports, folder, topology.every_option))
    for component in under.components:
        start(component).wait_ready()
    if under.prepare:
        under.prepare()
    urls = under.urls
    if rtt := rtt_ms(topology.every_option):
        started.links = Links(under, rtt, reaper.folder, partial(_more_ports, promised))
        urls = _serve_links(started.links, start)
    settings = _settings(topology, accounts)
    if topology.tls:
        started.certificate = make_certificate(folder)
    at = dict(zip(names, ports, strict=False))
    replicas = []
    for name in names:
        url = {"STORE_URL": urls[name]} if name in urls else {}
        replicas.append(start(replica(name, at[name], threads=topology.threads, settings={**settings, **url})))
    for each in replicas:
        each.wait_ready()
    # the balancer last: a replica that is still starting would be marked down
    certificate = started.certificate.server if started.certificate else None
    front = Front(next(ports), at, topology.policy, logs, folder, certificate, beside)
    made = balancing(topology.balancer, front)
    started.put_before(made)
    start(made.component).wait_ready()
    started.limit()


def _serve_links(links: Links, start: Callable[[Component], RunningComponent]) -> Mapping[str, str]:
    """Start the links and set them right; returns the replicas' STORE_URL."""
    for each in [start(component) for component in links.components]:
        each.wait_ready()
    links.tune()
    return links.urls


def _more_ports(promised: list[int], count: int) -> list[int]:
    """Ports that are promised to nobody, and now are."""
    found = free_ports(count, promised)
    promised += found
    return found


def _group(component: Component, topology: Topology, reaper: Reaper) -> Group | None:
    """A control group for a component that has a quota; None where there is none, or no way to keep one here."""
    quota, way = quota_of(component.kind, topology.every_option), method()
    if quota is None or way is None:
        return None
    group = Group(way, component.name, quota)
    reaper.note_group(group.folder)
    return group


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
        "USERS_DB": str(accounts.table(topology.every_option[HASH_COST.name])),
        "SECRET_FILE": str(accounts.secret_file),
        **({"TOKEN_KEYS_FILE": str(accounts.keys_file(algorithm))} if algorithm is not None else {}),
        **topology.scheme_settings,
        **topology.life_settings,
        **topology.settings,
    }
