"""A claim that says several things: it holds where each of them does, and it is told which does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.claims.evidence import Interval, Judged, Verdict
from analysis.wording import capital, joined

UNDECIDED = "cannot be told at this precision"


@dataclass(frozen=True)
class Part:
    """One thing that a claim says.

    Attributes:
        says: it in a few words, to stand in a list: `survives a restart`.
        holds: None where an interval reaches over the bound.
        told: the figures, as a sentence without its full stop.
        cells: what it rests on.
        missing: the command that measures it, where nothing has.

    """

    says: str
    holds: bool | None = None
    told: str = ""
    cells: tuple[str, ...] = ()
    missing: str = ""


def judged(parts: Sequence[Part], value: Interval | None = None, unit: str = "") -> Judged | None:
    """Return what the parts say together: holds, does not hold where one part fails, depends where one is undecided.

    Nothing is judged while a part is missing, and a claim of which all are is simply not measured (None).
    """
    missing = [part for part in parts if part.missing]
    if len(missing) == len(parts):
        return None
    told = " ".join(f"{capital(part.told)}." for part in parts if part.told)
    cells = tuple(dict.fromkeys(cell for part in parts for cell in part.cells))
    if missing:
        commands = joined(f"`{each}`" for each in dict.fromkeys(part.missing for part in missing))
        what = joined(f"“{part.says}”" for part in missing)
        return Judged("not measured", None, "", f"Without a figure for {what}: {commands}. {told}", cells)
    verdict = _verdict(parts)
    failed = joined(f"“{part.says}”" for part in parts if part.holds is False)
    open_ = joined(f"“{part.says}”" for part in parts if part.holds is None)
    why = f" What fails: {failed}." if failed else ""
    why += f" For {open_}: {UNDECIDED}." if open_ else ""
    return Judged(verdict, value, unit if value else "", f"{told}{why}".strip(), cells)


def _verdict(parts: Sequence[Part]) -> Verdict:
    if any(part.holds is False for part in parts):
        return "does not hold"
    return "depends" if any(part.holds is None for part in parts) else "holds"


def all_of(outcomes: Sequence[bool | None]) -> bool | None:
    """Return False where one is False, else None where one is undecided, else True."""
    if False in outcomes:
        return False
    return None if None in outcomes else True
