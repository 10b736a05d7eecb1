"""A Valkey primary, and a copy of it for each replica of the application, all on loopback."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

from topology.backing import Backing, Ground, StoreCounters, over_lives, together
from topology.components.valkey import Counters, valkey
from topology.lives import Lives
from topology.ports import LOOPBACK
from topology.process import ComponentError

BINARIES = ("valkey",)

_PRIMARY = "valkey-primary"
_LINKING_S = 30.0
_CATCHING_UP_S = 5.0
_POLL_S = 0.005


def backing(ground: Ground) -> Backing:
    """One primary, to which all replicas write, and one copy each, from which it reads."""
    primary_port = next(ground.ports)
    ports = {f"valkey-{replica}": next(ground.ports) for replica in ground.replicas}
    primary = valkey(
        _PRIMARY,
        primary_port,
        str(ground.folder),
        # a copy gets its first state at once and without a file
        *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"),
        *("--repl-ping-replica-period", "10"),
    )
    copies = [
        valkey(name, port, str(ground.folder), "--replicaof", f"{LOOPBACK} {primary_port}")
        for name, port in ports.items()
    ]
    counters = {name: over_lives(partial(Counters, port)) for name, port in {_PRIMARY: primary_port, **ports}.items()}
    urls = {
        replica: f"replicated://{LOOPBACK}:{primary_port}?replica={LOOPBACK}:{port}"
        for replica, port in zip(ground.replicas, ports.values(), strict=True)
    }
    return Backing(
        (primary, *copies),
        urls,
        lambda: _read(counters),
        prepare=lambda: _wait_until_linked(counters, tuple(ports)),
        lives=counters,
        far_ports=(primary_port,),  # the copy is on the replica's own machine
    )


_Nodes = Mapping[str, Lives[Counters, StoreCounters]]


def _read(counters: _Nodes) -> StoreCounters:
    """Every node's counters, once the copies have done what the primary has; administration left out.

    What a copy does by replication is counted as a command of the copy. The same keys count at every node.
    Raises OSError when a node does not answer, or lags for seconds.
    """
    silent = counters[_PRIMARY].held  # then what the copies have is all that there is
    offset = 0 if silent else int(counters[_PRIMARY].reader.replication()["master_repl_offset"])
    deadline = time.monotonic() + _CATCHING_UP_S
    for name, each in counters.items():
        while name != _PRIMARY and not each.held and _lags(each.reader, offset):
            if time.monotonic() > deadline:
                raise OSError(f"{name} lags behind {_PRIMARY} for more than {_CATCHING_UP_S:.0f} s")
            time.sleep(_POLL_S)
    return together({name: each() for name, each in counters.items()})


def _lags(copy: Counters, offset: int) -> bool:
    return int(copy.replication()["slave_repl_offset"]) < offset


def _wait_until_linked(counters: _Nodes, copies: Sequence[str]) -> None:
    """Return once each copy has the primary's first state, and the primary counts it in.

    Raises ComponentError when that does not come about in time.
    """
    deadline = time.monotonic() + _LINKING_S
    while not _linked(counters, copies):
        if time.monotonic() > deadline:
            raise ComponentError(f"the copies ({', '.join(copies)}) were not in sync within {_LINKING_S:.0f} s")
        time.sleep(_POLL_S)


def _linked(counters: _Nodes, copies: Sequence[str]) -> bool:
    found = [counters[name].reader.replication() for name in copies]
    online = [value for key, value in counters[_PRIMARY].reader.replication().items() if key.startswith("slave")]
    return all(each["master_link_status"] == "up" for each in found) and (
        sum("state=online" in each for each in online) == len(copies)
    )
