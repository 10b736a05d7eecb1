"""Cells of which too few blocks are valid: no figure of them is given, but why, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from analysis.estimates import CellResult
from analysis.finding import Finding
from analysis.wording import count, joined, label

WORDS = "cannot be measured here"

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
    """Name the cells that cannot be measured here, with the most frequent reason of each kind and what to do."""
    found = [each for each in results if not each.measurable]
    if found:
        told = (f"{label(each.cell)}: {_how_many(each)}, {_mostly(each.invalid_reasons)}" for each in found)
        reasons = sum((Counter(each.invalid_reasons) for each in found), Counter[str]())
        yield Finding(
            "unmeasurable",
            "caution",
            "Cannot be measured here",
            f"{'; '.join(told)}. No figure of {'it' if len(found) == 1 else 'these'} is given and nothing is compared "
            f"with {'it' if len(found) == 1 else 'them'}. What to do: {advice(reasons)}.",
            tuple(each.cell.id for each in found),
        )


def not_measured(results: Sequence[CellResult]) -> str:
    """Return the sentence that goes after an answer which lacks cells; empty if it lacks none but the duplicate."""
    names = [label(each.cell) for each in results if not each.measurable and each.cell.duplicate_of is None]
    return f" Here {joined(names)} cannot be measured: too few blocks are valid." if names else ""


def nothing_measured(results: Sequence[CellResult]) -> str:
    """Return the answer of a run of which no cell can be measured."""
    reasons = sum((Counter(each.invalid_reasons) for each in results), Counter[str]())
    tried = sum(each.valid_blocks + each.invalid_blocks for each in results)
    valid = sum(each.valid_blocks for each in results)
    return (
        f"This load cannot be measured here: {count(valid, 'trial')} of {tried:,} are valid, too few for any cell, "
        f"{_mostly(reasons)}; {advice(reasons)}."
    )


def advice(reasons: Counter[str]) -> str:
    """Return what to do about the most frequent kind of reason."""
    most = _most_frequent(reasons)
    return next((told for part, told in _ADVICE.items() if part in most), "look at the logs of its trials")


def _how_many(result: CellResult) -> str:
    return f"{result.valid_blocks} of {count(result.valid_blocks + result.invalid_blocks, 'block')} valid"


def _mostly(reasons: Mapping[str, int]) -> str:
    most = _most_frequent(Counter(reasons))
    return f"most often because: {most}" if most else "and no reason is on record"


def _most_frequent(reasons: Counter[str]) -> str:
    """Return the reason of the most frequent kind; reasons of a kind differ in the figures after their colon."""
    kinds: Counter[str] = Counter()
    for reason, times in reasons.items():
        kinds[_kind(reason)] += times
    if not kinds:
        return ""
    kind = kinds.most_common(1)[0][0]
    alike = Counter({reason: times for reason, times in reasons.items() if _kind(reason) == kind})
    return alike.most_common(1)[0][0]


def _kind(reason: str) -> str:
    """Return a reason without its figures."""
    return " ".join(word for word in reason.partition(":")[0].split() if not any(c.isdigit() for c in word))
