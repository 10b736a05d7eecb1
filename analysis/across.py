"""Two runs against each other: the same cells, B over A.

Blocks of two runs are not paired, so the interval is Welch's over block values. That scatter does not hold what changed
on the machine between the runs; therefore a cell is also taken relative to the control cell of its own run, block by
block, and those ratios are compared: a difference in differences, in which the machine's drift cancels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from analysis.compare import ALPHA, COMPARED, Comparison, Verdict, holm, noise_floor, verdict
from analysis.estimates import CellResult
from analysis.load import Cell
from analysis.welch import Difference, difference
from loadtests.pairs import where

EXACT = (
    "request_bytes",
    "response_bytes",
    "credential_bytes",
    "store_commands_per_request",
    "store_bytes_in_per_request",
    "store_bytes_out_per_request",
    "refused_ratio",
)
"""What is counted and not timed; compared whatever the machine."""


@dataclass(frozen=True)
class Ratio:
    """B over A with its 95 % interval, and the p of Welch's test that it is 1."""

    ratio: float
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True)
class Timed:
    """One time of one cell in both runs: the plain ratio, the one relative to control, and what may be said."""

    metric: str
    cell: str
    a: float
    b: float
    blocks: tuple[int, int]
    plain: Ratio
    control: str | None
    """The cell that guards: control of the same replicas, policy, balancer and TLS in both runs; None for control."""
    guarded: Ratio | None
    p_holm: float | None = None
    verdict: Verdict = "inconclusive"

    @property
    def quoted(self) -> Ratio:
        """The ratio that the verdict is about: the guarded one where there is a control."""
        return self.guarded or self.plain


@dataclass(frozen=True)
class Counted:
    """One counted figure of one cell in both runs; the interval is of B - A, None where a run has one block."""

    metric: str
    cell: str
    a: float
    b: float
    low: float | None
    high: float | None
    exact: bool
    """Whether the figure never varied within either run, so that any difference is a difference."""
    verdict: Literal["equal", "changed", "inconclusive"]


@dataclass(frozen=True)
class Matched:
    """A cell that both runs have, and its results in each."""

    a: CellResult
    b: CellResult

    @property
    def cell(self) -> Cell:
        """The cell, as run B has it."""
        return self.b.cell

    @property
    def refused(self) -> bool:
        """Whether either run refused signed-in users: a refusal is cheaper than an answer, so no time compares."""
        return any(each.valid_blocks and each.refused for each in (self.a, self.b))


def control_of(pair: Matched, pairs: Iterable[Matched]) -> Matched | None:
    """Return the control cell that ran beside this one in both runs; None for control itself, or without one."""
    if pair.cell.scheme == "control":
        return None
    return next((each for each in pairs if each.cell.scheme == "control" and _place(each) == _place(pair)), None)


def _place(pair: Matched) -> tuple[object, ...]:
    return *where(pair.cell), pair.cell.options.get("tls"), pair.cell.balancer


def timed(pairs: Sequence[Matched], floors: Sequence[Mapping[str, Comparison]]) -> tuple[Timed, ...]:
    """Return every time of every matched cell with its verdict; p values corrected by Holm for each metric.

    `floors` are the noise floors (A/A) of the two runs: a difference that does not reach beyond either is unstable.
    """
    usable = [each for each in pairs if not each.refused]
    judged: list[Timed] = []
    for metric in COMPARED:
        found = [each for each in (_timed(metric, pair, control_of(pair, usable)) for pair in usable) if each]
        tested = [each.quoted.p for each in found if each.quoted.p is not None]
        corrected = iter(holm(tested))
        for each in found:
            held = replace(each, p_holm=None if each.quoted.p is None else next(corrected))
            judged.append(replace(held, verdict=_verdict(held, [floor.get(metric) for floor in floors])))
    return tuple(judged)


