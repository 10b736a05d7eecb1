"""The figures of a fault in a cell, over the blocks that count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.estimates import NOT_APPLICABLE, Estimate, estimate
from analysis.fault_trials import FIGURES, Struck, struck
from analysis.load import Cell, Run

SHARES = tuple(name for name in FIGURES if name.endswith("_share"))


@dataclass(frozen=True)
class FaultResult:
    """One cell with its fault, `cell.case`; `invalid` are the reasons of blocks that do not count, with how many."""

    cell: Cell
    trials: tuple[Struck, ...]
    figures: Mapping[str, Estimate]
    invalid: Mapping[str, int]

    def value(self, name: str) -> float | None:
        """Return a figure's mean over blocks; None where it has none."""
        return self.figures[name].value

    @property
    def not_recovered(self) -> int:
        """Blocks in which the service was not itself again by the end of the load."""
        return sum(trial.figures["recovered_s"] is None for trial in self.trials)

    @property
    def unhealthy(self) -> tuple[str, ...]:
        """Why the topology was not healthy again after the trial, once for each block in which it was not."""
        return tuple(trial.why for trial in self.trials if not trial.healthy)

    def document(self) -> dict[str, Any]:
        """For summary.json."""
        cell = self.cell
        facts = {name: getattr(cell, name) for name in ("id", "scheme", "store", "replicas", "policy")}
        return {
            **facts,
            "options": dict(cell.options),
            "fault": cell.case,
            "blocks": len(self.trials),
            "invalid_blocks": sum(self.invalid.values()),
            "invalid_reasons": dict(self.invalid),
            "not_recovered_blocks": self.not_recovered,
            "not_healthy": list(self.unhealthy),
            "figures": {name: spanned(each) for name, each in self.figures.items()},
        }


def spanned(found: Estimate) -> dict[str, float | None]:
    """Return a figure as it stands in a document."""
    return {"value": found.value, "low": found.low, "high": found.high}


def fault_results(run: Run) -> tuple[FaultResult, ...]:
    """Return every cell of a run of the study faults that has a finished trial, in the order of run.json.

    Raises RunError on samples that cannot be read.
    """
    made = []
    for cell in run.cells:
        counted: list[Struck] = []
        invalid: dict[str, int] = {}
        trials = [trial for trial in run.trials if trial.cell == cell.id]
        for trial in trials:
            reasons = list(trial.invalid_reasons)
            if trial.valid:
                try:
                    counted.append(struck(trial))
                except ValueError as error:
                    reasons = [str(error)]
            for reason in reasons[:1]:
                invalid[reason] = invalid.get(reason, 0) + 1
        if trials:
            made.append(FaultResult(cell, tuple(counted), _figures(counted), invalid))
    return tuple(made)


def _figures(trials: Sequence[Struck]) -> dict[str, Estimate]:
    return {name: _over_blocks(name, trials) for name in FIGURES}


def _over_blocks(name: str, trials: Sequence[Struck]) -> Estimate:
    """Arithmetic mean with a t interval, which ends where values do; None where a block has none.

    A mean over those blocks alone in which the service recovered would be too good.
    """
    values = [trial.figures[name] for trial in trials]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return NOT_APPLICABLE
    found = estimate(known, positive=False)
    if found.low is None or found.high is None:
        return found
    most = 1.0 if name in SHARES else found.high
    return replace(found, low=max(found.low, 0.0), high=min(found.high, most))
