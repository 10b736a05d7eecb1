"""From the values of single blocks to figures with intervals.

The block is the unit of inference, never the request: requests of one block share its machine state, so thousands of
them say no more about the next block than their block does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.distilled import Kept
from analysis.load import NO_STORE, Cell, Run, Trial
from analysis.metrics import BY_NAME, METRICS, Measurement, measure
from loadtests.measurable import fewest_valid
from loadtests.student import mean_and_half_width


@dataclass(frozen=True)
class Estimate:
    """A figure over blocks with its 95 % interval; all None where the metric does not apply.

    One block gives a value and no interval: nothing is known about the spread between blocks.
    """

    value: float | None
    low: float | None
    high: float | None
    blocks: int


NOT_APPLICABLE = Estimate(None, None, None, 0)


@dataclass(frozen=True)
class CellResult:
    """A cell with its estimates, the valid blocks they rest on, and why other blocks do not count."""

    cell: Cell
    estimates: Mapping[str, Estimate]
    measurements: tuple[Measurement, ...]
    invalid_blocks: int
    invalid_reasons: Mapping[str, int]

    @property
    def valid_blocks(self) -> int:
        """Blocks that the estimates rest on."""
        return len(self.measurements)

    @property
    def measurable(self) -> bool:
        """Whether enough blocks are valid to give figures; without, every estimate is None and nothing is compared.

        Blocks that an interrupted run has not come to are not held against a cell.
        """
        return 0 < self.valid_blocks >= fewest_valid(self.valid_blocks + self.invalid_blocks)

    @property
    def refused(self) -> bool:
        """Whether signed-in users were refused: a refusal is cheaper than an answer, so nothing compares."""
        return bool(self.estimates["refused_ratio"].value)

    @property
    def in_process(self) -> bool:
        """Whether the store is in the replica itself, or beside it, so that no server counts its commands."""
        return self.cell.store != NO_STORE and all(each.commands is None for each in self.measurements)

    @property
    def whole_commands(self) -> bool | None:
        """Whether every block's store commands per request are one and the same whole number; None if not counted."""
        found = set(self.by_block("store_commands_per_request").values())
        if self.cell.store == NO_STORE or self.in_process or not found:
            return None
        return len(found) == 1 and found.pop().is_integer()

    def value(self, metric: str) -> float | None:
        """Return the estimated value of a metric, None where it does not apply."""
        return self.estimates[metric].value

    def by_block(self, metric: str) -> dict[int, float]:
        """Return the metric's value in each valid block that has one."""
        counted = self.measurements if self.measurable else ()
        pairs = ((each.block, each.values[metric]) for each in counted)
        return {block: value for block, value in pairs if value is not None}


def estimate(values: Sequence[float], *, positive: bool) -> Estimate:
    """Return the mean over blocks with Student's t interval (95 %, n-1 degrees of freedom).

    `positive` values (times) are treated on logarithms: the value is the geometric mean and the interval multiplies,
    because times scatter by factors. Where any is zero or less there is no logarithm and plain values are used.
    Values that never vary, such as octets on the wire, give an interval of no width.
    """
    if not values:
        return NOT_APPLICABLE
    if len(values) > 1 and min(values) == max(values):
        return Estimate(values[0], values[0], values[0], len(values))
    logarithmic = positive and min(values) > 0
    scaled = [math.log(value) for value in values] if logarithmic else list(values)
    mean, half = mean_and_half_width(scaled)
    back = math.exp if logarithmic else float
    if half is None:
        return Estimate(values[0], None, None, 1)
    return Estimate(back(mean), back(mean - half), back(mean + half), len(values))


def estimate_run(run: Run) -> tuple[CellResult, ...]:
    """Return every cell of the run with its estimates, in the order of run.json."""
    measuring = measure if run.distilled is None else Kept(run.distilled["measurements"])
    return tuple(
        estimate_cell(cell, [trial for trial in run.trials if trial.cell == cell.id], measuring) for cell in run.cells
    )


def estimate_cell(
    cell: Cell, trials: Sequence[Trial], measuring: Callable[[Trial, Cell], Measurement] = measure
) -> CellResult:
    """Return one cell's estimates over its valid trials; invalid ones are counted by reason and go no further.

    With too few valid trials there are none: what is left is not what was asked about (`loadtests.measurable`).
    """
    reasons: Counter[str] = Counter()
    valid: list[Measurement] = []
    for trial in trials:
        measurement = measuring(trial, cell) if trial.valid else None
        if measurement and measurement.fault is None:
            valid.append(measurement)
        elif measurement and measurement.fault:
            reasons[measurement.fault] += 1
        else:
            reasons.update(trial.invalid_reasons or ("no reason recorded",))
    invalid = len(trials) - len(valid)
    result = CellResult(cell, {}, tuple(valid), invalid_blocks=invalid, invalid_reasons=dict(reasons))
    counted = valid if result.measurable else []
    return replace(result, estimates={metric.name: _over_blocks(metric.name, counted) for metric in METRICS})


def _over_blocks(metric: str, measurements: Sequence[Measurement]) -> Estimate:
    values = [each.values[metric] for each in measurements]
    return estimate(
        [value for value in values if value is not None and math.isfinite(value)], positive=BY_NAME[metric].positive
    )
