"""An experiment as values: what is run, under which load, how often, in which order."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from topology.spec import Topology

DUPLICATE_SUFFIX = ".aa"


@dataclass(frozen=True)
class Load:
    """An open load: arrivals at `rate_rps`, shared out evenly over `users`, each on one connection."""

    scenario: str
    rate_rps: float
    users: int
    warm_up_s: float
    duration_s: float
    model: str = "open"
    arrivals: str = "poisson"

    def as_dict(self) -> dict[str, Any]:
        """For run.json."""
        return asdict(self)


@dataclass(frozen=True)
class Cell:
    """One topology under the experiment's load. A duplicate runs the same topology under another id (A/A)."""

    topology: Topology
    duplicate_of: str | None = None
    copy: int = 1  # which of several duplicates

    @property
    def id(self) -> str:
        """As in the results."""
        number = self.copy if self.copy > 1 else ""
        return self.topology.id + (f"{DUPLICATE_SUFFIX}{number}" if self.duplicate_of else "")

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`."""
        facts = {name: record[name] for name in ("scheme", "store", "replicas", "policy", "threads", "options")}
        copy = record["id"].rpartition(DUPLICATE_SUFFIX)[2] if record["duplicate_of"] else ""
        return cls(Topology(**facts), record["duplicate_of"], int(copy or 1))

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
