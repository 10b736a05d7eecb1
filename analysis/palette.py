"""One colour per scheme and store, the same in every figure of every run, on light and on dark paper.

The hues are Okabe and Ito's (2008), which people with a colour-vision deficiency tell apart; each is darkened for
light paper or lightened for dark until it has a contrast of 3:1 at least. Markers tell series apart a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from analysis.load import Cell


@dataclass(frozen=True)
class Ink:
    """A colour as the figures draw it (`light`, unique among all inks), its dark twin, and its CSS variable."""

    name: str
    light: str
    dark: str
    marker: str = "o"


KNOWN = {
    ("control", "none"): Ink("control", "#70757d", "#a3a9b3", "s"),
    ("session", "memory"): Ink("session-memory", "#c27c00", "#f0b23e", "^"),
    ("session", "redis"): Ink("session-redis", "#0072b2", "#5ab4ec", "D"),
    ("token", "none"): Ink("token", "#00875f", "#2fc897", "o"),
}
SPARE = (
    Ink("spare-1", "#8f2f6b", "#f5b5de", "v"),
    Ink("spare-2", "#c44e00", "#ff8d4d", "P"),
    Ink("spare-3", "#2b84a8", "#79cdf0", "X"),
    Ink("spare-4", "#8c8000", "#ddd04a", "<"),
    Ink("spare-5", "#6a51a3", "#9c88e3", ">"),
    Ink("spare-6", "#8c2d19", "#e58a76", "p"),
)
SCHEMES = {
    "control": KNOWN["control", "none"],
    "session": KNOWN["session", "redis"],
    "token": KNOWN["token", "none"],
    "hybrid": SPARE[0],
    "signed_cookie": SPARE[1],
    "flask-session": SPARE[4],
    "flask-jwt-extended": SPARE[3],
}
"""One ink a scheme, whatever its store; sessions alone have one a store, since stores are what they differ by."""
SESSION_STORES = {
    "memory": KNOWN["session", "memory"],
    "redis": KNOWN["session", "redis"],
    "postgres": SPARE[5],
    "memcached": SPARE[2],
    "file": Ink("session-file", "#6b6f1e", "#c3c765", "h"),
    "sqlite": Ink("session-sqlite", "#96663a", "#d9a878", "d"),
    "redis-cluster": Ink("session-redis-cluster", "#3d5fc9", "#8fa6f5", "*"),
    "replicated": Ink("session-replicated", "#a8477a", "#ee93c0", "H"),
}
TEXT = Ink("text", "#1c2128", "#e6e9ee")
MUTED = Ink("muted", "#5a6270", "#a0a8b5")
GRID = Ink("grid", "#dfe3e8", "#363c46")
BAND = Ink("band", "#e9edf2", "#2c323b")
PARTS = (
    Ink("part-1", "#4b4fa8", "#9aa0f2"),
    Ink("part-2", "#8f95cc", "#6a6fc0"),
    Ink("part-3", "#c9cce6", "#454a7c"),
    Ink("part-4", "#d08a3c", "#b9772b"),
    Ink("part-5", "#8b919b", "#868d98"),
    Ink("part-6", "#dcb98a", "#7a5a30"),
)
"""Parts of a stacked bar, the one that matters first; no hue of a series."""

_OF_STORES = tuple(ink for ink in SESSION_STORES.values() if ink not in KNOWN.values() and ink not in SPARE)
INKS = (*KNOWN.values(), *SPARE, *_OF_STORES, TEXT, MUTED, GRID, BAND, *PARTS)


_OF_TARGETS = (KNOWN["token", "none"], KNOWN["session", "redis"], *SPARE)
"""Of services that others named, in the order of the run's file: their names say nothing."""


def inks(cells: Sequence[Cell]) -> dict[tuple[str, str], Ink]:
    """Return the ink of each (scheme, store) of a run."""
    return {(cell.scheme, cell.store): _ink(cell, cells) for cell in cells}


def scheme_inks(cells: Sequence[Cell]) -> dict[str, Ink]:
    """Return the ink of each scheme of a run."""
    return {cell.scheme: _ink(cell, cells) if cell.is_target else ink_of(cell.scheme) for cell in cells}


def _ink(cell: Cell, cells: Sequence[Cell]) -> Ink:
    if not cell.is_target:
        return ink_of(cell.scheme, cell.store)
    names = list(dict.fromkeys(each.scheme for each in cells))
    return _OF_TARGETS[names.index(cell.scheme) % len(_OF_TARGETS)]


def ink_of(scheme: str, store: str | None = None) -> Ink:
    """Return the one ink of a scheme, or of a scheme on a store: by name alone, so that no run gives it another.

    A scheme that has none of its own takes one of those that no known scheme has, by a checksum of its name.
    """
    if scheme == "session" and store in SESSION_STORES:
        return SESSION_STORES[store]
    return SCHEMES.get(scheme) or _UNUSED[crc32(scheme.encode()) % len(_UNUSED)]


_UNUSED = tuple(ink for ink in SPARE if ink not in SCHEMES.values())
