"""Valkey (or Redis), the shared store: no persistence, so that a trial measures the lookup and not a disk."""

from __future__ import annotations

import socket
from functools import partial

from topology import binaries
from topology.backing import Backing, Ground, StoreCounters
from topology.components.component import Component
from topology.ports import LOOPBACK
from topology.probes import resp_ping

BINARIES = ("valkey",)

# Connection set-up and administration; what is left is what the application asked for.
_ADMINISTRATION = {"hello", "client", "info", "config", "ping", "auth", "select", "command", "quit"}
_TIMEOUT_S = 5.0
_ASK = b"INFO all\r\n"


def backing(ground: Ground) -> Backing:
    """One server for all replicas."""
    port = next(ground.ports)
    return Backing(
        (valkey("valkey", port, str(ground.folder)),),
        dict.fromkeys(ground.replicas, f"redis://{LOOPBACK}:{port}/0"),
        Counters(port),
    )


def valkey(name: str, port: int, folder: str, *arguments: str) -> Component:
    """One Valkey process on loopback, in memory alone; `arguments` are further ones of its own."""
    argv = (
        binaries.find("valkey").path,
        *("--bind", LOOPBACK, "--port", str(port)),
        *("--save", "", "--appendonly", "no"),
        *("--dir", folder),
        # a title is written over the environment, and the environment says whose process this is
        *("--set-proc-title", "no"),
        # a busy machine must not make the store fork, rewrite or evict in the middle of a trial
        *("--maxmemory-policy", "noeviction"),
        *arguments,
    )
    return Component(name=name, kind="store", argv=argv, port=port, probe=partial(resp_ping, LOOPBACK, port))


class Counters:
    """Reads INFO over a connection of its own, by the plain protocol: no client library adds commands.

    Each reading's own octets are known, and are taken off what the server counts.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._asked_bytes = self._answered_bytes = 0

    def __call__(self) -> StoreCounters:
        """Read once. Raises OSError when the store does not answer."""
        answer = self._info()
        self._asked_bytes += len(_ASK)  # the server has counted the question, and not yet the answer
        read = _counters(answer[answer.index(b"\r\n") + 2 :].decode(), self._asked_bytes, self._answered_bytes)
        self._answered_bytes += len(answer)
        return read

    def _info(self) -> bytes:
        with socket.create_connection((LOOPBACK, self._port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(_ASK)
            reply = connection.makefile("rb")
            head = reply.readline()
            return head + reply.read(int(head[1:]) + 2)


def _counters(info: str, asked_bytes: int, answered_bytes: int) -> StoreCounters:
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line and not line.startswith("#"))
    commands: dict[str, int] = {}
    for key, value in fields.items():
        command = key.removeprefix("cmdstat_").split("|")[0]
        if key.startswith("cmdstat_") and command not in _ADMINISTRATION:
            calls = int(dict(part.split("=") for part in value.split(","))["calls"])
            commands[command] = commands.get(command, 0) + calls
    keys = dict(part.split("=") for part in fields["db0"].split(",")).get("keys", "0") if "db0" in fields else "0"
    return StoreCounters(
        commands,
        int(fields["used_memory"]),
        int(keys),
        int(fields["total_net_input_bytes"]) - asked_bytes,
        int(fields["total_net_output_bytes"]) - answered_bytes,
    )
