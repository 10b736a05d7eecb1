"""Valkey (or Redis), the shared store: no persistence, so that a trial measures the lookup and not a disk."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import partial

from topology import binaries
from topology.components.component import Component
from topology.ports import LOOPBACK
from topology.probes import resp_ping

# Connection set-up and administration; what is left is what the application asked for.
_ADMINISTRATION = {"hello", "client", "info", "config", "ping", "auth", "select", "command", "quit"}
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class StoreCounters:
    """The store's own counters. `commands` by lower-case name since it started; memory in octets."""

    commands: dict[str, int]
    memory_bytes: int
    keys: int


def valkey(name: str, port: int, folder: str) -> Component:
    """One Valkey process on loopback, in memory alone."""
    argv = (
        binaries.find("valkey").path,
        *("--bind", LOOPBACK, "--port", str(port)),
        *("--save", "", "--appendonly", "no"),
        *("--dir", folder),
        # a title is written over the environment, and the environment says whose process this is
        *("--set-proc-title", "no"),
        # a busy machine must not make the store fork, rewrite or evict in the middle of a trial
        *("--maxmemory-policy", "noeviction"),
    )
    return Component(name=name, kind="store", argv=argv, port=port, probe=partial(resp_ping, LOOPBACK, port))


def url(port: int) -> str:
    """What a replica's STORE_URL says."""
    return f"redis://{LOOPBACK}:{port}/0"


def counters(port: int) -> StoreCounters:
    """Read INFO once, over a connection of its own, by the plain protocol: no client library adds commands.

    Raises OSError when the store does not answer.
    """
    fields = dict(
        line.split(":", 1) for line in _info(port).decode().splitlines() if ":" in line and not line.startswith("#")
    )
    commands: dict[str, int] = {}
    for key, value in fields.items():
        command = key.removeprefix("cmdstat_").split("|")[0]
        if key.startswith("cmdstat_") and command not in _ADMINISTRATION:
            calls = int(dict(part.split("=") for part in value.split(","))["calls"])
            commands[command] = commands.get(command, 0) + calls
    keys = dict(part.split("=") for part in fields["db0"].split(",")).get("keys", "0") if "db0" in fields else "0"
    return StoreCounters(commands, int(fields["used_memory"]), int(keys))


def _info(port: int) -> bytes:
    with socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_S) as connection:
        connection.sendall(b"INFO all\r\n")
        reply = connection.makefile("rb")
        length = int(reply.readline()[1:])
        return reply.read(length)
