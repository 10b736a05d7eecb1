"""Who was let in that had to be refused, and who was refused that had to be let in; where a run asked.

Counted over every finished trial: a trial that a false accept made invalid is the one that matters most here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.compare import Comparison
from analysis.estimates import CellResult
from analysis.finding import Finding
from analysis.load import Cell, Run
from analysis.proportion import Share, share
from analysis.report.table import Entry, Table
from analysis.section import Section
from analysis.wording import NOTHING, joined, number, percent, series, subject
from loadtests.samples import EXPIRED, FORGED, REVOKED

PLACE = 40
KINDS: Mapping[str, str] = {EXPIRED: "expired", REVOKED: "signed out of", FORGED: "made up"}
"""What had to be refused, in words."""
_TEXT = (
    "Requests that had to be refused carry a credential that had expired, one that its user had signed out of "
    "(and that would be good but for that), or one with a letter changed. Each answer is judged by what was "
    "expected; within 1.2 s of a credential's end nothing is expected either way."
)


@dataclass(frozen=True)
class CellAccuracy:
    """A cell's counts over all trials: let in of each kind, and turned away of what had to be let in."""

    cell: Cell
    let_in: Mapping[str, Share]
    by_design: frozenset[str]
    turned_away: Share
    turned_away_by_operation: Mapping[str, Share]


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:  # noqa: ARG001 - the same for every part
    """Return the part, where some trial was asked what must be refused."""
    found = [each for each in (_of_cell(run, cell) for cell in run.cells) if each]
    if not found:
        return None
    return Section(
        id="accuracy",
        title="Who was let in, and who was turned away",
        text=(_TEXT,),
        answer=tuple(_answer(found)) if run.load.get("scenario") == "churn" else (),
        findings=tuple(_findings(found)),
        tables=(_table(found),),
        document={"cells": [_document(each) for each in found]},
    )


def _of_cell(run: Run, cell: Cell) -> CellAccuracy | None:
    counted = [trial.accuracy for trial in run.trials if trial.cell == cell.id and trial.accuracy]
    if not counted:
        return None
    refuse = _summed(each["must_refuse"] for each in counted)
    accept = _summed(each["must_accept"] for each in counted)
    away = {name: share(row["refused"], row["sent"]) for name, row in accept.items()}
    designed = {name for each in counted for name, row in each["must_refuse"].items() if row["by_design"]}
    return CellAccuracy(
        cell=cell,
        let_in={name: share(row["accepted"], row["sent"]) for name, row in refuse.items()},
        by_design=frozenset(designed),
        turned_away=share(sum(each.count for each in away.values()), sum(each.of for each in away.values())),
        turned_away_by_operation=away,
    )


def _summed(parts: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    sums: dict[str, dict[str, int]] = {}
    for part in parts:
        for name, row in part.items():
            into = sums.setdefault(name, {})
            for key in ("sent", "accepted", "refused", "other"):
                into[key] = into.get(key, 0) + row[key]
    return sums


def _answer(found: Sequence[CellAccuracy]) -> Iterable[str]:
    knowable = [each.let_in[name] for each in found for name in each.let_in if name not in each.by_design]
    wrong = sum(each.count for each in knowable)
    yield (
        f"Of {sum(each.of for each in knowable):,} requests that had to be refused, and whose server could know it, "
        f"{wrong or 'none'} got in."
    )
    yield from (each.text for each in _by_design(found))
    away, sent = sum(each.turned_away.count for each in found), sum(each.turned_away.of for each in found)
    yield f"Of {sent:,} requests that had to be let in, {away or 'none'} {'was' if not away else 'were'} turned away."


def _findings(found: Sequence[CellAccuracy]) -> Iterable[Finding]:
    for each in found:
        for name, let_in in each.let_in.items():
            if let_in.count and name not in each.by_design:
                text = (
                    f"{let_in.count} of {let_in.of} requests with a credential that was {KINDS[name]} were answered as "
                    f"if it counted, by {subject(each.cell)}. That is a fault of the server: those trials are invalid."
                )
                yield Finding(f"let-in-{name}", "finding", "Let in what had to be refused", text, (each.cell.id,))
    yield from _by_design(found)


def _by_design(found: Sequence[CellAccuracy]) -> Iterable[Finding]:
    told = [each for each in found if REVOKED in each.by_design and REVOKED in each.let_in and not _twin(each)]
    if told and any(each.let_in[REVOKED].count for each in told):
        rows = joined(f"{subject(each.cell)} {_of(each.let_in[REVOKED])}" for each in told)
        why = "Who looks at nothing but the credential cannot know it before it expires"
        if any(each.cell.lags for each in told):
            why += "; and where the store's copies lag, one replica does not know yet what another does"
        text = f"A credential that its user had signed out of, and that had not yet expired, was let in: {rows}. {why}."
        yield Finding(
            "accepts-ended", "finding", "Signing out ends nothing", text, tuple(each.cell.id for each in told)
        )


def _twin(each: CellAccuracy) -> bool:
    return each.cell.duplicate_of is not None


def _of(counted: Share) -> str:
    return f"{counted.count:,} of {counted.of:,}"


def _table(found: Sequence[CellAccuracy]) -> Table:
    return Table(
        title="Let in that had to be refused, and turned away that had to be let in",
        columns=("cell", *(f"{word}: let in" for word in KINDS.values()), "good: turned away"),
        rows=tuple(
            (
                Entry(f"{series(each.cell)}, {each.cell.replicas}r" + (" (A/A)" if _twin(each) else "")),
                *(_entry(each.let_in.get(name), designed=name in each.by_design) for name in KINDS),
                _entry(each.turned_away),
            )
            for each in found
        ),
        note="Requests of the measured phase of every finished trial, valid or not. Under each count the 95 % interval "
        "of the share (Clopper and Pearson 1934). By design: the server looks at nothing that would tell it.",
    )


def _entry(counted: Share | None, *, designed: bool = False) -> Entry:
    if counted is None or not counted.of:
        return Entry(NOTHING, "not asked")
    span = f"{number(100 * counted.low, 2)} to {percent(counted.high)}"
    return Entry(_of(counted), f"{span}, by design" if designed and counted.count else span)


def _document(each: CellAccuracy) -> dict[str, Any]:
    return {
        "cell": each.cell.id,
        "let_in": {
            name: {**counted.as_dict(), "by_design": name in each.by_design} for name, counted in each.let_in.items()
        },
        "turned_away": each.turned_away.as_dict(),
        "turned_away_by_operation": {name: row.as_dict() for name, row in each.turned_away_by_operation.items()},
    }
