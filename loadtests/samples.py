"""The sample: one request as the client saw it. The schema here is the contract with `analysis`.

History of the format (`FORMAT`, kept in the Parquet metadata under `authscale_samples`):

1. first version.
2. `app_ns`; read from a file of format 1 it is -1.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

FORMAT = 2
READABLE = (1, 2)
ADDED = {"app_ns": -1}
"""Columns that files of an older format lack, and what stands for them there."""
METADATA_KEY = b"authscale_samples"

LOGIN, WARM_UP, MEASURED = "login", "warm-up", "measured"
"""The phases of a trial; figures are made from `measured` alone."""

OK = "ok"
REFUSED = "refused"  # a 401 to a user who is signed in
ERROR = "error"  # any other answer that was not the expected one, or a body that names another user
TIMEOUT = "timeout"
FAILED = "failed"  # no answer: connection refused, reset, closed early
DROPPED = "dropped"  # due, and never sent: its user was still busy when the trial ended
ACCEPTED = "accepted"  # a request of `MUST_REFUSE` that was answered as if its credential counted
OUTDATED = "outdated"  # answered, without a change that was acknowledged in the same sign-in; only `counter` looks
OUTCOMES = (OK, REFUSED, ERROR, TIMEOUT, FAILED, DROPPED, ACCEPTED, OUTDATED)

EXPIRED, REVOKED, FORGED = "me-expired", "me-revoked", "me-forged"
MUST_REFUSE = (EXPIRED, REVOKED, FORGED)
"""Operations whose credential does not count, so that a 401 is what is `ok`: GET /me with one that has expired, that
was signed out of, or that nobody issued."""

_COLUMNS: list[tuple[str, Any]] = [
    # nanoseconds of the generator's monotonic clock; comparable within one file only
    ("due_ns", pa.int64()),
    ("started_ns", pa.int64()),
    ("first_byte_ns", pa.int64()),
    ("ended_ns", pa.int64()),
    ("user_was_busy", pa.bool_()),
    ("user", pa.int32()),
    ("operation", pa.dictionary(pa.int8(), pa.string())),
    ("phase", pa.dictionary(pa.int8(), pa.string())),
    ("status", pa.int16()),
    ("outcome", pa.dictionary(pa.int8(), pa.string())),
    ("replica", pa.dictionary(pa.int16(), pa.string())),
    # octets on the socket
    ("request_head_bytes", pa.int32()),
    ("request_body_bytes", pa.int32()),
    ("response_head_bytes", pa.int32()),
    ("response_body_bytes", pa.int32()),
    ("credential_bytes", pa.int32()),
    # what the replica said in Server-Timing, nanoseconds; -1 where there was no answer
    ("auth_ns", pa.int64()),
    ("store_ns", pa.int64()),
    ("queue_ns", pa.int64()),
    ("app_ns", pa.int64()),
    ("connection_reused", pa.bool_()),
]
SCHEMA = pa.schema(_COLUMNS, metadata={METADATA_KEY: str(FORMAT).encode()})
ROWS_PER_GROUP = 1 << 20


def write(path: Path, parts: Iterable[pa.Table]) -> None:
    """Write samples, tables of `SCHEMA`; the file has its name only when it is whole. Raises OSError."""
    draft = path.with_suffix(".tmp")
    with pq.ParquetWriter(draft, SCHEMA, compression="zstd") as writer:
        for part in parts:
            writer.write_table(part, ROWS_PER_GROUP)
    draft.rename(path)


def among(column: pa.ChunkedArray[Any], *names: str) -> NDArray[np.bool_]:
    """Return which rows of a dictionary column hold one of the names.

    Names are looked up once per dictionary and rows by their code: a string per row costs more than all else that
    reads samples. Chunks, as of several files, may have dictionaries of their own.
    """
    found = [np.isin(_names(chunk), names)[_codes(chunk)] for chunk in _chunks(column)]
    return np.concatenate(found) if found else np.empty(0, dtype=np.bool_)


def counts(column: pa.ChunkedArray[Any], rows: NDArray[np.bool_]) -> dict[str, int]:
    """Return how many of the rows chosen hold each name of a dictionary column; names in order, none of count 0."""
    found: dict[str, int] = {}
    start = 0
    for chunk in _chunks(column):
        chosen = _codes(chunk)[rows[start : start + len(chunk)]]
        start += len(chunk)
        for name, number in zip(_names(chunk), np.bincount(chosen, minlength=len(chunk.dictionary)), strict=True):
            found[name] = found.get(name, 0) + int(number)
    return {name: found[name] for name in sorted(found) if found[name]}


def counts_by(
    column: pa.ChunkedArray[Any], within: pa.ChunkedArray[Any], rows: NDArray[np.bool_]
) -> dict[str, dict[str, int]]:
    """Return, for each name of a dictionary column that some chosen row holds, the `counts` of another column there."""
    return {name: counts(within, rows & among(column, name)) for name in counts(column, rows)}


def _chunks(column: pa.ChunkedArray[Any]) -> list[pa.DictionaryArray[Any, Any]]:
    return cast("list[pa.DictionaryArray[Any, Any]]", column.chunks)


def _codes(chunk: pa.DictionaryArray[Any, Any]) -> NDArray[np.integer[Any]]:
    return np.asarray(chunk.indices)


def _names(chunk: pa.DictionaryArray[Any, Any]) -> list[str]:
    return [str(name) for name in chunk.dictionary.to_pylist()]
