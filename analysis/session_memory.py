"""Octets of store memory that one session takes, from a run of the experiment `sessions`, if it was one.

Read from `sections.memory` of a run's summary.json: a list of rows, each with its scheme and store and a slope with an
interval. What is not there was not measured, and is told so: no figure is made up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.estimates import Estimate

_SLOPES = ("store_bytes_per_session", "bytes_per_session")
HINT = "not measured in this run; `make bench EXPERIMENT=sessions` measures it"


def bytes_per_session(folder: Path) -> Mapping[tuple[str, str], Estimate]:
    """Return the slope by scheme and store of the run in a folder; empty where nothing of the kind was measured."""
    try:
        document = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    section = (document.get("sections") or {}).get("memory") if isinstance(document, dict) else None
    found: dict[tuple[str, str], Estimate] = {}
    for row in _rows(section):
        slope = next((row[name] for name in _SLOPES if isinstance(row.get(name), dict)), None)
        if slope and "scheme" in row and isinstance(slope.get("value"), (int, float)):
            key = str(row["scheme"]), str(row.get("store", "none"))
            found.setdefault(key, Estimate(slope["value"], slope.get("low"), slope.get("high"), 0))
    return found


def _rows(section: Any) -> Iterator[Mapping[str, Any]]:
    """Give every object in the lists of a section, whatever the lists are called."""
    if isinstance(section, dict):
        for each in section.values():
            if isinstance(each, list):
                yield from (row for row in each if isinstance(row, dict))
