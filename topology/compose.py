"""The compose launcher: a topology as containers of docker-compose.yml, of which loopback alone reaches a port.

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
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from servers import schemes
from topology import compose_layer, engine
from topology.backing import Backing, over_lives
from topology.balancer import STICKY, Beside
from topology.components.component import Component
from topology.components.link import RTT
from topology.compose_balancer import balancing
from topology.compose_stores import STORES, ServedStore
from topology.container import Container
from topology.engine import Project, number
from topology.local import Accounts
from topology.ports import LOOPBACK, free_ports
from topology.probes import http_ok
from topology.quota import quota_of
from topology.reaper import Reaper
from topology.running_topology import RunningTopology
from topology.spec import HASH_COST, NO_STORE, SpecError, Topology

_START_S = 60.0


def refuse(topology: Topology) -> None:
    """Raise SpecError for what the compose file has no containers for."""
    for what, so in (
        (f"scheme {topology.scheme}", schemes.facts()[topology.scheme].package is not None),
        (f"store {topology.store}", topology.store not in (*STORES, "memory", NO_STORE)),
        (f"balancer {topology.balancer}", topology.balancer != "haproxy"),
        (f"policy {topology.policy}", topology.policy == STICKY),
        ("TLS", topology.tls),
        (RTT.name, topology.every_option.get(RTT.name, "0") != "0"),
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
        folder = reaper.folder / f"topology-{secrets.token_hex(4)}"
        folder.mkdir()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        started = RunningTopology(topology)
        _start_all(started, stack, accounts, logs, reaper, folder, cores)
        yield started


def _start_all(
    started: RunningTopology,
    stack: contextlib.ExitStack,
    accounts: Accounts,
    logs: Path,
    reaper: Reaper,
    folder: Path,
    cores: frozenset[int],
) -> None:
    topology, served = started.topology, STORES.get(started.topology.store)
    public, counters, store_port = free_ports(3)
    layer = folder / "layer.json"
    layer.write_text(json.dumps(compose_layer.layer(topology, served, counters, store_port, cores)))
    name = f"authscale-{secrets.token_hex(4)}"
    project = Project(engine.find(), name, layer, compose_layer.variables(topology, _count(accounts, topology), public))
    note = reaper.note_end(project.down())
    stack.callback(note.unlink, missing_ok=True)
    stack.callback(project.end)

    def start(found: dict[str, Any], component: partial[Component]) -> Container:
        each = Container(project.engine, found, component, logs)
        stack.callback(each.keep_log)
        started.running.append(each)
        quota = quota_of(each.component.kind, topology.every_option)
        if quota:
            each.give(quota)
        return each

    started.backing = Backing((), {})
    if served is None:
        project.up("seed")
    else:
        project.up("seed", served.service)
        start(project.containers(served.service)[0], partial(_store, served, store_port)).wait_ready()
        started.backing = _prepared(project, served, store_port)
    project.wait_done("seed")
    project.up("--scale", f"replica={topology.replicas}", "replica")
    replicas = project.containers("replica")
    for each in [start(found, partial(_replica)) for found in replicas]:
        each.wait_ready()
    project.up("balancer")
    made = balancing(public, counters, partial(project.containers, "replica"), topology.replicas)
    started.put_before(made)
    start(project.containers("balancer")[0], partial(_same, made.component)).wait_ready()
    for part in started.running:
        if part.group:
            part.group.limit()  # not before: starting is not what is measured


def _prepared(project: Project, served: ServedStore, port: int) -> Backing:
    for service in served.prepared_by:
        project.up(service)
        project.wait_done(service)
    counters = over_lives(partial(served.counters, port, served.secret(project)))
    return Backing((), {}, counters, lives={served.service: counters})


def _store(served: ServedStore, port: int, _found: dict[str, Any]) -> Component:
    probe = partial(served.answers, port)
    return Component(served.service, "store", (), port, probe, start_timeout_s=_START_S)


def _replica(found: dict[str, Any]) -> Component:
    """Its port on loopback is the engine's to choose, and another after each start."""
    port = int(found["NetworkSettings"]["Ports"][f"{compose_layer.REPLICA_PORT}/tcp"][0]["HostPort"])
    probe = partial(http_ok, LOOPBACK, port, "/healthz")
    return Component(f"replica-{number(found) - 1}", "replica", (), port, probe, start_timeout_s=_START_S)


def _same(component: Component, _found: dict[str, Any]) -> Component:
    return component


def _count(accounts: Accounts, topology: Topology) -> int:
    """How many users the run has."""
    table = accounts.table(topology.every_option[HASH_COST.name])
    with contextlib.closing(sqlite3.connect(f"file:{table}?mode=ro", uri=True)) as database:
        (count,) = database.execute("SELECT count(*) FROM users").fetchone()
    return int(count)
