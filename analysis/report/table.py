"""A table as values, for every renderer."""

from __future__ import annotations

from dataclasses import dataclass

_LONG = 40
"""Letters above which a field is a sentence."""


@dataclass(frozen=True)
class Entry:
    """A field of a table: what it says, the small print under it, its verdict (for its look), where it leads."""

    text: str
    small: str = ""
    verdict: str = ""
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows; with `cards` each row is a card where the page is narrow."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    note: str = ""
    cards: bool = False

    @property
    def prose(self) -> tuple[bool, ...]:
        """Whether each column holds sentences, which stand to the left."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.columns)
        return tuple(any(len(entry.text) > _LONG for entry in column) for column in columns)
