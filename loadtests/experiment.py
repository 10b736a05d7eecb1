"""An experiment as values: what is run, under which load, how often, in which order."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from loadtests.pacing import CLOSED, OPEN
from loadtests.precision import METRIC, Look, Precision
from loadtests.study import USUAL, Study
from loadtests.targets.reading import target_of
from loadtests.targets.spec import Target
from topology.spec import Topology

DUPLICATE_SUFFIX = ".aa"
CASE_MARK = "~"
# what one generator and servers on a few cores do at most, and the least time that a request takes there
_FASTEST_RPS, _FASTEST_S = 10_000.0, 0.0005
# a client waits for an answer for 10 s
_BETWEEN_ROUNDS_S = 10.0


@dataclass(frozen=True)
class Load:
    """When which requests are sent, by `users` on one connection each.

    Open: arrivals at `rate_rps`, shared out evenly over the users, from there to `ramp_to_rps` over the measured phase
    (0: constant) in `steps` (0: straight); what falls due while `max_in_flight` are being answered (0: no cap) is
    dropped.
    Closed: each user goes on when its last request is answered and a think time of mean `think_s` is over; no rate (0).

    A warm-up is one round of `warm_up_s`, and others until it is steady or `warm_up_max_s` is spent (0: not judged,
    which is how older runs were warmed up).

    It is sent by `workers` processes of this host and `remote_workers` of others, between which users are shared out;
    by one of this host without a master.
    """

    scenario: str
    rate_rps: float
    users: int
    warm_up_s: float
    duration_s: float
    model: str = OPEN
    arrivals: str = "poisson"
    client: str = "lean"
    max_in_flight: int = 0
    ramp_to_rps: float = 0.0
    steps: int = 0
    think_s: float = 0.0
    warm_up_max_s: float = 0.0
    workers: int = 1
    remote_workers: int = 0

    @property
    def every_worker(self) -> int:
        """Locust processes that send."""
        return self.workers + self.remote_workers

    @property
    def spread(self) -> bool:
        """Whether there is a master."""
        return self.every_worker > 1 or self.remote_workers > 0

    @property
    def most_warm_up_s(self) -> float:
        """Seconds that all rounds of warm-up may take, with what is still to be answered after each."""
        rounds = max(1.0, self.warm_up_max_s // self.warm_up_s) if self.warm_up_s else 1.0
        return rounds * (self.warm_up_s + _BETWEEN_ROUNDS_S)

    @property
    def most_requests(self) -> float:
        """Requests of a trial at the very most, sign-ins included; of a closed loop a guess that is seldom reached."""
        warm_up_s = max(self.warm_up_s, self.warm_up_max_s if self.warm_up_s else 0.0)
        if self.model == CLOSED:
            rate = min(_FASTEST_RPS, self.users / (self.think_s + _FASTEST_S))
            return rate * (warm_up_s + self.duration_s) + self.users
        mean_rps = (self.rate_rps + (self.ramp_to_rps or self.rate_rps)) / 2
        return self.rate_rps * warm_up_s + mean_rps * self.duration_s + self.users

    def as_dict(self) -> dict[str, Any]:
        """For run.json."""
        return asdict(self)


@dataclass(frozen=True)
class Cell:
    """One topology, or one target, under the experiment's load. A duplicate runs the same under another id (A/A)."""

    topology: Topology | Target
    duplicate_of: str | None = None
    copy: int = 1  # which of several duplicates
    case: str = ""  # of the experiment's study: what it does to this topology, where it does several things in turn

    @property
    def id(self) -> str:
        """As in the results."""
        number = self.copy if self.copy > 1 else ""
        case = f"{CASE_MARK}{self.case}" if self.case else ""
        return self.topology.id + case + (f"{DUPLICATE_SUFFIX}{number}" if self.duplicate_of else "")

    @property
    def ours(self) -> Topology:
        """The topology of a cell that has one, as every cell of a study has. Raises TypeError for a target."""
        if isinstance(self.topology, Target):
            raise TypeError(f"{self.id} is a target")
        return self.topology

    @property
    def scheme(self) -> str:
        """For pairing (`loadtests.pairs`), as are those below."""
        return self.topology.scheme

    @property
    def store(self) -> str:
        """`none` without any."""
        return self.topology.store

    @property
    def replicas(self) -> int:
        """How many."""
        return self.topology.replicas

    @property
    def policy(self) -> str:
        """The balancer's."""
        return self.topology.policy

    @property
    def threads(self) -> int:
        """Of each replica."""
        return self.topology.threads

    @property
    def options(self) -> Mapping[str, str]:
        """What differs from its default."""
        return self.topology.unusual

    @property
    def shared(self) -> bool:
        """Whether every replica accepts what another issued."""
        return self.topology.accepts_everywhere

    @property
    def is_target(self) -> bool:
        """Whether it is a service that others started."""
        return isinstance(self.topology, Target)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`."""
        copy = record["id"].rpartition(DUPLICATE_SUFFIX)[2] if record["duplicate_of"] else ""
        told = record["duplicate_of"], int(copy or 1), record.get("case", "")
        if "target" in record:
            return cls(target_of(record["target"]), *told)
        facts = {name: record[name] for name in ("scheme", "store", "replicas", "policy", "threads", "options")}
        return cls(Topology(**facts), *told)

    def as_dict(self) -> dict[str, Any]:
        """For run.json."""
        topology = self.topology
        return {
            "id": self.id,
            "scheme": topology.scheme,
            "store": topology.store,
            "replicas": topology.replicas,
            "policy": topology.policy,
            "threads": topology.threads,
            "balancer": topology.balancer,
            "options": topology.unusual,
            "shared": topology.accepts_everywhere,
            "lags": topology.lags,
            "duplicate_of": self.duplicate_of,
            "case": self.case,
            **({"target": dict(topology.document)} if isinstance(topology, Target) else {}),
        }


@dataclass(frozen=True)
class Experiment:
    """A resolved experiment: nothing left to default or to look up. `blocks` are run at least."""

    name: str
    title: str
    cells: tuple[Cell, ...]
    load: Load
    blocks: int
    seed: int
    settings: Mapping[str, Any]
    precision: Precision | None = None
    thresholds: tuple[str, ...] = ()
    """Demands on the figures, as `loadtests.thresholds` reads them; judged after the run."""
    study: Study = field(default_factory=Study)

    @property
    def most_blocks(self) -> int:
        """Blocks that are run at most: those asked for, but where it is a precision that is asked for."""
        return self.precision.max_blocks if self.precision else self.blocks

    @property
    def topologies(self) -> tuple[Topology, ...]:
        """Of every cell that has one."""
        return tuple(cell.topology for cell in self.cells if isinstance(cell.topology, Topology))

    @property
    def targets(self) -> tuple[Target, ...]:
        """Of every cell that is one, each once."""
        found = {cell.topology.id: cell.topology for cell in self.cells if isinstance(cell.topology, Target)}
        return tuple(found.values())

    @property
    def baseline(self) -> Cell | None:
        """The cell that is duplicated in every block, to measure the run's own noise; a study may have none."""
        duplicate = next((cell for cell in self.cells if cell.duplicate_of), None)
        return next((cell for cell in self.cells if duplicate and cell.id == duplicate.duplicate_of), None)

    def order(self, blocks: int | None = None) -> list[list[Cell]]:
        """Each block's cells, shuffled anew by the seed, so that drift of the machine falls on no cell alone.

        The order of a block does not depend on how many follow: a run can be prolonged.
        """
        chance = random.Random(self.seed)  # noqa: S311 - an order that can be repeated, not a secret
        made = [list(self.cells) for _ in range(self.blocks if blocks is None else blocks)]
        for block in made:
            chance.shuffle(block)
        return made

    def order_by_id(self, blocks: int) -> list[list[str]]:
        """The same for run.json."""
        return [[cell.id for cell in block] for block in self.order(blocks)]

    def prolonged(self, blocks: int, look: Look | None) -> dict[str, Any]:
        """What run.json says otherwise once it is known that there are `blocks`, of what `look` says of them."""
        changed: dict[str, Any] = {"blocks": blocks, "order": self.order_by_id(blocks)}
        if look and self.precision:
            changed["precision"] = {**(self._precision_as_dict() or {}), "blocks": blocks, **look.as_dict()}
        return changed

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`. Raises KeyError, TypeError or SpecError for what is not one."""
        made = cls(
            name=record["experiment"],
            title=record["title"],
            cells=tuple(Cell.from_dict(cell) for cell in record["cells"]),
            load=Load(**record["load"]),
            blocks=record["precision"]["least_blocks"] if record.get("precision") else record["blocks"],
            seed=record["seed"],
            settings=record["settings"],
            precision=Precision(record["precision"]["asked"], record["precision"]["max_blocks"])
            if record.get("precision")
            else None,
            thresholds=tuple(record.get("thresholds", ())),  # runs from before there were any
            study=Study.from_dict(record.get("study", {"kind": USUAL})),
        )
        if made.order_by_id(record["blocks"]) != record["order"]:
            raise ValueError("the order of its trials is not the one that this revision makes of its seed")
        return made

    def as_dict(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "experiment": self.name,
            "title": self.title,
            "seed": self.seed,
            "load": self.load.as_dict(),
            "blocks": self.blocks,
            "baseline": self.baseline.id if self.baseline else None,
            "cells": [cell.as_dict() for cell in self.cells],
            "order": self.order_by_id(self.blocks),
            "settings": dict(self.settings),
            "precision": self._precision_as_dict(),
            "thresholds": list(self.thresholds),
            "study": self.study.as_dict(),
            "study_loads": self.study.loads,
        }

    def _precision_as_dict(self) -> dict[str, Any] | None:
        asked = self.precision
        if asked is None:
            return None
        unknown = {"blocks": 0, "reached": False, "unresolved": []}
        limits = {"least_blocks": self.blocks, "max_blocks": asked.max_blocks}
        return {"asked": asked.asked, "metric": METRIC, **limits, **unknown}