def _timed(metric: str, pair: Matched, control: Matched | None) -> Timed | None:
    a, b = _logs(pair.a, metric), _logs(pair.b, metric)
    if not a or not b:
        return None
    guarded = None
    if control:
        over = [_over(_logs(own, metric), _logs(floor, metric)) for own, floor in _sides(pair, control)]
        guarded = _ratio(difference(*over)) if all(over) else None
    return Timed(
        metric=metric,
        cell=pair.cell.id,
        a=_geometric_mean(a),
        b=_geometric_mean(b),
        blocks=(len(a), len(b)),
        plain=_ratio(difference(list(a.values()), list(b.values()))),
        control=control.cell.id if control and guarded else None,
        guarded=guarded,
    )


def _sides(pair: Matched, control: Matched) -> tuple[tuple[CellResult, CellResult], tuple[CellResult, CellResult]]:
    return (pair.a, control.a), (pair.b, control.b)


def _logs(result: CellResult, metric: str) -> dict[int, float]:
    return {block: math.log(value) for block, value in result.by_block(metric).items() if value > 0}


def _over(own: Mapping[int, float], floor: Mapping[int, float]) -> list[float]:
    """Return log(cell / control) of every block that has both."""
    return [own[block] - floor[block] for block in sorted(own.keys() & floor.keys())]


def _geometric_mean(logs: Mapping[int, float]) -> float:
    return math.exp(sum(logs.values()) / len(logs))


def _ratio(found: Difference) -> Ratio:
    low, high = (None if end is None else math.exp(end) for end in (found.low, found.high))
    return Ratio(math.exp(found.mean), low, high, found.p)


def _verdict(found: Timed, floors: Sequence[Comparison | None]) -> Verdict:
    """Return the verdict by the rules of `analysis.compare.verdict`; unstable if either run's A/A makes it so."""
    told = found.quoted
    comparison = Comparison(
        metric=found.metric,
        cell=found.cell,
        baseline=found.cell,
        ratio=told.ratio,
        low=told.low,
        high=told.high,
        p=told.p,
        p_holm=found.p_holm,
        verdict="inconclusive",
        blocks=min(found.blocks),
    )
    said = [verdict(comparison, floor) for floor in floors] or [verdict(comparison, None)]
    return "unstable" if "unstable" in said else said[0]


def counted(pairs: Sequence[Matched]) -> tuple[Counted, ...]:
    """Return every counted figure of every matched cell. What varies within a run is tested, with Holm's correction."""
    made: list[Counted] = []
    for metric in EXACT:
        found = [(pair, *_values(pair, metric)) for pair in pairs]
        tried = [(pair, a, b, difference(a, b)) for pair, a, b in found if a and b]
        tested = [each for each in tried if each[3].p is not None and not _constant(each[1], each[2])]
        chances = dict(
            zip((each[0].cell.id for each in tested), holm([each[3].p or 0 for each in tested]), strict=True)
        )
        made += [_counted(metric, *each, chances.get(each[0].cell.id)) for each in tried]
    return tuple(made)


def _values(pair: Matched, metric: str) -> tuple[list[float], list[float]]:
    if metric.startswith("store_") and (pair.a.in_process or pair.b.in_process):
        return [], []
    return list(pair.a.by_block(metric).values()), list(pair.b.by_block(metric).values())


def _constant(a: Sequence[float], b: Sequence[float]) -> bool:
    return min(a) == max(a) and min(b) == max(b)


def _counted(
    metric: str, pair: Matched, a: Sequence[float], b: Sequence[float], found: Difference, p_holm: float | None
) -> Counted:
    exact = _constant(a, b)
    said: Literal["equal", "changed", "inconclusive"]
    if exact:
        said = "equal" if a[0] == b[0] else "changed"
    else:
        said = "changed" if p_holm is not None and p_holm < ALPHA else "inconclusive"
    means = sum(a) / len(a), sum(b) / len(b)
    return Counted(metric, pair.cell.id, *means, found.low, found.high, exact, said)


def floors(a: Sequence[CellResult], b: Sequence[CellResult]) -> tuple[dict[str, Comparison], dict[str, Comparison]]:
    """Return the noise floors (A/A) of both runs."""
    return noise_floor(a), noise_floor(b)
