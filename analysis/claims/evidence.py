"""What claims are judged by: the summaries of one or several runs, and nothing else.

A summary is the document of summary.json, so that a run that was read back judges as it did when it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

Verdict = Literal["holds", "does not hold", "depends", "not measured"]


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; one that never varied, or is a count, has no width."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, figure: Mapping[str, Any] | None) -> Self | None:
        """Return the interval of a figure of a summary; None of one without value or interval."""
        if not figure or any(figure.get(name) is None for name in ("value", "low", "high")):
            return None
        return cls(float(figure["value"]), float(figure["low"]), float(figure["high"]))

    @classmethod
    def exactly(cls, value: float) -> Self:
        """Return a count."""
        return cls(value, value, value)

    def times(self, factor: float) -> Interval:
        """Return it in another unit."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def within(self, low: float, high: float) -> bool | None:
        """Whether it lies inside [low, high]: True, False, or None where it reaches over an edge."""
        if low <= self.low and self.high <= high:
            return True
        return None if self.high >= low and self.low <= high else False


@dataclass(frozen=True)
class CellSeen:
    """A cell of some run that was measured there: what it is, its metrics, and the run."""

    facts: Mapping[str, Any]
    run: str

    @property
    def id(self) -> str:
        """As in that run."""
        return str(self.facts["id"])

    @property
    def options(self) -> Mapping[str, str]:
        """What differs from its default."""
        options: Mapping[str, str] = self.facts["options"]
        return options

    def metric(self, name: str) -> Interval | None:
        """Return a metric; None where it does not apply."""
        return Interval.of(self.facts["metrics"].get(name))


@dataclass(frozen=True)
class Evidence:
    """The summaries of the runs, in order, and what a browser lab found (lab.json), if there was one."""

    summaries: Sequence[Mapping[str, Any]]
    lab: Mapping[str, Any] | None = None

    def cells(self, *, options: Mapping[str, str] | None = None, **facts: object) -> list[CellSeen]:
        """Return the measured cells with these facts (`scheme="session", replicas=1`), duplicates left out.

        `options`: those and no others; None: whatever they are.
        """
        return [
            CellSeen(cell, str(summary["run"]["id"]))
            for summary in self.summaries
            for cell in summary["cells"]
            if cell["measurable"]
            and cell["duplicate_of"] is None
            and all(cell[name] == value for name, value in facts.items())
            and (options is None or dict(cell["options"]) == dict(options))
        ]

    def sections(self, name: str) -> list[Mapping[str, Any]]:
        """Return the documents of a part of the report, of every run that has it."""
        return [summary["sections"][name] for summary in self.summaries if name in summary.get("sections", {})]

    def comparisons(self, metric: str, accept: Callable[[str, str], bool]) -> list[Mapping[str, Any]]:
        """Return the comparisons on a metric whose cell and baseline are accepted."""
        return [
            each
            for summary in self.summaries
            for each in summary["comparisons"]
            if each["metric"] == metric and accept(each["cell"], each["baseline"])
        ]


@dataclass(frozen=True)
class Judged:
    """What the evidence says of a claim.

    Attributes:
        verdict: by the claim's rule.
        value: the figure that the rule is about, in `unit`, with its interval; None where there is no single one.
        detail: the figures behind it, in a sentence or two; of `depends` what it depends on.
        cells: the cells that it rests on.

    """

    verdict: Verdict
    value: Interval | None
    unit: str
    detail: str
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """One common claim, and how it is judged.

    Attributes:
        id: as in summary.json.
        text: the claim, in our words.
        measured: what is measured for it.
        rule: when it holds, when not, and what it may depend on.
        command: what measures it.
        judge: None where the evidence lacks what the rule asks for.

    """

    id: str
    text: str
    measured: str
    rule: str
    command: str
    judge: Callable[[Evidence], Judged | None]


@dataclass(frozen=True)
class Ruling:
    """A claim with what was found."""

    claim: Claim
    judged: Judged

    def as_dict(self) -> dict[str, Any]:
        """For summary.json."""
        figure = self.judged.value
        return {
            "id": self.claim.id,
            "claim": self.claim.text,
            "verdict": self.judged.verdict,
            "value": figure.value if figure else None,
            "low": figure.low if figure else None,
            "high": figure.high if figure else None,
            "unit": self.judged.unit,
            "rule": self.claim.rule,
            "detail": self.judged.detail,
            "cells": list(self.judged.cells),
            "command": self.claim.command,
        }


def rule_all(outcomes: Iterable[bool | None]) -> Verdict:
    """Return the verdict on a claim about several things: all of them, none of them, or it depends.

    None stands for one whose interval reaches over the claim's bound.
    """
    seen = set(outcomes)
    if seen == {True}:
        return "holds"
    return "does not hold" if seen == {False} else "depends"
