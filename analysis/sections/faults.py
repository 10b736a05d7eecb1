"""What users notice when a replica or a store dies, stands still, or comes back (study `faults`)."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.compare import Comparison
from analysis.estimates import CellResult
from analysis.fault_claims import claims
from analysis.fault_figures import timeline
from analysis.fault_results import FaultResult, fault_results
from analysis.fault_trials import FIGURES
from analysis.fault_words import TITLES, faults_of, findings, name, sentence, table
from analysis.load import Run
from analysis.recovery import HOLD, WINDOW_S
from analysis.section import Section
from analysis.wording import capital

PLACE = 60
_TEXT = (
    "Each trial has a steady part, its own baseline, and then one fault. A request that fails is not repeated; who is "
    "refused signs in again. Users change their state, and each answer is held against the last change that was "
    "acknowledged in the same sign-in."
)


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:
    """Return the part on faults, of a run of that study."""
    del results, comparisons  # of healthy servers; a run of this study has none
    if run.study["kind"] != "faults":
        return None
    found = fault_results(run)
    faults = faults_of(found)
    return Section(
        id="faults",
        title="Faults",
        text=(_TEXT,),
        answer=_answer(found),
        findings=findings(found),
        tables=tuple(table(fault, found) for fault in faults),
        figures=tuple(timeline(fault, found) for fault in faults if any(_of(fault, found))),
        document={
            "window_s": WINDOW_S,
            "hold_windows": HOLD,
            "figures": dict(FIGURES),
            "cells": [each.document() for each in found],
            "claims": claims(found),
        },
    )


def _of(fault: str, results: Sequence[FaultResult]) -> list[FaultResult]:
    return [each for each in results if each.cell.case == fault and each.trials]


def _noticed(result: FaultResult) -> tuple[float, float]:
    return result.value("users_signed_out_share") or 0.0, result.value("failed") or 0.0


def _answer(results: Sequence[FaultResult]) -> tuple[str, ...]:
    """One sentence for each fault: of the cell in which most users had to sign in again, and of the one with least."""
    told = []
    for fault in faults_of(results):
        ranked = sorted(_of(fault, results), key=_noticed)
        if not ranked:
            continue
        best, worst = ranked[0], ranked[-1]
        rest = f"; {name(best)}: {sentence(best)}" if best is not worst else ""
        told.append(f"{capital(TITLES.get(fault, fault))}. {capital(name(worst))}: {sentence(worst)}{rest}.")
    return tuple(told)
