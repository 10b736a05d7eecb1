"""A table as values, for every renderer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A field of a table: what it says, the small print under it, and the verdict it is (for its look)."""

    text: str
    small: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    note: str = ""
