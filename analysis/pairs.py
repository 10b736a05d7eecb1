"""Who is compared with whom: four questions, each with its own pairs of cells and its own correction.

Two cells are compared only when they differ in what the question asks about, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from analysis.load import NO_STORE, Cell

Question = Literal["floor", "scheme", "store", "option"]
QUESTIONS: Mapping[Question, str] = {
    "floor": "against the control",
    "scheme": "scheme against scheme",
    "store": "store against store",
    "option": "one option changed",
}
"""Every question and its name for people, in the order of the report."""

BASELINE_SCHEMES = ("session", "token")
"""What other schemes are compared with, where the run has it; token stands against session as well."""
BASELINE_STORE = "redis"
"""What other stores are compared with, where the run has it; otherwise the first that replicas share."""

_OF_ANY = frozenset({"tls", "spin_us"})
"""Options that a topology of any scheme and store has."""


def pairs(cells: Sequence[Cell]) -> Mapping[Question, list[tuple[Cell, Cell]]]:
    """Return (cell, baseline) by question; `cells` are those that may be compared at all."""
    usual = [cell for cell in cells if not _nearest(cell, cells)]
    return {
        "floor": _matching(usual, usual, _floor),
        "scheme": _matching(usual, usual, _scheme),
        "store": list(_stores(usual)),
        "option": [(cell, near) for cell in cells for near in _nearest(cell, cells)],
    }


def _matching(
    cells: Sequence[Cell], baselines: Sequence[Cell], fits: Callable[[Cell, Cell], bool]
) -> list[tuple[Cell, Cell]]:
    return [
        (cell, other) for cell in cells for other in baselines if _place(cell) == _place(other) and fits(cell, other)
    ]


def _place(cell: Cell) -> tuple[int, str, tuple[tuple[str, str], ...]]:
    """Return what two cells of different schemes or stores must share: replicas, policy, options of any topology."""
    return cell.replicas, cell.policy, tuple(sorted((n, v) for n, v in cell.options.items() if n in _OF_ANY))


def _floor(cell: Cell, baseline: Cell) -> bool:
    return baseline.scheme == "control" != cell.scheme


def _scheme(cell: Cell, baseline: Cell) -> bool:
    """Whether `baseline` is of a scheme that comes before in `BASELINE_SCHEMES`, on the same store if both have one."""
    if baseline.scheme not in BASELINE_SCHEMES or cell.scheme == "control":
        return False
    known = [*BASELINE_SCHEMES, cell.scheme]
    same = NO_STORE in (cell.store, baseline.store) or cell.store == baseline.store
    return same and known.index(baseline.scheme) < known.index(cell.scheme)


def _stores(cells: Sequence[Cell]) -> Iterable[tuple[Cell, Cell]]:
    """Yield every cell against the one that differs in nothing but having the reference store."""
    for cell in cells:
        alike = [each for each in cells if _but_store(each) == _but_store(cell) and each.store != NO_STORE]
        reference = next((each for each in alike if each.store == BASELINE_STORE), None)
        reference = reference or next((each for each in alike if each.shared), None)
        if reference and cell.store not in (NO_STORE, reference.store):
            yield cell, reference


def _but_store(cell: Cell) -> tuple[object, ...]:
    return cell.scheme, cell.replicas, cell.policy, tuple(sorted(cell.options.items()))


def _nearest(cell: Cell, cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that lack one option of this one; where there are none, the nearest with fewer options.

    An option can bring a store with it (a denylist), so the other cell has the same store or none.
    """
    fewer = [
        each
        for each in cells
        if (each.scheme, each.replicas, each.policy) == (cell.scheme, cell.replicas, cell.policy)
        and each.store in (cell.store, NO_STORE)
        and each.options.items() < cell.options.items()
    ]
    most = max((len(each.options) for each in fewer), default=0)
    return [each for each in fewer if len(each.options) == most]


def is_usual(cell: Cell, cells: Sequence[Cell]) -> bool:
    """Whether no cell of `cells` is the same with fewer options; those that are stand for their scheme and store."""
    return not _nearest(cell, [each for each in cells if each.duplicate_of is None])
