"""Known truth: the quantiles that the generator recovered from the calibration server, and the checks of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from analysis.load import RunError
from analysis.metrics import Floats
from loadtests import samples as contract

FORMAT = 1
"""Of validation.json, calibration.json and accounting.json, and of what is written: validate.json."""

SHARE, LEAST_MS = 0.05, 0.3
"""A quantile is recovered when it lies within 5 % of the truth, or within 0.3 ms."""


@dataclass(frozen=True)
class Check:
    """One thing that was judged. `value` passes at `limit` or less, but where `detail` says otherwise."""

    name: str
    passed: bool
    value: float
    limit: float
    unit: str
    detail: str
    group: str


@dataclass(frozen=True)
class Recovered:
    """A law's quantile: the truth, what was measured, and what a tool that omits the wait would show, ms."""

    law: str
    title: str
    share: float
    true_ms: float
    measured_ms: float
    uncorrected_ms: float


def read_document(path: Path) -> dict[str, Any]:
    """Read one JSON document of this format. Raises RunError."""
    hint = "run `make validate` again"
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path.name} is missing or damaged ({error})", where=path.parent, hint=hint) from error
    if document.get("format") != FORMAT:
        raise RunError(f"{path.name} has format {document.get('format')!r}, not {FORMAT}", where=path, hint=hint)
    return document


def read_samples(folder: Path) -> Any:
    """Read samples.parquet of a part of the validation. Raises RunError."""
    path = folder / "samples.parquet"
    try:
        return pq.read_table(path).to_pandas()
    except (OSError, ValueError) as error:  # what pyarrow raises is one of them
        raise RunError(f"{path.name} is missing or damaged", where=folder, hint="run `make validate` again") from error


def recover(folder: Path) -> Iterable[Recovered]:
    """Yield every quantile of one law: as every report makes it, and without the wait."""
    document, table = read_document(folder / "calibration.json"), read_samples(folder)
    measured = table[(table["phase"] == contract.MEASURED) & (table["status"] > 0)]
    service: Floats = ((measured["ended_ns"] - measured["started_ns"]) / 1e6).to_numpy()
    since_due: Floats = ((measured["ended_ns"] - measured["due_ns"]) / 1e6).to_numpy()
    response = np.where(measured["user_was_busy"].to_numpy(), since_due, service)
    if not response.size:
        raise RunError("no request was answered", where=folder, hint="read logs/locust.log there")
    for share, true_ms in zip(document["quantiles"], document["truth_ms"], strict=True):
        found, uncorrected = (float(np.quantile(each, share)) for each in (response, service))
        yield Recovered(document["law"]["name"], document["law"]["title"], share, true_ms, found, uncorrected)


def judge_recovered(each: Recovered) -> Check:
    """Within 5 % of the truth, or 0.3 ms."""
    error_ms, limit_ms = abs(each.measured_ms - each.true_ms), max(SHARE * each.true_ms, LEAST_MS)
    return Check(
        name=f"{each.law} {quantile_name(each.share)}",
        passed=error_ms <= limit_ms,
        value=error_ms,
        limit=limit_ms,
        unit="ms",
        detail=f"true {each.true_ms:.2f}, measured {each.measured_ms:.2f}, uncorrected {each.uncorrected_ms:.2f} ms",
        group="known truth",
    )


def judge_sent(folder: Path) -> Check:
    """Every due request was sent, and answered as expected, by a server that counts as many."""
    document, table = read_document(folder / "calibration.json"), read_samples(folder)
    measured = table[table["phase"] == contract.MEASURED]
    wrong = int((measured["outcome"] != contract.OK).sum())
    missing = abs(document["server"]["requests"] - len(measured))
    return Check(
        name=f"{document['law']['name']} samples",
        passed=wrong + missing == 0,
        value=wrong + missing,
        limit=0,
        unit="requests",
        detail=f"the server answered {document['server']['requests']}, recorded {len(measured)}, {wrong} not ok",
        group="known truth",
    )


def judge_server(folder: Path) -> Check:
    """The server gave what it states: otherwise the check of the quantiles says nothing about the generator."""
    document = read_document(folder / "calibration.json")
    late_ms = document["server"]["late_us"]["p99"] / 1000
    return Check(
        name=f"{document['law']['name']} server on time",
        passed=late_ms <= LEAST_MS,
        value=late_ms,
        limit=LEAST_MS,
        unit="ms",
        detail=f"late by p50 {document['server']['late_us']['p50']:.0f}, p99 {1000 * late_ms:.0f} us by its own clock; "
        "more than the limit: other programs had its core, try again on a quiet machine",
        group="known truth",
    )


def quantile_name(share: float) -> str:
    """Return `p99.9`."""
    return f"p{100 * share:g}"
