"""Valkey (or Redis), the shared store: no persistence, so that a trial measures the lookup and not a disk.

The option `persistence` writes every change to a log, from which the server has its state again when it starts again.
"""

from __future__ import annotations

from functools import partial

from topology import binaries, resp
from topology.backing import Backing, Ground, StoreCounters, over_lives
from topology.components.component import Component
from topology.ports import LOOPBACK
from topology.probes import resp_ping

BINARIES = ("valkey",)

# Connection set-up and administration; what is left is what the application asked for.
_ADMINISTRATION = {"hello", "client", "info", "config", "ping", "auth", "select", "command", "quit"}
# The same of a cluster and of replication: forming it, reading its map, keeping a copy's link.
_ADMINISTRATION |= {"cluster", "replconf", "psync", "sync"}
# When the log of changes reaches the disk. It is written to the system with each change, whichever it is.
_FSYNC = {"aof": "everysec", "aof-always": "always"}
_PRIMARY_LINK, _COPY_LINK = "M", "S"  # in the flags of CLIENT LIST


def backing(ground: Ground) -> Backing:
    """One server for all replicas."""
    port = next(ground.ports)
    counters = over_lives(partial(Counters, port))
    return Backing(
        (valkey("valkey", port, str(ground.folder), *_persistence(ground.options.get("persistence", "off"))),),
        dict.fromkeys(ground.replicas, f"redis://{LOOPBACK}:{port}/0"),
        counters,
        lives={"valkey": counters},
        far_ports=(port,),
    )


def _persistence(kind: str) -> tuple[str, ...]:
    if kind == "off":
        return ()
    # a log that is never rewritten: that would be a fork in the middle of a trial
    return "--appendonly", "yes", "--appendfsync", _FSYNC[kind], "--auto-aof-rewrite-percentage", "0"


def valkey(name: str, port: int, folder: str, *arguments: str) -> Component:
    """One Valkey process on loopback, in memory alone but for what `arguments` say, which are further ones."""
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
    """Reads INFO over a connection of its own.

    Each reading's own octets are known, and are taken off what the server counts; so are those of replication.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._asked_bytes = self._answered_bytes = 0

    def __call__(self) -> StoreCounters:
        """Read once. Raises OSError when the store does not answer."""
        (info, clients), asked_bytes, answered_bytes = self._exchange("INFO all", "CLIENT LIST")
        self._asked_bytes += asked_bytes  # the server has counted the question, and not yet the answer
        found = resp.fields(info)
        read = StoreCounters(
            _commands(found),
            int(found["used_memory"]),
            _keys(found),
            _octets(found, clients, "input", "in", _COPY_LINK) - self._asked_bytes,
            _octets(found, clients, "output", "out", _PRIMARY_LINK) - self._answered_bytes,
        )
        self._answered_bytes += answered_bytes
        return read

    def replication(self) -> dict[str, str]:
        """The fields of INFO's part on replication; these octets do not show in a reading either."""
        (info,), asked_bytes, answered_bytes = self._exchange("INFO replication")
        self._asked_bytes += asked_bytes
        self._answered_bytes += answered_bytes
        return resp.fields(info)

    def _exchange(self, *commands: str) -> tuple[list[str], int, int]:
        return resp.exchange(self._port, *commands)


def _commands(found: dict[str, str]) -> dict[str, int]:
    commands: dict[str, int] = {}
    for key, value in found.items():
        command = key.removeprefix("cmdstat_").split("|")[0]
        if key.startswith("cmdstat_") and command not in _ADMINISTRATION:
            commands[command] = commands.get(command, 0) + int(_pairs(value, ",")["calls"])
    return commands


def _keys(found: dict[str, str]) -> int:
    return int(_pairs(found["db0"], ",")["keys"]) if "db0" in found else 0


def _octets(found: dict[str, str], clients: str, direction: str, short: str, link: str) -> int:
    """What clients sent or were sent.

    The server's total has the stream of writes to the copies in it, which it also tells apart, and what the copies
    acknowledge every second, which only the list of clients tells.
    """
    links = [_pairs(line, " ") for line in clients.splitlines()]
    acknowledged = sum(int(each.get(f"tot-net-{short}", 0)) for each in links if link in each["flags"])
    return (
        int(found[f"total_net_{direction}_bytes"])
        - int(found.get(f"total_net_repl_{direction}_bytes", 0))
        - acknowledged
    )


def _pairs(text: str, separator: str) -> dict[str, str]:
    return {name: value for name, _, value in (pair.partition("=") for pair in text.split(separator))}
