"""Options that go without saying: those that every cell of a run has alike, such as one quota for all replicas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.load import NO_STORE, Cell

_OF_STORE = "store_"


def plain(cell: Cell, cells: Sequence[Cell]) -> Cell:
    """Return the cell without the options that all `cells` share, for its name; what a store has, all with a store."""
    said = {name: value for name, value in cell.options.items() if not _shared(name, value, cells)}
    return replace(cell, options=said)


def _shared(name: str, value: str, cells: Sequence[Cell]) -> bool:
    may_have = [each for each in cells if each.store != NO_STORE or not name.startswith(_OF_STORE)]
    return len(may_have) > 1 and all(each.options.get(name) == value for each in may_have)
