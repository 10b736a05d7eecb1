"""Runs without their raw samples: what stands in `distilled.json.gz` in place of `trials/`.

Of each trial the facts of trial.json, the value of every metric and evenly spaced quantiles of its response times; of
each part of the report that only such a run has the part itself, because it may rest on raw samples. It is small enough
to commit, and enough to make every report of the run again.

History of the format: 1, first version.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from analysis.load import Cell, Trial
from analysis.metrics import Measurement, Octets
from analysis.parts import Parts

_QUANTILES = 250
"""Of a trial's response times, at most; a trial of a short experiment has no more requests."""
_DIGITS = 5


def packed(document: Mapping[str, Any]) -> bytes:
    """Return the content of the file; the same document gives the same octets."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=float)
    return gzip.compress(text.encode(), mtime=0)


class Kept:
    """Measures a trial by what was kept of it, as `analysis.metrics.measure` does by its samples."""

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        made = [measurement_of(record) for record in records]
        self._made = {(each.cell, each.block): each for each in made}

    def __call__(self, trial: Trial, cell: Cell) -> Measurement:
        """The measurement of that trial; one that was kept without any is at fault."""
        return self._made[cell.id, trial.block]


def of_measurement(made: Measurement) -> dict[str, Any]:
    """Return a measurement for the file."""
    count = min(made.response_ms.size, _QUANTILES)
    quantiles = np.quantile(made.response_ms, np.linspace(0, 1, count)) if count else np.empty(0)
    rest = {name: getattr(made, name) for name in Measurement.__dataclass_fields__ if name != "response_ms"}
    return {
        **rest,
        "values": dict(made.values),
        "octets": asdict(made.octets),
        "parts": asdict(made.parts) if made.parts else None,
        "response_ms": [float(f"{each:.{_DIGITS}g}") for each in quantiles],
    }


def measurement_of(record: Mapping[str, Any]) -> Measurement:
    """Return the measurement that `of_measurement` wrote; its response times are the quantiles."""
    return Measurement(
        **{
            **record,
            "octets": Octets(**record["octets"]),
            "parts": _parts_of(record["parts"]) if record["parts"] else None,
            "response_ms": np.asarray(record["response_ms"], dtype=np.float64),
        }
    )


def _parts_of(record: Mapping[str, Any]) -> Parts:
    return Parts(**{**record, "outside_grid_ms": tuple(record["outside_grid_ms"])})
