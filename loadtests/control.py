"""How the harness and the generator keep step: each signal is a file in a folder that both know.

A signal is written under another name and renamed, so that it is there whole or not at all. A generator of several
processes has the folder at its master, which passes the signals on (`conductor`) as Locust's messages (`worker_link`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

VARIABLE = "AUTHSCALE_CONTROL"
SAMPLES_VARIABLE = "AUTHSCALE_SAMPLES"
"""Names the trial's folder to a worker that can write there; one without it sends its samples to the master."""

# harness -> generator -> harness, in this order
LOG_IN, LOGGED_IN = "1-log-in", "2-logged-in"
WARM_UP, WARMED_UP = "3-warm-up", "4-warmed-up"
MEASURE, MEASURED = "5-measure", "6-measured"
FINISH, COUNTS = "7-finish", "8-counts"
LOST = "worker-lost"
"""From the master at any time: a worker is gone, and why the trial counts for nothing."""

# between master and workers, as Locust's messages
SIGNAL, ROUND, VERDICT, CHUNK = (f"authscale-{what}" for what in ("signal", "round", "verdict", "chunk"))


class Channel(Protocol):
    """What a generator process needs to keep step with the harness."""

    def give(self, signal: str, text: str = "") -> None:
        """Give a signal, with a text for the other side."""

    def given(self, signal: str) -> bool:
        """Whether the other side has given a signal."""

    def text_of(self, signal: str) -> str:
        """What came with it."""


@dataclass(frozen=True)
class FolderChannel:
    """A folder that both sides know."""

    folder: Path

    def give(self, signal: str, text: str = "") -> None:
        """Give a signal, with a text for the other side. Raises OSError."""
        draft = self.folder / f".{signal}"
        draft.write_text(text)
        draft.rename(self.folder / signal)

    def given(self, signal: str) -> bool:
        """Whether a signal was given."""
        return (self.folder / signal).exists()

    def text_of(self, signal: str) -> str:
        """What came with it. Raises OSError."""
        return (self.folder / signal).read_text()
