"""Octets of store memory that one session takes, from a run of the experiment `sessions`, if it was one.

Read from `sections.memory` of a run's summary.json: `cells`, each with its scheme, its store and `per_session`, slopes
with intervals by what was read. What is not there was not measured, and is told so: no figure is made up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.estimates import Estimate

_READINGS = ("store_bytes", "disk_blocks_bytes", "replica_rss_bytes")
"""Slopes that tell what a session takes, the first that there is: by the store's own count, on disk, in the replica."""
_IN_REPLICA = ("memory",)
"""Stores for which the replica's growth is the store's."""
HINT = "not measured in this run; `make bench EXPERIMENT=sessions` measures it"


def bytes_per_session(folder: Path) -> Mapping[tuple[str, str], Estimate]:
    """Return the slope by scheme and store of the run in a folder; empty where nothing of the kind was measured."""
    try:
        document = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    section = (document.get("sections") or {}).get("memory") if isinstance(document, dict) else None
    cells = section.get("cells") if isinstance(section, dict) else None
    found: dict[tuple[str, str], Estimate] = {}
    for cell in cells if isinstance(cells, list) else ():
        slope = _slope(cell) if isinstance(cell, dict) else None
        if slope:
            found.setdefault((str(cell.get("scheme")), str(cell.get("store"))), slope)
    return found


def _slope(cell: Mapping[str, Any]) -> Estimate | None:
    read = cell.get("per_session")
    if not isinstance(read, dict):
        return None
    for name in _READINGS:
        line = read.get(name)
        if name == "replica_rss_bytes" and cell.get("store") not in _IN_REPLICA:
            continue
        if isinstance(line, dict) and isinstance(line.get("value"), (int, float)):
            return Estimate(line["value"], line.get("low"), line.get("high"), 0)
    return None
