"""The table of a load whose rate changes: what each of its steps gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.load_steps import StepFigures
from analysis.report.table import Entry, Table
from analysis.wording import number
from loadtests import load_words
from loadtests.rates import Piece


def step_table(load: Mapping[str, Any], steps: Sequence[StepFigures], names: Mapping[str, str]) -> Iterable[Table]:
    """Yield the table, a row a cell and step; nothing under a constant rate. `names` gives each cell's, by id."""
    if not steps:
        return
    what = "step" if load.get("steps") else "quarter of the ramp"
    yield Table(
        title=f"By {what}: {load_words.rate(load)}",
        columns=("cell", what, "asked (requests/s)", "response p50 (ms)", "response p99 (ms)", "answered/s", "dropped"),
        rows=tuple(
            (
                Entry(names[each.cell]),
                Entry(str(each.step), f"{number(each.from_s)} to {number(each.to_s)} s"),
                Entry(Piece(each.from_s, each.to_s, each.from_rps, each.to_rps).label),
                Entry(number(each.response_p50_ms)),
                Entry(number(each.response_p99_ms)),
                Entry(number(each.answered_rps)),
                Entry(number(each.dropped)),
            )
            for each in steps
        ),
        note="A request belongs to the step in which it fell due. Times: geometric mean over the valid blocks of each "
        "block's quantile; answered and dropped: mean over blocks. None is compared: a step is part of a trial.",
    )
