"""Thresholds as text, checked before anything starts: `token*: response_p99_ms < 50`, `B/A response_p50_ms < 1.10`.

    [cell selector:] [B/A] metric operator number

The selector is a pattern over cell ids (`*` stands for anything). `B/A` is the ratio of two runs and belongs to
`make compare`. They are judged after the run, by `analysis.thresholds`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from loadtests.catalogue import BY_NAME

OPERATORS = ("<", "<=", ">", ">=", "==")
_SHAPE = re.compile(r"(?:(?P<cells>[^:]*):)?\s*(?P<ratio>B/A\s+)?(?P<metric>\S+?)\s*(?P<op>[<>=!]+)\s*(?P<limit>\S+)")
_GRAMMAR = "[cells:] [B/A] metric < number, for example token*: response_p99_ms < 50"


class ThresholdError(ValueError):
    """A threshold that cannot be judged as written; the message says what is wrong and what would do."""


@dataclass(frozen=True)
class Threshold:
    """One demand: `metric` of every cell that `cells` selects, or its ratio of two runs, against `limit`."""

    text: str
    cells: str | None
    relative: bool
    metric: str
    operator: str
    limit: float

    def selects(self, cell_id: str) -> bool:
        """Whether the selector names this cell; a threshold without one names none in particular."""
        return self.cells is not None and fnmatchcase(cell_id, self.cells)


def split(text: str) -> list[str]:
    """Return the thresholds of a command line, which parts them by semicolons."""
    return [part.strip() for part in text.split(";") if part.strip()]


def parse(texts: Iterable[str], *, relative: bool = False) -> tuple[Threshold, ...]:
    """Return the thresholds in order; `relative` says whether there are two runs, so that B/A means something.

    Raises:
        ThresholdError: for the first that is no threshold.

    """
    return tuple(_one(text, relative=relative) for text in texts)


def check_cells(thresholds: Sequence[Threshold], cell_ids: Iterable[str]) -> None:
    """Raise ThresholdError for a selector that names no cell: a demand on nothing would always be met."""
    known = list(cell_ids)
    for each in thresholds:
        if each.cells is not None and not any(map(each.selects, known)):
            raise ThresholdError(
                f"threshold {each.text!r}: no cell is called {each.cells!r}{_guess(each.cells, known)}"
            )


def _one(text: str, *, relative: bool) -> Threshold:
    if not isinstance(text, str):
        raise ThresholdError(f"threshold {text!r} is not a text, such as 'response_p99_ms < 50'")
    found = _SHAPE.fullmatch(text.strip())
    if not found:
        raise ThresholdError(f"threshold {text!r} is not of the form {_GRAMMAR}")
    metric, operator = found["metric"], found["op"]
    if metric not in BY_NAME:
        raise ThresholdError(f"threshold {text!r}: there is no metric {metric!r}{_guess(metric, BY_NAME)}")
    if operator not in OPERATORS:
        raise ThresholdError(f"threshold {text!r}: {operator!r} is none of {' '.join(OPERATORS)}")
    if found["ratio"] and not relative:
        raise ThresholdError(f"threshold {text!r}: B/A needs two runs; ask it of `make compare`")
    if operator == "==" and BY_NAME[metric].positive:
        raise ThresholdError(f"threshold {text!r}: a time is never exactly a number; use < or >")
    cells = found["cells"]
    if cells is not None and not cells.strip():
        raise ThresholdError(f"threshold {text!r}: nothing stands before the colon; name cells, such as token*")
    selector = None if cells is None else cells.strip()
    return Threshold(text.strip(), selector, bool(found["ratio"]), metric, operator, _limit(text, found["limit"]))


def _limit(text: str, written: str) -> float:
    try:
        limit = float(written)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise ThresholdError(f"threshold {text!r}: {written!r} is not a number; its unit stands in the metric's name")
    return limit


def _guess(written: str, known: Iterable[str]) -> str:
    listed = list(known)
    near = difflib.get_close_matches(written, listed, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else f"; there are: {', '.join(listed)}"
