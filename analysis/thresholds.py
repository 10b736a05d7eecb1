"""Thresholds judged on intervals, never on a value alone, and the exit status that a pipeline reads.

A failure that the figures show outranks what could not be measured, which outranks what could not be told: whoever
reads only the status should first mend what is known to be wrong.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from analysis.across import EXACT, Counted, Timed
from analysis.estimates import CellResult
from analysis.load import NO_STORE, Cell
from loadtests.thresholds import Threshold

Outcome = Literal["failed", "invalid", "inconclusive", "passed", "skipped"]
ORDER: tuple[Outcome, ...] = ("failed", "invalid", "inconclusive", "passed")
"""The gravest first; skipped says nothing either way."""
EXIT: Mapping[Outcome, int] = {"passed": 0, "failed": 3, "inconclusive": 4, "invalid": 5}
"""The exit status of each; 1 and 2 are a run that broke and bad input."""

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}


@dataclass(frozen=True)
class Judgement:
    """What became of one threshold at one cell (`cell` is empty where it met none), and why."""

    threshold: str
    cell: str
    outcome: Outcome
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Pairs:
    """What B/A thresholds are judged on: the times and counts of two runs, and why times are absent, if they are."""

    timed: Sequence[Timed]
    counted: Sequence[Counted]
    no_times: str = ""


def judge(
    thresholds: Sequence[Threshold], results: Sequence[CellResult], pairs: Pairs | None = None
) -> tuple[Judgement, ...]:
    """Return a judgement for every threshold and cell; `results` are the run's, of two runs B's."""
    made: list[Judgement] = []
    for each in thresholds:
        found = [_at(each, result, pairs) for result in results if each.cells is None or each.selects(result.cell.id)]
        made += found
        if all(one.outcome == "skipped" for one in found):
            made.append(Judgement(each.text, "", "invalid", reason="it was judged at no cell"))
    return tuple(made)


def overall(judgements: Sequence[Judgement]) -> Outcome:
    """Return the gravest outcome; passed where nothing was asked."""
    present = {each.outcome for each in judgements}
    return next((outcome for outcome in ORDER if outcome in present), "passed")


def _at(threshold: Threshold, result: CellResult, pairs: Pairs | None) -> Judgement:
    skipped = _left_out(threshold, result.cell) or _inapplicable(threshold, result)
    if skipped:
        return Judgement(threshold.text, result.cell.id, "skipped", reason=skipped)
    if threshold.relative and pairs:
        return _ratio(threshold, result.cell.id, pairs)
    figure, blocks = result.estimates[threshold.metric], list(result.by_block(threshold.metric).values())
    if figure.value is None:
        return Judgement(threshold.text, result.cell.id, "invalid", reason=_why_none(result))
    outcome = _outcome(threshold, figure.low, figure.high, blocks)
    reason = "one block has no interval" if outcome == "inconclusive" and figure.low is None else ""
    return Judgement(threshold.text, result.cell.id, outcome, figure.value, figure.low, figure.high, reason)


def _left_out(threshold: Threshold, cell: Cell) -> str:
    """Return why a threshold without a selector does not ask about this cell; empty if it does."""
    if threshold.cells is not None:
        return ""
    if cell.duplicate_of:
        return "the duplicate of another cell"
    if not cell.shared and cell.store != NO_STORE and cell.replicas > 1:
        return "its store is not shared, so it refuses users by design; name the cell to judge it"
    if threshold.relative and cell.scheme == "control" and threshold.metric not in EXACT:
        return "control's own ratio is the machine's drift; name the cell to judge it"
    return ""


def _inapplicable(threshold: Threshold, result: CellResult) -> str:
    """Return why the metric says nothing about this cell; empty where it does, or would if it had been measured."""
    if not threshold.metric.startswith("store_"):
        return ""
    if result.cell.store == NO_STORE:
        return "it has no store"
    uncounted = threshold.metric not in ("store_p50_us", "store_p99_us") and result.in_process
    if result.valid_blocks and (uncounted or not result.by_block(threshold.metric)):
        return "no server counts that"
    return ""


def _why_none(result: CellResult) -> str:
    told = "; ".join(result.invalid_reasons)
    return "no valid block" + (f": {told}" if told else "") if not result.valid_blocks else "it cannot be measured here"


def _outcome(threshold: Threshold, low: float | None, high: float | None, blocks: Sequence[float]) -> Outcome:
    """Return passed if all of the interval meets the demand, failed if none of it does, else inconclusive."""
    meets = _COMPARE[threshold.operator]
    if threshold.operator == "==":
        return "passed" if all(meets(value, threshold.limit) for value in blocks) else "failed"
    if low is None or high is None:
        return "inconclusive"
    ends = meets(low, threshold.limit), meets(high, threshold.limit)
    if all(ends):
        return "passed"
    return "inconclusive" if any(ends) else "failed"


def _ratio(threshold: Threshold, cell: str, pairs: Pairs) -> Judgement:
    counted = next((each for each in pairs.counted if (each.metric, each.cell) == (threshold.metric, cell)), None)
    if counted:
        return _counted_ratio(threshold, counted)
    timed = next((each for each in pairs.timed if (each.metric, each.cell) == (threshold.metric, cell)), None)
    if timed is None:
        why = pairs.no_times or "not compared: the other run lacks it, or one has no valid block or refused users"
        return Judgement(threshold.text, cell, "invalid", reason=why)
    told = timed.quoted
    outcome = _outcome(threshold, told.low, told.high, [told.ratio])
    if timed.verdict == "unstable" and outcome != "inconclusive":
        return Judgement(
            threshold.text, cell, "inconclusive", told.ratio, told.low, told.high, "within what identical cells differ"
        )
    against = f"relative to {timed.control}" if timed.guarded else "plain: no control beside it"
    return Judgement(threshold.text, cell, outcome, told.ratio, told.low, told.high, against)


def _counted_ratio(threshold: Threshold, found: Counted) -> Judgement:
    """Judge B over A of a count. Nothing over nothing is 1; the interval is that of the difference, over A."""
    if found.a == 0:
        ratio = 1.0 if found.b == 0 else float("inf")
        spread: tuple[float | None, float | None] = (ratio, ratio)
    else:
        ratio = found.b / found.a
        ends = [None if end is None else 1 + end / found.a for end in (found.low, found.high)]
        spread = (ratio, ratio) if found.exact else (ends[0], ends[1])
    outcome = _outcome(threshold, *spread, [ratio])
    return Judgement(threshold.text, found.cell, outcome, ratio, *spread, "" if found.exact else "it varies by block")


def document(judgements: Sequence[Judgement]) -> list[dict[str, object]]:
    """Return the judgements as summary.json and compare.json have them."""
    return [asdict(each) for each in judgements]
