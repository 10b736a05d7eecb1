"""memcached, the shared cache: all in memory, and what does not fit pushes out what was used least."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import partial

from topology import binaries
from topology.backing import Backing, Ground, StoreCounters, over_lives
from topology.components.component import Component
from topology.ports import LOOPBACK

BINARIES = ("memcached",)

_MEMORY_MB = 1024
_TIMEOUT_S = 5.0
_ASK = b"stats\r\n"
_END = b"END\r\n"
# Every thread of a replica has a connection; 64 threads is the most a replica has.
_CONNECTIONS_PER_REPLICA, _FEWEST_CONNECTIONS = 64, 1024


def backing(ground: Ground) -> Backing:
    """One server for all replicas."""
    port = next(ground.ports)
    connections = max(_FEWEST_CONNECTIONS, _CONNECTIONS_PER_REPLICA * len(ground.replicas) + 10)
    counters = over_lives(partial(Counters, port))
    return Backing(
        (memcached("memcached", port, connections),),
        dict.fromkeys(ground.replicas, f"memcached://{LOOPBACK}:{port}"),
        counters,
        lives={"memcached": counters},
        far_ports=(port,),
    )


def memcached(name: str, port: int, connections: int) -> Component:
    """One memcached process on loopback."""
    argv = (
        binaries.find("memcached").path,
        *("-l", LOOPBACK, "-p", str(port), "-U", "0"),
        # far more than a trial fills: eviction is what the store withstands, not what is measured
        *("-m", str(_MEMORY_MB), "-c", str(connections)),
        # root is refused unless it is told whom to become
        *(("-u", "nobody") if os.geteuid() == 0 else ()),
    )
    return Component(name=name, kind="store", argv=argv, port=port, probe=partial(answers, port))


class Counters:
    """Reads `stats` over a connection of its own.

    Each reading's own octets are known, and are taken off what the server counts.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._asked_bytes = self._answered_bytes = 0

    def __call__(self) -> StoreCounters:
        """Read once. Raises OSError when the store does not answer."""
        answer = _ask(self._port, _ASK, _END)
        self._asked_bytes += len(_ASK)  # the server has counted the question, and not yet the answer
        stats = dict(line.split(" ", 2)[1:] for line in answer.decode().splitlines() if line.startswith("STAT "))
        read = StoreCounters(
            _commands(stats),
            int(stats["bytes"]),
            int(stats["curr_items"]),
            int(stats["bytes_read"]) - self._asked_bytes,
            int(stats["bytes_written"]) - self._answered_bytes,
        )
        self._answered_bytes += len(answer)
        return read


def _commands(stats: Mapping[str, str]) -> dict[str, int]:
    """By what was asked: a get of two keys is two, gat is counted as touch by the server, cas as set and as cas."""
    cas = sum(int(stats[name]) for name in ("cas_hits", "cas_misses", "cas_badval"))
    counted = {
        "get": int(stats["cmd_get"]),
        "gat": int(stats["cmd_touch"]),
        "set": int(stats["cmd_set"]) - cas,
        "cas": cas,
        "delete": int(stats["delete_hits"]) + int(stats["delete_misses"]),
    }
    return {name: number for name, number in counted.items() if number}


def answers(port: int) -> bool:
    """Whether the server at this port serves. Raises OSError."""
    return _ask(port, b"version\r\n", b"\r\n").startswith(b"VERSION ")


def _ask(port: int, question: bytes, end: bytes) -> bytes:
    with socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_S) as connection:
        connection.sendall(question)
        answer = b""
        while not answer.endswith(end):
            part = connection.recv(65536)
            if not part:
                raise ConnectionError("memcached closed the connection before the end of its answer")
            answer += part
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)  # closed by the server, which has by then counted its answer
        return answer
