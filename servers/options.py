"""An option of a scheme or a store: an axis of an experiment, and a variable of a replica's environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """What a value may be, and where it stands.

    Attributes:
        name: as in experiment files and cells, for example `algorithm`.
        variable: of the replica's environment, for example `TOKEN_ALGORITHM`.
        default: what holds when nothing is said; it does not show in a cell's id.
        meaning: one line for people.
        values: all there are; empty for a whole number between `low` and `high`.
        parse: raises ValueError for a text that is no value; None for one of `values`, or a whole number.
        surrounds: it is no part of authentication: cells are compared where it is equal, and at each of its values.

    """

    name: str
    variable: str
    default: str
    meaning: str
    values: tuple[str, ...] = ()
    low: int = 0
    high: int = 0
    parse: Callable[[str], object] | None = None
    surrounds: bool = False

    def check(self, value: str) -> str:
        """`value`, if it is one of this option's; otherwise a ValueError that says which ones there are."""
        if self.parse is not None:
            try:
                self.parse(value)
            except ValueError as error:
                raise ValueError(f"{self.name}: {error}") from error
        elif self.values:
            if value not in self.values:
                raise ValueError(f"{self.name} {value!r} is unknown; there are: {', '.join(self.values)}")
        elif not value.isascii() or not value.isdecimal() or not self.low <= int(value) <= self.high:
            raise ValueError(f"{self.name} must be a whole number from {self.low} to {self.high}, not {value!r}")
        return value
