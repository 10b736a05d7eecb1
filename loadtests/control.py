"""How the harness and the generator keep step: each signal is a file in a folder that both know.

A signal is written under another name and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

from pathlib import Path

VARIABLE = "AUTHSCALE_CONTROL"

# harness -> generator -> harness, in this order
LOG_IN, LOGGED_IN = "1-log-in", "2-logged-in"
WARM_UP, WARMED_UP = "3-warm-up", "4-warmed-up"
MEASURE, MEASURED = "5-measure", "6-measured"
FINISH, COUNTS = "7-finish", "8-counts"


def give(folder: Path, signal: str, text: str = "") -> None:
    """Give a signal, with a text for the other side."""
    draft = folder / f".{signal}"
    draft.write_text(text)
    draft.rename(folder / signal)


def given(folder: Path, signal: str) -> bool:
    """Whether a signal was given."""
    return (folder / signal).exists()


def text_of(folder: Path, signal: str) -> str:
    """What came with it."""
    return (folder / signal).read_text()
