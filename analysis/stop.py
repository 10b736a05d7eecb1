"""What a run that was asked for a precision says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from analysis.finding import Finding
from analysis.load import Run
from analysis.metrics import BY_NAME
from analysis.wording import count, joined, label, percent
from loadtests.precision import LOOKS

_MOST_TOLD = 3


def asked_precision(run: Run) -> str:
    """Return what was asked and how it ended, for the table of what was asked."""
    asked = run.document["precision"]
    least, most = asked["least_blocks"], count(asked["max_blocks"], "block")
    return (
        f"{percent(asked['asked'])}: the wider half of every interval of {BY_NAME[asked['metric']].title}, in {least} "
        f"to {most}; {'reached' if asked['reached'] else 'not reached'}"
    )


def stopped(run: Run) -> Iterable[Finding]:
    """Say whether the precision was reached, and otherwise what stayed open and how many more blocks it would take."""
    asked: Mapping[str, Any] | None = run.document.get("precision")
    if not asked or not run.document.get("finished"):
        return
    wanted = f"{percent(asked['asked'])} of {BY_NAME[asked['metric']].title}"
    if asked["reached"]:
        text = (
            f"Every comparison's interval is within {wanted} after {count(asked['blocks'], 'block')}. Blocks were "
            "added by the width of the intervals alone, never by what they showed."
        )
        yield Finding("precision", "finding", "The precision asked for", text, ())
    elif asked["unresolved"]:
        yield Finding("precision", "caution", "The precision asked for was not reached", _unresolved(run, asked), ())
    else:
        text = f"No two cells could be compared, so no interval could be brought within {wanted}."
        yield Finding("precision", "caution", "The precision asked for was not reached", text, ())


def _unresolved(run: Run, asked: Mapping[str, Any]) -> str:
    """Return the widest of what stayed open, the rest as a number, and the blocks that the widest would take."""
    widest = sorted(asked["unresolved"], key=lambda each: -(each["half_width"] or float("inf")))
    told = [
        f"{label(run.cell(each['cell']))} against {label(run.cell(each['baseline']))} ({_width(each)})"
        for each in widest[:_MOST_TOLD]
    ]
    rest = [f"{len(widest) - _MOST_TOLD} more"] if len(widest) > _MOST_TOLD else []
    more = max((each["more_blocks"] or 0 for each in widest), default=0)
    needed = f" By the spread so far about {count(more, 'more block')} would do for all of them." if more else ""
    return (
        f"After {count(asked['blocks'], 'block')}, the most there may be, these intervals have not been within "
        f"{percent(asked['asked'])} for {LOOKS} blocks in a row: {joined([*told, *rest])}.{needed}"
    )


def _width(each: Mapping[str, Any]) -> str:
    if each["half_width"] is None:
        return "too few paired blocks"
    more = count(each["more_blocks"], "more block")
    return f"±{percent(each['half_width'])}, about {more}"
