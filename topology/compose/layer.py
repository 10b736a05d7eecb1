"""What a topology lays over docker-compose.yml: ports on loopback, a replica's settings, no checks meanwhile.

The file that Compose reads is JSON, which is YAML.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from topology.components.replica import replica
from topology.compose.stores import ServedStore
from topology.ports import LOOPBACK
from topology.spec import HASH_COST, NO_STORE, Topology

REPLICA_PORT = 8000
COUNTERS_PORT = 8404
"""Of HAProxy's counters (deploy/kubernetes/haproxy.cfg)."""
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside a container of its own
# Docker's own checks are processes that take CPU time while others are timed: the launcher's probes stand for them
# (docker-compose 1.29 cannot take a check away in a layer; none comes before the first interval is over. A start period
# of nothing would be the image's own, in which newer engines check every 5 s.)
_NO_CHECK = {"interval": "24h", "start_period": "1ms"}


def layer(
    topology: Topology, served: ServedStore | None, counters_port: int, store_port: int, cores: frozenset[int]
) -> dict[str, Any]:
    """The document; `cores` (none: all) are those that serve."""
    pinned = {"cpuset": ",".join(map(str, sorted(cores)))} if cores else {}
    services: dict[str, Any] = {
        "replica": {
            **pinned,
            "command": command(topology.threads),
            "environment": _settings(topology),
            "healthcheck": _NO_CHECK,
            "ports": [f"{LOOPBACK}::{REPLICA_PORT}"],
        },
        "balancer": {**pinned, "ports": [f"{LOOPBACK}:{counters_port}:{COUNTERS_PORT}"]},
    }
    if served:
        services[served.service] = {
            **pinned, "healthcheck": _NO_CHECK, "ports": [f"{LOOPBACK}:{store_port}:{served.port}"]
        }  # fmt: skip
    # a network that is cut off from this machine has no ports on it
    return {"services": services, "networks": {"back": {"internal": False}}}


def variables(topology: Topology, accounts: int, public_port: int) -> dict[str, str]:
    """The environment in which Compose reads the files."""
    return {
        "PORT": str(public_port),
        "BIND": LOOPBACK,
        "AUTH_SCHEME": topology.scheme,
        "STORE": "memory" if topology.store == NO_STORE else topology.store,  # never asked
        "TOKEN_ALGORITHM": topology.option("algorithm") or "HS256",
        "ACCOUNTS": str(accounts),
        "HASH_COST": topology.every_option[HASH_COST.name],
        "BALANCER_POLICY": topology.policy,
        "BALANCER_RETRIES": "0",  # a connection that a replica refuses is a failed request, not a slow one
        # quotas are given when all serve
        "REPLICA_CPUS": "0", "STORE_CPUS": "0", "BALANCER_CPUS": "0",
    }  # fmt: skip


def command(threads: int) -> list[str]:
    """The argv of a local replica, on every address of the container."""
    in_container = {sys.executable: "python", LOOPBACK: _EVERYWHERE}
    local = replica("replica", REPLICA_PORT, threads=threads, settings={})
    return [in_container.get(word, word) for word in local.argv]


def _settings(topology: Topology) -> Mapping[str, str]:
    return {**topology.scheme_settings, **topology.life_settings, **topology.settings}
