"""What goes without saying: options and threads that every cell of a run has alike, such as one quota for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.load import NO_STORE, USUAL_THREADS, Cell

_OF_STORE = "store_"


def plain(cell: Cell, cells: Sequence[Cell]) -> Cell:
    """Return the cell without what all `cells` share, for its name; of what a store has, all cells with a store."""
    said = {name: value for name, value in cell.options.items() if not _shared(name, value, cells)}
    alike = len(cells) > 1 and len({each.threads for each in cells}) == 1
    return replace(cell, options=said, threads=USUAL_THREADS if alike else cell.threads)


def _shared(name: str, value: str, cells: Sequence[Cell]) -> bool:
    may_have = [each for each in cells if each.store != NO_STORE or not name.startswith(_OF_STORE)]
    return len(may_have) > 1 and all(each.options.get(name) == value for each in may_have)
