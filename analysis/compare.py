"""Comparisons of cells, paired by block, and what may be concluded from each.

Two cells of one block ran minutes apart on the same machine, so the ratio of their values is steadier than either
value. Each comparison is made on the logarithm of that ratio, one number per block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy import special

from analysis.estimates import CellResult
from analysis.metrics import BY_NAME, METRICS
from loadtests import load_words
from loadtests.pairs import QUESTIONS, Question, pairs
from loadtests.student import mean_and_deviation, mean_and_half_width

Verdict = Literal["faster", "slower", "equivalent", "inconclusive", "unstable"]

COMPARED = ("response_p50_ms", "response_p99_ms", "service_p50_ms", "replica_cpu_us_per_request")
"""The metrics that are compared under every load."""
OF_CLOSED = ("throughput_rps",)
"""Those that are compared under a closed loop besides: an open one sets its own throughput."""
MARGIN = 0.05
"""Differences under this share are of no practical interest: the margin of equivalence."""
ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """`cell` over `baseline` on one metric: the geometric mean ratio over paired blocks, and the verdict.

    `p` is of the paired t test that the ratio is 1, `p_holm` the same corrected for all comparisons on this metric that
    answer the same question (`loadtests.pairs`).
    """

    metric: str
    cell: str
    baseline: str
    ratio: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    verdict: Verdict
    blocks: int
    question: Question = "scheme"


def compare(metric: str, cell: CellResult, baseline: CellResult) -> Comparison | None:
    """Return the comparison over the blocks that both cells have; None if they share none with the metric."""
    ours, theirs = cell.by_block(metric), baseline.by_block(metric)
    shared = sorted(block for block in ours.keys() & theirs.keys() if ours[block] > 0 and theirs[block] > 0)
    if not shared:
        return None
    made = compare_values([ours[block] for block in shared], [theirs[block] for block in shared], metric)
    return replace(made, cell=cell.cell.id, baseline=baseline.cell.id)


def compare_values(ours: Iterable[float], theirs: Iterable[float], metric: str = COMPARED[0]) -> Comparison:
    """Return the comparison of two cells' positive values, paired by position, one pair a block, without a verdict."""
    logs = [math.log(one / other) for one, other in zip(ours, theirs, strict=True)]
    mean, half = mean_and_half_width(logs)
    return Comparison(
        metric=metric,
        cell="",
        baseline="",
        ratio=math.exp(mean),
        low=None if half is None else math.exp(mean - half),
        high=None if half is None else math.exp(mean + half),
        p=paired_t_p(logs),
        p_holm=None,
        verdict="inconclusive",
        blocks=len(logs),
    )


def paired_t_p(differences: Sequence[float]) -> float | None:
    """Return the two-sided p of Student's paired t test that the mean difference is 0; None for one pair."""
    count = len(differences)
    mean, deviation = mean_and_deviation(differences)
    if deviation is None:
        return None
    if deviation == 0:
        return float(mean == 0)
    return float(2 * special.stdtr(count - 1, -abs(mean) / (deviation / math.sqrt(count))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for being looked at together (Holm 1979, step-down), in the order given."""
    corrected = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = running
    return corrected


def compare_run(results: Sequence[CellResult], margin: float = MARGIN) -> tuple[Comparison, ...]:
    """Return the comparisons of a run with corrected p values and verdicts.

    The pairs are those of `loadtests.pairs`. Cells that refused signed-in users are left out, because a refusal is
    cheaper than an answer, and those that cannot be measured here.
    """
    by_id = {each.cell.id: each for each in results}
    asked = pairs(
        [each.cell for each in results if each.cell.duplicate_of is None and each.measurable and not each.refused]
    )
    floor = noise_floor(results)
    judged: list[Comparison] = []
    for metric in (*COMPARED, *(OF_CLOSED if _closed(results) else ())):
        for question in QUESTIONS:
            found = [compare(metric, by_id[cell.id], by_id[other.id]) for cell, other in asked[question]]
            judged += judge([replace(each, question=question) for each in found if each], floor.get(metric), margin)
    return tuple(judged)


def judge(family: Sequence[Comparison], floor: Comparison | None, margin: float = MARGIN) -> list[Comparison]:
    """Return comparisons that answer one question on one metric, with their p values corrected and their verdicts."""
    corrected = iter(holm([each.p for each in family if each.p is not None]))
    known = [each if each.p is None else replace(each, p_holm=next(corrected)) for each in family]
    return [replace(each, verdict=verdict(each, floor, margin)) for each in known]


def _closed(results: Sequence[CellResult]) -> bool:
    return any(load_words.is_closed(each.cell.load) for each in results)


def noise_floor(results: Sequence[CellResult]) -> dict[str, Comparison]:
    """Return, by metric, the duplicate cell over its original: what two identical cells differ by (A/A).

    Kept apart from the matrix and its correction: nothing is asked of it, it is the measure of the run itself.
    """
    by_id = {each.cell.id: each for each in results}
    for twin in results:
        original = by_id.get(twin.cell.duplicate_of or "")
        if original:
            names = [metric.name for metric in METRICS if metric.positive]
            names += OF_CLOSED if _closed(results) else ()
            found = ((name, compare(name, twin, original)) for name in names)
            return {name: replace(each, verdict=verdict(each, None)) for name, each in found if each}
    return {}


def verdict(comparison: Comparison, floor: Comparison | None, margin: float = MARGIN) -> Verdict:
    """Return what may be said of a comparison, by the first of these rules that fits.

    - no interval (a single block): inconclusive;
    - the whole interval inside the margin, 1/(1+margin) to 1+margin: equivalent;
    - corrected p under 5 %: faster or slower, by which of less and more is better of the metric;
    - otherwise inconclusive: the run cannot tell.

    A verdict other than inconclusive becomes unstable when the run found a difference where there is none, that is
    when the A/A interval of the metric lies wholly outside the margin, unless this comparison's interval lies wholly
    beyond that difference.
    """
    low, high = comparison.low, comparison.high
    p = comparison.p if comparison.p_holm is None else comparison.p_holm
    if low is None or high is None or p is None:
        return "inconclusive"
    if low >= 1 / (1 + margin) and high <= 1 + margin:
        settled: Verdict = "equivalent"
    elif p < ALPHA:
        settled = "faster" if (comparison.ratio < 1) == (BY_NAME[comparison.metric].better == "less") else "slower"
    else:
        return "inconclusive"
    return "unstable" if _within_false_difference(low, high, floor, margin) else settled


def _within_false_difference(low: float, high: float, floor: Comparison | None, margin: float) -> bool:
    if floor is None or floor.low is None or floor.high is None:
        return False
    if floor.low <= 1 + margin and floor.high >= 1 / (1 + margin):
        return False
    reach = max(abs(math.log(floor.low)), abs(math.log(floor.high)))
    return math.log(low) < reach and math.log(high) > -reach


def find(comparisons: Iterable[Comparison], metric: str, cell: str, baseline: str) -> Comparison | None:
    """Return the comparison of two cells on a metric, if it was made."""
    wanted = (metric, cell, baseline)
    return next((each for each in comparisons if (each.metric, each.cell, each.baseline) == wanted), None)


def by_question(comparisons: Iterable[Comparison]) -> list[tuple[str, Question, list[Comparison]]]:
    """Return the comparisons grouped by metric and question, in the order of both; none empty."""
    listed = list(comparisons)
    groups = [
        (metric, question, [each for each in listed if (each.metric, each.question) == (metric, question)])
        for metric in (*COMPARED, *OF_CLOSED)
        for question in QUESTIONS
    ]
    return [group for group in groups if group[2]]
