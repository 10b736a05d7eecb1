"""A topology as containers of docker-compose.yml, of which loopback alone reaches a port.

It runs the same argv, settings and configuration as `topology.local` (tests/compose holds the files to that), and
hands out the same `RunningTopology`. What stands in the figures besides is what containers bring: a virtual network,
and the engine's port on loopback between generator and balancer.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from servers import schemes
from topology.backing import Backing, over_lives
from topology.balancer import STICKY, Beside
from topology.components.component import Component
from topology.compose import engine
from topology.compose.balancer import balancing
from topology.compose.container import Container
from topology.compose.engine import Project, number
from topology.compose.layer import REPLICA_PORT, layer, variables
from topology.compose.stores import STORES, ServedStore
from topology.local import Accounts
from topology.ports import LOOPBACK, free_ports
from topology.probes import http_ok
from topology.quota import REPLICA_CPUS, STORE_CPUS, quota_of
from topology.reaper import Reaper
from topology.running_topology import RunningTopology
from topology.spec import BALANCER, HASH_COST, LIFE, NO_STORE, SpecError, Topology, option_names

_START_S = 60.0
_DONE = {BALANCER.name, HASH_COST.name, LIFE.name, REPLICA_CPUS.name, STORE_CPUS.name}
Describe = Callable[[dict[str, Any]], Component]
"""Makes a component of what the engine knows of a container."""


def refuse(topology: Topology) -> None:
    """Raise SpecError for what the compose file has no containers for, and for an option that would do nothing."""
    known = option_names(topology.scheme, topology.store)
    # a replica's own stand in its environment
    idle = [name for name in topology.unusual if not known[name].variable and name not in _DONE]
    for what, so in (
        (f"scheme {topology.scheme}", schemes.facts()[topology.scheme].package is not None),
        (f"store {topology.store}", topology.store not in (*STORES, "memory", NO_STORE)),
        (f"balancer {topology.balancer}", topology.balancer != "haproxy"),
        (f"policy {topology.policy}", topology.policy == STICKY),
        *((f"{name} {topology.unusual[name]}", True) for name in idle),
    ):
        if so:
            raise SpecError(f"{what} does not run in containers ({topology.id}): leave it out, or use `make bench`")


@contextlib.contextmanager
def running(
    topology: Topology, accounts: Accounts, *, logs: Path, reaper: Reaper, cores: frozenset[int] = frozenset(),
    beside: Beside | None = None,
) -> Iterator[RunningTopology]:  # fmt: skip
    """As `topology.local.running`; the users are seeded into a volume of the topology's own.

    Raises:
        SpecError: for what no container of ours does.
        ComponentError: a container did not start; nothing is left running.
        NoFreePortError, BinaryError: before anything starts.

    """
    refuse(topology)
    if beside is not None:
        raise SpecError("pages beside the replicas are not served in containers: use the local launcher")
    logs.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        started = RunningTopology(topology)
        _start_all(started, stack, accounts, logs, reaper, cores)
        yield started


def _start_all(
    started: RunningTopology,
    stack: contextlib.ExitStack,
    accounts: Accounts,
    logs: Path,
    reaper: Reaper,
    cores: frozenset[int],
) -> None:
    topology, served = started.topology, STORES.get(started.topology.store)
    public, counters, store_port = free_ports(3)
    settings = variables(topology, _count(accounts, topology), public)
    project = _project(stack, reaper, layer(topology, served, counters, store_port, cores), settings)

    def serve(service: str, describe: Describe) -> None:
        """Take the containers of a service that was started for parts of the topology, and wait for each."""
        parts = [Container(project.engine, found, describe, logs) for found in project.containers(service)]
        for each in parts:
            stack.callback(each.keep_log)
            started.running.append(each)
            if quota := quota_of(each.component.kind, topology.every_option):
                each.give(quota)
        for each in parts:
            each.wait_ready()

    started.backing = Backing((), {})
    project.up("seed", *([served.service] if served else []))
    if served:
        serve(served.service, partial(_store, served, store_port))
        started.backing = _backing(served, store_port, project)
    project.wait_done("seed")
    project.up("--scale", f"replica={topology.replicas}", "replica")
    serve("replica", _replica)
    # the balancer last: a replica that is still starting would be marked down
    made = balancing(public, counters, partial(project.containers, "replica"), topology.replicas)
    started.put_before(made)
    project.up("balancer")
    serve("balancer", lambda _found: made.component)
    started.limit()


def _project(
    stack: contextlib.ExitStack, reaper: Reaper, laid: Mapping[str, Any], settings: Mapping[str, str]
) -> Project:
    """A project of its own; all of it is gone when `stack` has unwound, or, should that fail, the reaper has run."""
    folder = reaper.folder / f"topology-{secrets.token_hex(4)}"
    folder.mkdir()
    file = folder / "layer.json"
    file.write_text(json.dumps(laid))
    name = f"authscale-{secrets.token_hex(4)}"
    # marked, so that the reaper ends a Compose that still makes containers before it takes them away
    project = Project(engine.find(), name, file, {**settings, **reaper.environment})
    note = reaper.note_end(project.down())

    def end() -> None:
        project.end()
        note.unlink()
        shutil.rmtree(folder, ignore_errors=True)

    stack.callback(end)
    return project


def _backing(served: ServedStore, port: int, project: Project) -> Backing:
    counters = over_lives(partial(served.counters, port, served.secret(project)))
    return Backing((), {}, counters, lives={served.service: counters})


def _store(served: ServedStore, port: int, _found: dict[str, Any]) -> Component:
    probe = partial(served.answers, port)
    return Component(served.service, "store", (), port, probe, start_timeout_s=_START_S)


def _replica(found: dict[str, Any]) -> Component:
    """Its port on loopback is the engine's to choose, and another after each start."""
    port = int(found["NetworkSettings"]["Ports"][f"{REPLICA_PORT}/tcp"][0]["HostPort"])
    probe = partial(http_ok, LOOPBACK, port, "/healthz")
    return Component(f"replica-{number(found) - 1}", "replica", (), port, probe, start_timeout_s=_START_S)


def _count(accounts: Accounts, topology: Topology) -> int:
    """How many users the run has."""
    table = accounts.table(topology.every_option[HASH_COST.name])
    with contextlib.closing(sqlite3.connect(f"file:{table}?mode=ro", uri=True)) as database:
        (count,) = database.execute("SELECT count(*) FROM users").fetchone()
    return int(count)
