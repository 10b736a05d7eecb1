"""Cells of which too few blocks are valid: no figure of them is given, but why, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from analysis.estimates import CellResult
from analysis.finding import Finding
from analysis.wording import count, joined, label

WORDS = "cannot be measured here"
_MOST_NAMED = 4

_QUIETER = "lower RATE, or leave the load generator a core of its own"
_ADVICE = {
    "generator": _QUIETER,
    "the generator": _QUIETER,
    "rate missed": "lower RATE, or give it more USERS",
    "the rate": "lower RATE, or give it more USERS",
    "requests dropped": "lower RATE, or give it more USERS",
    "the machine lost": "run again when the machine is quieter, or on one that is not shared",
    "steady": "give the warm-up more time (WARMUP), or lower RATE",
}
"""What to do by what a reason against a trial says; otherwise the logs of its trials tell more."""


def unmeasurable(results: Sequence[CellResult]) -> Iterable[Finding]:
    """Name the cells that cannot be measured here, by what mostly prevents it, and say what to do about each."""
    found = [each for each in results if not each.measurable]
    groups: dict[str, list[CellResult]] = {}
    for each in found:
        groups.setdefault(_kind(_most_frequent(each.invalid_reasons)), []).append(each)
    if found:
        told = [
            f"{_named(alike)}; {_mostly(_all_reasons(alike))}; {advice(_all_reasons(alike))}"
            for alike in groups.values()
        ]
        yield Finding(
            "unmeasurable",
            "caution",
            "Cannot be measured here",
            f"Too few blocks are valid, so no figure is given of these and nothing is compared with them: "
            f"{'. '.join(told)}.",
            tuple(each.cell.id for each in found),
        )


def not_measured(results: Sequence[CellResult]) -> str:
    """Return the sentence that goes after an answer which lacks cells; empty if it lacks none but the duplicate."""
    names = [label(each.cell) for each in results if not each.measurable and each.cell.duplicate_of is None]
    return f" Here {joined(names)} cannot be measured: too few blocks are valid." if names else ""


def nothing_measured(results: Sequence[CellResult]) -> str:
    """Return the answer of a run of which no cell can be measured."""
    tried = sum(each.valid_blocks + each.invalid_blocks for each in results)
    valid = sum(each.valid_blocks for each in results)
    reasons = _all_reasons(results)
    return (
        f"This cannot be measured here: {valid:,} of {count(tried, 'trial')} valid, too few for any cell, "
        f"{_mostly(reasons)}; {advice(reasons)}."
    )


def advice(reasons: Mapping[str, int]) -> str:
    """Return what to do about the most frequent kind of reason."""
    most = _most_frequent(reasons)
    return next((told for part, told in _ADVICE.items() if part in most), "look at the logs of these trials")


def _named(results: Sequence[CellResult]) -> str:
    """Return the cells with their valid blocks; of many the first, and how many more there are."""
    shown = [f"{label(each.cell)} ({_how_many(each)})" for each in results[:_MOST_NAMED]]
    rest = len(results) - len(shown)
    return joined([*shown, f"{rest} more"] if rest else shown)


def _how_many(result: CellResult) -> str:
    return f"{result.valid_blocks} of {count(result.valid_blocks + result.invalid_blocks, 'block')} valid"


def _all_reasons(results: Sequence[CellResult]) -> Counter[str]:
    return sum((Counter(each.invalid_reasons) for each in results), Counter[str]())


def _mostly(reasons: Mapping[str, int]) -> str:
    """Return the most frequent kind of reason, how often it was given, and its most frequent figures."""
    most = _most_frequent(reasons)
    if not most:
        return "no reason is on record"
    times = sum(n for reason, n in reasons.items() if _kind(reason) == _kind(most))
    return f"most often because: {most}" + (f" (of {times} such)" if times > reasons[most] else "")


def _most_frequent(reasons: Mapping[str, int]) -> str:
    """Return the reason of the most frequent kind; reasons of a kind differ in their figures alone."""
    kinds: Counter[str] = Counter()
    for reason, times in reasons.items():
        kinds[_kind(reason)] += times
    if not kinds:
        return ""
    kind = kinds.most_common(1)[0][0]
    return Counter({reason: times for reason, times in reasons.items() if _kind(reason) == kind}).most_common(1)[0][0]


def _kind(reason: str) -> str:
    """Return a reason without its figures."""
    return " ".join(word for word in reason.partition(":")[0].split() if not any(c.isdigit() for c in word))
