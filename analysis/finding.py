"""What a finding is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One sentence or two on what was found, the cells it is about, and whether it limits the other findings."""

    id: str
    kind: Literal["finding", "caution"]
    title: str
    text: str
    cells: tuple[str, ...]
