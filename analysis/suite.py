"""Read a suite: several runs made by one command, each in a folder of its own below the suite's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.load import RunError

SUITE, LAB = "suite.json", "lab.json"
FORMAT = 1


@dataclass(frozen=True)
class Part:
    """One run of a suite; `finished` is when it ended, None of one that did not."""

    name: str
    experiment: str
    folder: Path
    finished: str | None
    left_out: str  # why there is no such run; empty where there is one


@dataclass(frozen=True)
class Suite:
    """A suite's own facts (suite.json) and its parts, in order."""

    folder: Path
    document: Mapping[str, Any]
    parts: tuple[Part, ...]

    @property
    def runs(self) -> tuple[Part, ...]:
        """The parts that there are."""
        return tuple(part for part in self.parts if not part.left_out and part.folder.is_dir())


def load_suite(folder: Path) -> Suite:
    """Read the suite in `folder`, links followed. Raises RunError where there is none or it is damaged."""
    folder = folder.resolve()
    path = folder / SUITE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise RunError(
                f"{SUITE} has format {document['format']!r}, and this reader knows {FORMAT}",
                where=path,
                hint="read it with the revision of authscale that wrote it",
            )
        parts = tuple(
            Part(part["name"], part["experiment"], folder / part["name"], part["finished"], part.get("left_out", ""))
            for part in document["parts"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{SUITE} cannot be read: {error}", where=path, hint="name a suite's own folder") from error
    return Suite(folder, document, parts)
