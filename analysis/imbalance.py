"""How evenly a balancer shared requests out, and how many refusals a policy explains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.estimates import NOT_APPLICABLE, CellResult, Estimate, estimate
from analysis.load import Cell, Run

STICKY = "sticky"
"""The policy that keeps each user with one replica, as long as that one serves."""


@dataclass(frozen=True)
class Balance:
    """One cell: what was refused and how the requests were shared out, over its valid blocks.

    Attributes:
        result: the cell and its usual figures.
        most: the busiest replica's share over the mean share; 1 is even.
        variation: standard deviation of the replicas' counts over their mean (the population's); 0 is even.
        requests: of all valid blocks.

    """

    result: CellResult
    most: Estimate
    variation: Estimate
    requests: int

    @property
    def cell(self) -> Cell:
        """What ran."""
        return self.result.cell

    @property
    def refused(self) -> Estimate:
        """Signed-in users who were refused, as a share of the requests."""
        return self.result.estimates["refused_ratio"]

    @property
    def by_chance(self) -> float | None:
        """The variation if each request of a block fell on any replica alike; sqrt((N - 1) / n), of a multinomial."""
        blocks = self.result.valid_blocks
        return math.sqrt((self.cell.replicas - 1) * blocks / self.requests) if self.requests else None

    @property
    def at_most(self) -> float | None:
        """What is refused at most where nobody was, at 95 %: 3 / n (Hanley and Lippman-Hand, JAMA 249, 1983)."""
        return 3 / self.requests if self.requests and self.refused.value == 0 else None


def expected_refusals(cell: Cell) -> float | None:
    """The share that the topology explains; None for a store that lags, where it is a matter of time."""
    if cell.lags:
        return None
    return 0.0 if cell.shared or cell.policy == STICKY else (cell.replicas - 1) / cell.replicas


def balances(run: Run, results: Sequence[CellResult]) -> tuple[Balance, ...]:
    """Every cell of several replicas that can be measured, A/A duplicates left out."""
    return tuple(
        _balance(run, each)
        for each in results
        if each.measurable and each.cell.replicas > 1 and each.cell.duplicate_of is None
    )


def _balance(run: Run, result: CellResult) -> Balance:
    blocks = {each.block for each in result.measurements}
    counted = [_counts(each.balancer) for each in run.trials if each.cell == result.cell.id and each.block in blocks]
    counted = [each for each in counted if each.size and each.sum()]
    return Balance(
        result,
        _over_blocks([float(each.max() / each.mean()) for each in counted], least=1.0),
        _over_blocks([float(each.std() / each.mean()) for each in counted], least=0.0),
        int(sum(each.sum() for each in counted)),
    )


def _counts(balancer: Mapping[str, Mapping[str, int]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(list(balancer.get("requests", {}).values()), dtype=float)


def _over_blocks(values: Sequence[float], *, least: float) -> Estimate:
    """Mean and t interval of what can be no less than `least`; its own scale is of no unit, so it is left plain."""
    if not values:
        return NOT_APPLICABLE
    made = estimate(values, positive=False)
    low = None if made.low is None else max(least, made.low)
    return Estimate(made.value, low, made.high, made.blocks)
