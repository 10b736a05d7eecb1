"""What each step of a staircase of rates, or quarter of a ramp, gave: a request belongs to the one it fell due in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.estimates import CellResult, estimate
from analysis.load import Run, Trial, read_samples
from analysis.metrics import quantile
from loadtests import load_words
from loadtests import samples as contract
from loadtests.rates import Piece, Rate


@dataclass(frozen=True)
class StepFigures:
    """One step of one cell over its valid blocks. Times are geometric means over blocks, the other two arithmetic."""

    cell: str
    step: int
    from_s: float
    to_s: float
    from_rps: float
    to_rps: float
    response_p50_ms: float | None
    response_p99_ms: float | None
    answered_rps: float
    dropped: float
    blocks: int


@dataclass(frozen=True)
class _Counted:
    """One step in one block."""

    p50_ms: float | None
    p99_ms: float | None
    answered_rps: float
    dropped: int


def step_figures(run: Run, results: Sequence[CellResult]) -> tuple[StepFigures, ...]:
    """Return the figures of every cell by step; none where the rate was constant or there was none."""
    pieces = rate_pieces(run)
    if not pieces or run.distilled is not None:  # what was kept of a run has no time of day
        return ()
    made = []
    for result in results:
        blocks = {each.block for each in result.measurements}
        trials = [each for each in run.trials if each.cell == result.cell.id and each.block in blocks]
        counted = [_by_piece(trial, pieces) for trial in trials]
        made += [
            _figures(result.cell.id, number, piece, [each[number - 1] for each in counted])
            for number, piece in enumerate(pieces, start=1)
            if counted
        ]
    return tuple(made)


def rate_pieces(run: Run) -> tuple[Piece, ...]:
    """Return the steps of the run's load, or the quarters of its ramp; none of a constant rate."""
    load = run.load
    if load_words.is_closed(load) or not load.get("ramp_to_rps"):
        return ()
    return Rate(load["rate_rps"], load["ramp_to_rps"], load["duration_s"], load.get("steps", 0)).split()


def _by_piece(trial: Trial, pieces: Sequence[Piece]) -> list[_Counted]:
    table = read_samples(trial)
    column = {
        name: np.asarray(table[name].to_numpy())
        for name in ("phase", "due_ns", "started_ns", "ended_ns", "user_was_busy", "status", "outcome")
    }
    measured = column["phase"] == contract.MEASURED
    column = {name: values[measured] for name, values in column.items()}
    from_ns = trial.measured_from_ns
    due_s = (column["due_ns"] - (column["due_ns"].min() if from_ns is None else from_ns)) / 1e9
    since_ns = np.where(column["user_was_busy"].astype(bool), column["due_ns"], column["started_ns"])
    response_ms = (column["ended_ns"] - since_ns) / 1e6
    dropped = column["outcome"] == contract.DROPPED
    answered = ~dropped & (column["status"] > 0)
    place = np.searchsorted([piece.to_s for piece in pieces[:-1]], due_s, side="right")
    return [
        _Counted(
            quantile(response_ms[answered & (place == number)], 0.5),
            quantile(response_ms[answered & (place == number)], 0.99),
            int((answered & (place == number)).sum()) / (piece.to_s - piece.from_s),
            int((dropped & (place == number)).sum()),
        )
        for number, piece in enumerate(pieces)
    ]


def _figures(cell: str, number: int, piece: Piece, counted: Sequence[_Counted]) -> StepFigures:
    return StepFigures(
        cell=cell,
        step=number,
        from_s=piece.from_s,
        to_s=piece.to_s,
        from_rps=piece.from_rps,
        to_rps=piece.to_rps,
        response_p50_ms=_mean_ms([each.p50_ms for each in counted]),
        response_p99_ms=_mean_ms([each.p99_ms for each in counted]),
        answered_rps=math.fsum(each.answered_rps for each in counted) / len(counted),
        dropped=sum(each.dropped for each in counted) / len(counted),
        blocks=len(counted),
    )


def _mean_ms(values: Sequence[Any]) -> float | None:
    return estimate([value for value in values if value is not None], positive=True).value
