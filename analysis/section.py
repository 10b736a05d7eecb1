"""A part of the report that only some runs have, as values; the parts are files in `analysis/sections/`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis import sections
from analysis.compare import Comparison
from analysis.estimates import CellResult
from analysis.finding import Finding
from analysis.lines import Figure
from analysis.load import Run
from analysis.report.table import Table


@dataclass(frozen=True)
class Section:
    """What one part says.

    Attributes:
        id: unique on the page and in summary.json.
        title: its heading.
        text: paragraphs under it.
        answer: sentences that open the report, where the run was made to answer this.
        findings: added to the report's.
        tables: in order.
        figures: in order, above the tables.
        document: for summary.json, under `sections` and the id.
        terminal: lines for a terminal of 80 columns; without any, the answer.

    """

    id: str
    title: str
    text: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)
    terminal: tuple[str, ...] = ()


def sections_of(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> tuple[Section, ...]:
    """Return every part that the run has something for, in the order of their places."""
    names = [found.name for found in pkgutil.iter_modules(sections.__path__)]
    modules = sorted((importlib.import_module(f"analysis.sections.{name}") for name in names), key=_place)
    made = (each.section(run, results, comparisons) for each in modules)
    return tuple(each for each in made if each is not None)


def _place(each: Any) -> int:
    return int(each.PLACE)
