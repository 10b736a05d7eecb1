"""Keeps every sample of one generator process, and writes them to Parquet in the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from loadtests import server_timing
from loadtests.samples import ROWS_PER_GROUP, SCHEMA, write

_FROM_SERVER_TIMING = server_timing.ServerTiming._fields
COLUMNS = (*(name for name in SCHEMA.names if name not in _FROM_SERVER_TIMING), "server_timing")
"""What a sample is given as: the schema's columns, and for those that Server-Timing holds the field as it came."""
_WIDTH = len(COLUMNS)


class Recorder:
    """Samples in memory, value after value in one list: one call to extend it is all that happens while the load runs.

    There is no object per sample, which the garbage collector would have to visit; columns are made, and Server-Timing
    is read, when the samples are written.
    """

    def __init__(self) -> None:
        self._values: list[Any] = []

    def __len__(self) -> int:
        return len(self._values) // _WIDTH

    def add(self, *values: Any) -> None:
        """One sample, its values in the order of `COLUMNS`."""
        if len(values) != _WIDTH:
            raise ValueError(f"a sample has {_WIDTH} values, not {len(values)}")
        self._values.extend(values)

    def write(self, path: Path) -> None:
        """Write all samples; the file appears under its name only when it is whole. Raises OSError."""
        step = ROWS_PER_GROUP * _WIDTH
        write(path, (_table(self._values[start : start + step]) for start in range(0, len(self._values), step)))


def _table(values: list[Any]) -> pa.Table:
    columns: dict[str, Sequence[Any]] = {name: values[place::_WIDTH] for place, name in enumerate(COLUMNS)}
    timings = [server_timing.parse(field) for field in columns.pop("server_timing")]
    columns |= dict(zip(_FROM_SERVER_TIMING, zip(*timings, strict=True), strict=True))
    return pa.Table.from_arrays(
        [
            pa.array(columns[name], kind.value_type).dictionary_encode().cast(kind)
            if pa.types.is_dictionary(kind)
            else pa.array(columns[name], kind)
            for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)
        ],
        schema=SCHEMA,
    )
