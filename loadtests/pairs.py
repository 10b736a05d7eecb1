"""Who is compared with whom: five questions, each with its own pairs of cells and its own correction.

Two cells are compared only when they differ in what the question asks about, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol, TypeVar

from topology.spec import COMMON_OPTIONS, NO_STORE


class CellFacts(Protocol):
    """What pairing asks of a cell; a run that is going on and one that is read both have it."""

    @property
    def id(self) -> str:
        """As in the results."""

    @property
    def scheme(self) -> str:
        """How a request proves who it is from."""

    @property
    def store(self) -> str:
        """Where its state lives, `none` without any."""

    @property
    def replicas(self) -> int:
        """How many."""

    @property
    def policy(self) -> str:
        """The balancer's."""

    @property
    def threads(self) -> int:
        """Of each replica."""

    @property
    def options(self) -> Mapping[str, str]:
        """What differs from its default, name to value."""

    @property
    def shared(self) -> bool:
        """Whether every replica accepts what another issued."""

    @property
    def duplicate_of(self) -> str | None:
        """The cell that it is the A/A twin of."""

    @property
    def is_target(self) -> bool:
        """Whether it is a service that others started, of which nothing but its name is known."""


C = TypeVar("C", bound=CellFacts)

Question = Literal["floor", "scheme", "store", "option", "target"]
QUESTIONS: Mapping[Question, str] = {
    "floor": "against the control",
    "scheme": "scheme against scheme",
    "store": "store against store",
    "option": "one option changed",
    "target": "system against system",
}
"""Every question and its name for people, in the order of the report."""

BASELINE_SCHEMES = ("session", "token")
"""What other schemes are compared with, where the run has it; token stands against session as well."""
BASELINE_STORE = "redis"
"""What other stores are compared with, where the run has it; otherwise the first that replicas share."""

_OF_ANY = frozenset(option.name for option in COMMON_OPTIONS)
"""Options that a topology of any scheme and store has."""
_SURROUNDING = frozenset(option.name for option in COMMON_OPTIONS if option.surrounds)
"""Those of them at each value of which cells are compared with each other, and never across."""


def pairs(cells: Sequence[C]) -> Mapping[Question, list[tuple[C, C]]]:
    """Return (cell, baseline) by question; `cells` are those that may be compared at all."""
    ours = [cell for cell in cells if not cell.is_target]
    usual = [cell for cell in ours if not _nearest(cell, ours)]
    return {
        "floor": _matching(usual, usual, _floor),
        "scheme": _matching(usual, usual, _scheme),
        "store": list(_stores(usual)),
        "option": [(cell, near) for cell in ours for near in _nearest(cell, ours)],
        "target": _targets([cell for cell in cells if cell.is_target]),
    }


def _targets(cells: Sequence[C]) -> list[tuple[C, C]]:
    """Return every service against the one that the experiment names first, whatever they are called."""
    return [(cell, cells[0]) for cell in cells[1:]]


def _matching(cells: Sequence[C], baselines: Sequence[C], fits: Callable[[C, C], bool]) -> list[tuple[C, C]]:
    return [
        (cell, other) for cell in cells for other in baselines if _place(cell) == _place(other) and fits(cell, other)
    ]


def _place(cell: CellFacts) -> tuple[object, ...]:
    """Return what two cells of different schemes or stores share: where they stand, and options of any topology."""
    return *where(cell), tuple(sorted((n, v) for n, v in cell.options.items() if n in _OF_ANY))


def where(cell: CellFacts) -> tuple[object, ...]:
    """Return what any two cells share that are compared: replicas, policy, threads, what surrounds authentication."""
    around = sorted((name, value) for name, value in cell.options.items() if name in _SURROUNDING)
    return cell.replicas, cell.policy, cell.threads, tuple(around)


def _floor(cell: CellFacts, baseline: CellFacts) -> bool:
    return baseline.scheme == "control" != cell.scheme


def _scheme(cell: CellFacts, baseline: CellFacts) -> bool:
    """Whether `baseline` is of a scheme that comes before in `BASELINE_SCHEMES`, on the same store if both have one."""
    if baseline.scheme not in BASELINE_SCHEMES or cell.scheme == "control":
        return False
    known = [*BASELINE_SCHEMES, cell.scheme]
    same = NO_STORE in (cell.store, baseline.store) or cell.store == baseline.store
    return same and known.index(baseline.scheme) < known.index(cell.scheme)


def _stores(cells: Sequence[C]) -> Iterable[tuple[C, C]]:
    """Yield every cell against the one that differs in nothing but having the reference store."""
    for cell in cells:
        alike = [each for each in cells if _but_store(each) == _but_store(cell) and each.store != NO_STORE]
        reference = next((each for each in alike if each.store == BASELINE_STORE), None)
        reference = reference or next((each for each in alike if each.shared), None)
        if reference and cell.store not in (NO_STORE, reference.store):
            yield cell, reference


def _but_store(cell: CellFacts) -> tuple[object, ...]:
    return cell.scheme, *where(cell), tuple(sorted(cell.options.items()))


def _nearest(cell: C, cells: Sequence[C]) -> list[C]:
    """Return the cells that lack one option of this one; where there are none, the nearest with fewer options.

    An option can bring a store with it (a denylist), so the other cell has the same store or none.
    """
    fewer = [
        each
        for each in cells
        if (each.scheme, where(each)) == (cell.scheme, where(cell))
        and each.store in (cell.store, NO_STORE)
        and each.options.items() < cell.options.items()
    ]
    most = max((len(each.options) for each in fewer), default=0)
    return [each for each in fewer if len(each.options) == most]


def is_usual(cell: C, cells: Sequence[C]) -> bool:
    """Whether no cell of `cells` is the same with fewer options; those that are stand for their scheme and store."""
    return not _nearest(cell, [each for each in cells if each.duplicate_of is None])
