"""The faults: what each is, which topologies can have it, and the steps that make it. Nothing here does anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from servers import stores
from topology.backing import binary_names
from topology.spec import NO_STORE, SpecError, Topology, one_of

KILL, RESTART, STOP, FREEZE, THAW, CUT, HEAL = "kill", "restart", "stop", "freeze", "thaw", "cut", "heal"
"""Verbs of a step, each done to one component; `stop` is its own stop signal, and `restart` waits until it serves."""

_CLUSTER = "redis-cluster"


@dataclass(frozen=True)
class Step:
    """A verb on a component, `at_s` seconds after the measured phase began; at once after the step before if later."""

    at_s: float
    verb: str
    component: str


@dataclass(frozen=True)
class Fault:
    """One kind.

    Attributes:
        meaning: for people, one line.
        missing: what a topology lacks to have it; empty where it can.
        steps: of a topology whose replicas and store servers have these names, from `at_s` on, `for_s` long.

    """

    meaning: str
    missing: Callable[[Topology], str]
    steps: Callable[[Sequence[str], Sequence[str], float, float], tuple[Step, ...]]


def _another_replica(topology: Topology) -> str:
    return "" if topology.replicas > 1 else "it has one replica, and without it nobody answers for good"


def _nothing(_topology: Topology) -> str:
    return ""


def _server_of_store(topology: Topology) -> str:
    if topology.store == NO_STORE:
        return f"{topology.scheme} has no store"
    needs = stores.facts()[topology.store].needs
    if needs is None or not binary_names(needs):
        return f"the store {topology.store} has no server of its own: it goes where its replica goes"
    return ""


def _link_to_store(topology: Topology) -> str:
    if missing := _server_of_store(topology) or _another_replica(topology):
        return missing
    has_link = float(topology.option("store_rtt_ms") or 0) > 0
    return "" if has_link else "no link leads to its store that could be cut: STORE_RTT_MS=0.5 gives each replica one"


def _copies(topology: Topology) -> str:
    if topology.store != _CLUSTER:
        return f"only {_CLUSTER} has primaries, and this is {topology.store}"
    return (
        ""
        if topology.option("cluster_copies") == "1"
        else "its primaries have no copies: CLUSTER_COPIES=1 gives each one"
    )


def _kill_replica(replicas: Sequence[str], _stores: Sequence[str], at_s: float, _for_s: float) -> tuple[Step, ...]:
    return (Step(at_s, KILL, replicas[0]),)


def _restart_replica(replicas: Sequence[str], _stores: Sequence[str], at_s: float, for_s: float) -> tuple[Step, ...]:
    return Step(at_s, KILL, replicas[0]), Step(at_s + for_s, RESTART, replicas[0])


def _rolling(replicas: Sequence[str], _stores: Sequence[str], at_s: float, _for_s: float) -> tuple[Step, ...]:
    return tuple(Step(at_s, verb, replica) for replica in replicas for verb in (STOP, RESTART))


def _restart_store(_replicas: Sequence[str], servers: Sequence[str], at_s: float, for_s: float) -> tuple[Step, ...]:
    return Step(at_s, KILL, servers[0]), Step(at_s + for_s, RESTART, servers[0])


def _freeze_store(_replicas: Sequence[str], servers: Sequence[str], at_s: float, for_s: float) -> tuple[Step, ...]:
    return Step(at_s, FREEZE, servers[0]), Step(at_s + for_s, THAW, servers[0])


def _partition(replicas: Sequence[str], _stores: Sequence[str], at_s: float, for_s: float) -> tuple[Step, ...]:
    return Step(at_s, CUT, replicas[0]), Step(at_s + for_s, HEAL, replicas[0])


def _kill_primary(_replicas: Sequence[str], servers: Sequence[str], at_s: float, _for_s: float) -> tuple[Step, ...]:
    return (Step(at_s, KILL, servers[0]),)


FAULTS: Mapping[str, Fault] = {
    "kill-replica": Fault("one replica dies (KILL) and stays dead", _another_replica, _kill_replica),
    "restart-replica": Fault("one replica dies (KILL) and is started again", _nothing, _restart_replica),
    "rolling-restart": Fault(
        "every replica in turn is stopped (TERM) and started again, the next when it serves", _nothing, _rolling
    ),
    "restart-store": Fault("the store's server dies (KILL) and is started again", _server_of_store, _restart_store),
    "freeze-store": Fault("the store's server stands still (STOP, CONT)", _server_of_store, _freeze_store),
    "partition": Fault("one replica is cut from the store, and the link heals", _link_to_store, _partition),
    "kill-primary": Fault("a primary of the cluster dies (KILL), and a copy takes its place", _copies, _kill_primary),
}


@dataclass(frozen=True)
class Asked:
    """A fault that was asked for, of the topologies whose id fits a pattern."""

    fault: str
    topologies: str = "*"


ALL = "all"


def asked_for(text: str) -> tuple[Asked, ...]:
    """The faults of a setting: `all`, or names parted by commas, each for all cells or those of `name@pattern`.

    Raises SpecError for a name that is none, with the nearest, and for a list of none.
    """
    if text.strip() == ALL:
        return tuple(map(Asked, FAULTS))
    parts = [part.strip().partition("@") for part in text.split(",") if part.strip()]
    if not parts:
        raise SpecError(f"names no fault; there are: {ALL}, {', '.join(FAULTS)}")
    return tuple(Asked(one_of("fault", name.strip(), FAULTS), pattern.strip() or "*") for name, _, pattern in parts)


def cases_of(asked: Sequence[Asked], topology: Topology) -> tuple[str, ...]:
    """What of it this topology is put through, in the order of `FAULTS`."""
    wanted = {each.fault for each in asked if fnmatchcase(topology.id, each.topologies)}
    return tuple(name for name, fault in FAULTS.items() if name in wanted and not fault.missing(topology))


def refuse_the_impossible(text: str, topologies: Sequence[Topology]) -> None:
    """Raise SpecError for a fault that was named and that none of these topologies can have, with each reason.

    A pattern that fits none of them is passed over: it is an experiment's own, and the command line has other cells.
    """
    if text.strip() == ALL:
        return
    for each in asked_for(text):
        meant = [topology for topology in topologies if fnmatchcase(topology.id, each.topologies)]
        reasons = {FAULTS[each.fault].missing(topology): topology.id for topology in reversed(meant)}
        if reasons and all(reasons):
            told = "; ".join(f"{id_}: {reason}" for reason, id_ in reversed(reasons.items()))
            raise SpecError(f"fault {each.fault} is not possible on {told}")
