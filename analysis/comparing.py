"""All that is learned from two runs, as values: matched cells, what changed beside them, differences, thresholds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analysis.across import EXACT, Counted, Matched, Timed, counted, floors, timed
from analysis.compare import COMPARED
from analysis.environment import Change, changes
from analysis.estimates import CellResult, estimate_run
from analysis.load import Run
from analysis.thresholds import Judgement, Pairs, judge
from analysis.thresholds import document as judged
from loadtests.thresholds import Threshold, ThresholdError

FORMAT = 1


@dataclass(frozen=True)
class Compared:
    """Two runs compared; every output is made from this and nothing else."""

    a: Run
    b: Run
    changes: tuple[Change, ...]
    forced: bool
    pairs: tuple[Matched, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    timed: tuple[Timed, ...]
    counted: tuple[Counted, ...]
    no_times: str
    thresholds: tuple[Judgement, ...]


def refusals(a: Run, b: Run) -> list[Change]:
    """Return what forbids to compare the two at all."""
    return [change for change in changes(a, b) if change.rule == "refuse"]


def compare_runs(a: Run, b: Run, demanded: Sequence[Threshold] = (), *, forced: bool = False) -> Compared:
    """Return B over A; `forced` compares times of different machines or launchers. Raises `RunError` on bad samples."""
    found = changes(a, b)
    ours, theirs = estimate_run(b), estimate_run(a)
    pairs = _matched(a, b, theirs, ours, forced=forced)
    foreign = any(change.rule == "counts only" for change in found) and not forced
    no_times = "the runs are of different machines or launchers, so times are not compared" if foreign else ""
    times = () if foreign else timed(pairs, floors(theirs, ours))
    counts = counted(pairs)
    twins = {cell.id for run in (a, b) for cell in run.cells if cell.duplicate_of}
    known = twins | {each.cell.id for each in pairs}
    return Compared(
        a=a,
        b=b,
        changes=found,
        forced=forced,
        pairs=pairs,
        only_a=tuple(each.cell.id for each in theirs if each.cell.id not in known),
        only_b=tuple(each.cell.id for each in ours if each.cell.id not in known),
        timed=times,
        counted=counts,
        no_times=no_times,
        thresholds=judge(demanded, ours, Pairs(times, counts, no_times)),
    )


def check_ratios(thresholds: Sequence[Threshold]) -> None:
    """Raise ThresholdError for B/A of a metric that two runs are not compared on."""
    known = (*COMPARED, *EXACT)
    for each in thresholds:
        if each.relative and each.metric not in known:
            raise ThresholdError(f"threshold {each.text!r}: B/A is made of {', '.join(known)}")


def _matched(
    a: Run, b: Run, theirs: Sequence[CellResult], ours: Sequence[CellResult], *, forced: bool
) -> tuple[Matched, ...]:
    """Return the cells that both have: the same id, threads and load. A duplicate is its run's noise, not a cell."""
    by_id = {each.cell.id: each for each in theirs if not each.cell.duplicate_of}
    threads = [{cell["id"]: cell.get("threads") for cell in run.document["cells"]} for run in (a, b)]
    found = [Matched(by_id[each.cell.id], each) for each in ours if each.cell.id in by_id]
    return tuple(
        pair for pair in found if threads[0][pair.cell.id] == threads[1][pair.cell.id] and (forced or _same_load(pair))
    )


def _same_load(pair: Matched) -> bool:
    """Whether a field that both recorded differs; a field of one alone is a warning of `analysis.environment`."""
    a, b = pair.a.cell.load, pair.b.cell.load
    return all(a[name] == b[name] for name in a.keys() & b.keys())


def compare_json(compared: Compared) -> str:
    """Return the text of compare.json; what is not a number is null."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "a": compared.a.document["id"],
        "b": compared.b.document["id"],
        "forced": compared.forced,
        "changes": [asdict(each) for each in compared.changes],
        "no_times": compared.no_times,
        "only_a": list(compared.only_a),
        "only_b": list(compared.only_b),
        "timed": [asdict(each) for each in compared.timed],
        "counted": [asdict(each) for each in compared.counted],
        "thresholds": judged(compared.thresholds),
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    return text.replace(": Infinity", ": null").replace(": NaN", ": null") + "\n"
