"""The thresholds as a table and as one line: the first thing after the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from analysis.report.table import Entry, Table
from analysis.thresholds import ORDER, Judgement, overall
from analysis.wording import NOTHING, interval, joined, number

TITLE = "Thresholds"


def threshold_tables(judgements: Sequence[Judgement], names: Mapping[str, str]) -> tuple[Table, ...]:
    """Return the table of all judgements, the gravest first; none where nothing was asked."""
    if not judgements:
        return ()
    order = [*ORDER, "skipped"]
    rows = sorted(judgements, key=lambda each: order.index(each.outcome))
    return (
        Table(
            title=line(judgements),
            columns=("threshold", "outcome", "cell", "value (95 % interval)", "why"),
            rows=tuple(
                (
                    Entry(each.threshold),
                    Entry(each.outcome, verdict=each.outcome),
                    Entry(names.get(each.cell, each.cell) or NOTHING),
                    Entry(number(each.value), "" if each.low is None else interval(each.low, each.high)),
                    Entry(each.reason or NOTHING),
                )
                for each in rows
            ),
            note="Passed: the whole interval meets the demand; failed: none of it does; inconclusive: part of it. "
            "Invalid: there is no figure to judge.",
        ),
    )


def line(judgements: Sequence[Judgement]) -> str:
    """Return the outcome in one line: `Thresholds failed: 1 failed, 3 passed`."""
    counts = Counter(each.outcome for each in judgements)
    told = joined(f"{counts[outcome]} {outcome}" for outcome in (*ORDER, "skipped") if counts[outcome])
    return f"{TITLE} {overall(judgements)}: {told}"
