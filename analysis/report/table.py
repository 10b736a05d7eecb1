"""A table as values, for every renderer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A field of a table: what it says, the small print under it, the verdict it is (for its look), and where it leads."""

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
