"""An option of a scheme or a store: an axis of an experiment, and a variable of a replica's environment."""

from __future__ import annotations

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

    """

    name: str
    variable: str
    default: str
    meaning: str
    values: tuple[str, ...] = ()
    low: int = 0
    high: int = 0

    def check(self, value: str) -> str:
        """`value`, if it is one of this option's; otherwise a ValueError that says which ones there are."""
        if self.values:
            if value not in self.values:
                raise ValueError(f"{self.name} {value!r} is unknown; there are: {', '.join(self.values)}")
        elif not value.isascii() or not value.isdecimal() or not self.low <= int(value) <= self.high:
            raise ValueError(f"{self.name} must be a whole number from {self.low} to {self.high}, not {value!r}")
        return value
