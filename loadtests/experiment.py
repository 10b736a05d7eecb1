"""An experiment as values: what is run, under which load, how often, in which order."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from loadtests.pacing import CLOSED, OPEN
from topology.spec import Topology

DUPLICATE_SUFFIX = ".aa"
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
    """

    scenario: str
    rate_rps: float
    users: int
    warm_up_s: float
    duration_s: float
    model: str = OPEN
    arrivals: str = "poisson"
    max_in_flight: int = 0
    ramp_to_rps: float = 0.0
    steps: int = 0
    think_s: float = 0.0
    warm_up_max_s: float = 0.0

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
    """One topology under the experiment's load. A duplicate runs the same topology under another id (A/A)."""

    topology: Topology
    duplicate_of: str | None = None

    @property
    def id(self) -> str:
        """As in the results."""
        return self.topology.id + (DUPLICATE_SUFFIX if self.duplicate_of else "")

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`."""
        facts = {name: record[name] for name in ("scheme", "store", "replicas", "policy", "threads", "options")}
        return cls(Topology(**facts), record["duplicate_of"])

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
            "options": topology.unusual,
            "shared": topology.accepts_everywhere,
            "lags": topology.lags,
            "duplicate_of": self.duplicate_of,
        }


@dataclass(frozen=True)
class Experiment:
    """A resolved experiment: nothing left to default or to look up."""

    name: str
    title: str
    cells: tuple[Cell, ...]
    load: Load
    blocks: int
    seed: int
    settings: Mapping[str, Any]

    @property
    def baseline(self) -> Cell:
        """The cell that is duplicated in every block, to measure the run's own noise."""
        duplicate = next(cell for cell in self.cells if cell.duplicate_of)
        return next(cell for cell in self.cells if cell.id == duplicate.duplicate_of)

    def order(self) -> list[list[Cell]]:
        """Each block's cells, shuffled anew by the seed, so that drift of the machine falls on no cell alone."""
        chance = random.Random(self.seed)  # noqa: S311 - an order that can be repeated, not a secret
        blocks = [list(self.cells) for _ in range(self.blocks)]
        for block in blocks:
            chance.shuffle(block)
        return blocks

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`. Raises KeyError, TypeError or SpecError for what is not one."""
        made = cls(
            name=record["experiment"],
            title=record["title"],
            cells=tuple(Cell.from_dict(cell) for cell in record["cells"]),
            load=Load(**record["load"]),
            blocks=record["blocks"],
            seed=record["seed"],
            settings=record["settings"],
        )
        if made.as_dict()["order"] != record["order"]:
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
            "baseline": self.baseline.id,
            "cells": [cell.as_dict() for cell in self.cells],
            "order": [[cell.id for cell in block] for block in self.order()],
            "settings": dict(self.settings),
        }
