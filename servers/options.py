"""An option of a scheme or a store: an axis of an experiment, and a variable of a replica's environment."""

from __future__ import annotations

import re
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
        values: all there are; empty for a number between `low` and `high`.
        places: decimals that a number may have; a number is written in one way alone, as it stands in a cell's id.
        parse: raises ValueError for a text that is no value; None for one of `values`, or a number.
        surrounds: it is no part of authentication: cells are compared where it is equal, and at each of its values.

    """

    name: str
    variable: str
    default: str
    meaning: str
    values: tuple[str, ...] = ()
    low: int = 0
    high: int = 0
    places: int = 0
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
        elif self.places:
            self._check_decimal(value)
        elif not value.isascii() or not value.isdecimal() or not self.low <= int(value) <= self.high:
            raise ValueError(f"{self.name} must be a whole number from {self.low} to {self.high}, not {value!r}")
        return value

    def _check_decimal(self, value: str) -> None:
        if (
            not re.fullmatch(rf"[0-9]+(\.[0-9]{{1,{self.places}}})?", value)
            or not self.low <= float(value) <= self.high
        ):
            raise ValueError(
                f"{self.name} must be a number from {self.low} to {self.high} with {self.places} decimals at most, "
                f"not {value!r}"
            )
        whole, _, rest = value.partition(".")
        rest = rest.rstrip("0")
        written = f"{int(whole)}{'.' if rest else ''}{rest}"
        if value != written:
            raise ValueError(f"{self.name} {value!r} is written {written}")
