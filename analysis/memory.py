"""What a run on sessions says: what one more signed-in user occupies, how long a look-up takes, that they expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analysis.estimates import Estimate, estimate
from analysis.load import Cell, Run
from analysis.order_statistics import Quantile, Share, quantile, share
from analysis.slope import Line, least_squares, over_blocks

KIND = "sessions"
GROWTH, EXPIRY = "growth", "expiry"
READINGS = {
    "store_bytes": "store, by its own count",
    "store_pss_bytes": "store's processes",
    "disk_bytes": "files, length",
    "disk_blocks_bytes": "files, on disk",
    "files": "number of files",
    "replica_rss_bytes": "replica's process",
}
"""What is read, and its name for people; octets, but for `files`."""


@dataclass(frozen=True)
class Growth:
    """One cell: a line by reading (what it has not is not there), and the median auth time in us by sessions."""

    cell: Cell
    way: str
    lines: Mapping[str, Line]
    readings: Mapping[str, tuple[tuple[int, float], ...]]
    auth_us: Mapping[int, Quantile]
    auth_ratio: Estimate
    """Of the median among the most users to that among the fewest: over blocks."""
    refused: int


@dataclass(frozen=True)
class Expiry:
    """Sessions that were left alone, over the valid trials of one cell.

    Attributes:
        idle_s: their idle limit.
        refused: the share refused when all were asked for at last, in `asked_after_s`.
        made: sessions of a trial.
        keys: records by the store's own count before the sign-ins, after them and when the watch ended, of the last
            trial; None where no server counts.
        last_gone_s: when the count last fell, seconds after the sign-ins, the latest over trials; None where it never
            did.

    """

    cell: Cell
    idle_s: int
    refused: Share
    asked_after_s: float
    made: int
    keys: tuple[int, int, int] | None
    last_gone_s: float | None


def growths(run: Run) -> tuple[Growth, ...]:
    """Return the growth of each cell, in the order of the run; empty for a run of another study."""
    return tuple(_growth(cell, found) for cell, found in _found(run, GROWTH))


def expiries(run: Run) -> tuple[Expiry, ...]:
    """Return the expiry of each cell that has one; empty for a run of another study."""
    return tuple(_expiry(cell, found) for cell, found in _found(run, EXPIRY))


def _found(run: Run, case: str) -> list[tuple[Cell, list[Mapping[str, Any]]]]:
    if run.study.get("kind") != KIND:
        return []
    by_cell = [
        (cell, [each.study for each in run.trials if each.cell == cell.id and each.valid and each.study])
        for cell in run.cells
        if cell.case == case
    ]
    return [(cell, found) for cell, found in by_cell if found]


def _growth(cell: Cell, found: Sequence[Mapping[str, Any]]) -> Growth:
    lines, readings = {}, {}
    for name in READINGS:
        series = [
            [(point["sessions"], float(point[name])) for point in each["points"] if point[name] is not None]
            for each in found
        ]
        if all(len(each) > 1 for each in series):
            lines[name] = over_blocks([least_squares(*zip(*each, strict=True)) for each in series])
            readings[name] = tuple(sorted(pair for each in series for pair in each))
    points = [point for each in found for point in each["points"] if point["sessions"]]
    counts = sorted({point["sessions"] for point in points})
    times = {at: [us for point in points if point["sessions"] == at for us in point["auth_us"]] for at in counts}
    return Growth(
        cell=cell,
        way=str(found[0]["way"]),
        lines=lines,
        readings=readings,
        auth_us={at: quantile(values, (), 0.5) for at, values in times.items() if values},
        auth_ratio=estimate([ratio for each in found if (ratio := _ratio(each["points"]))], positive=True),
        refused=sum(point["refused"] for point in points),
    )


def _ratio(points: Sequence[Mapping[str, Any]]) -> float | None:
    timed = [quantile(each["auth_us"], (), 0.5).value for each in points if each.get("auth_us")]
    return timed[-1] / timed[0] if len(timed) > 1 and timed[0] and timed[-1] else None


def _expiry(cell: Cell, found: Sequence[Mapping[str, Any]]) -> Expiry:
    counted = [each for each in found if each["keys"]]
    last = counted[-1] if counted else None
    falls = [each["keys"][-1][0] for each in counted if len(each["keys"]) > 1]
    return Expiry(
        cell=cell,
        idle_s=int(found[0]["idle_s"]),
        refused=share(sum(each["refused"] for each in found), sum(each["asked"] for each in found)),
        asked_after_s=max(each["asked_after_s"] for each in found),
        made=int(found[0]["made"]),
        keys=(last["keys_before"], last["keys"][0][1], last["keys"][-1][1]) if last else None,
        last_gone_s=max(falls, default=None),
    )


def document(growth: Sequence[Growth], expiry: Sequence[Expiry]) -> dict[str, Any]:
    """Return all of it for summary.json; octets a session, microseconds, seconds."""
    return {
        "cells": [
            {
                "cell": each.cell.id,
                "scheme": each.cell.scheme,
                "store": each.cell.store,
                "way": each.way,
                "per_session": {name: _line(line) for name, line in each.lines.items()},
                "auth_p50_us": {str(at): asdict(found) for at, found in each.auth_us.items()},
                "auth_ratio": {
                    "value": each.auth_ratio.value,
                    "low": each.auth_ratio.low,
                    "high": each.auth_ratio.high,
                },
                "refused": each.refused,
            }
            for each in growth
        ],
        "expiry": [
            {
                "cell": each.cell.id,
                "store": each.cell.store,
                "idle_s": each.idle_s,
                "refused": asdict(each.refused),
                "asked_after_s": each.asked_after_s,
                "made": each.made,
                "records": each.keys
                and dict(zip(("before", "signed_in", "without_a_request"), each.keys, strict=True)),
                "last_gone_s": each.last_gone_s,
            }
            for each in expiry
        ],
    }


def _line(line: Line) -> dict[str, Any]:
    ends = {"value": line.slope.value, "low": line.slope.low, "high": line.slope.high}
    without = {"value": line.intercept.value, "low": line.intercept.low, "high": line.intercept.high}
    return ends | {"intercept": without, "interval_over": "blocks" if line.over_blocks else "points"}
