"""Keeps every sample of one generator process, and writes them to Parquet in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from loadtests.samples import SCHEMA, write


class Recorder:
    """Samples in memory, one list per column: appending is all that happens while the load runs."""

    def __init__(self) -> None:
        self._columns: tuple[list[Any], ...] = tuple([] for _ in SCHEMA)

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, *values: Any) -> None:
        """One sample, its values in the order of `samples.SCHEMA`."""
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)

    def write(self, path: Path) -> None:
        """Write all samples; the file appears under its name only when it is whole. Raises OSError."""
        arrays = [
            pa.array(column, kind.value_type).dictionary_encode().cast(kind)
            if pa.types.is_dictionary(kind)
            else pa.array(column, kind)
            for column, kind in zip(self._columns, SCHEMA.types, strict=True)
        ]
        write(path, arrays)
