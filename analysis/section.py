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
from analysis.lines import Drawing, Figure
from analysis.load import Run
from analysis.report.table import Entry, Table


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
    """Return every part that the run has something for, in the order of their places.

    Services that others started have the parts that say so (`OF_TARGETS`), and no other: their names are not ours.
    """
    if run.distilled is not None:
        return tuple(_section(record) for record in run.distilled["sections"])
    names = [found.name for found in pkgutil.iter_modules(sections.__path__)]
    every = sorted((importlib.import_module(f"analysis.sections.{name}") for name in names), key=_place)
    modules = [each for each in every if getattr(each, "OF_TARGETS", False) == run.of_targets]
    made = (each.section(run, results, comparisons) for each in modules)
    return tuple(each for each in made if each is not None)


def _section(record: Mapping[str, Any]) -> Section:
    """Return the part that `dataclasses.asdict` took apart."""
    made: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in record.items()}
    made["findings"] = tuple(Finding(**{**each, "cells": tuple(each["cells"])}) for each in record["findings"])
    made["tables"] = tuple(_table(each) for each in record["tables"])
    made["figures"] = tuple(_figure(each) for each in record["figures"])
    return Section(**made)


def _table(record: Mapping[str, Any]) -> Table:
    rows = tuple(tuple(Entry(**entry) for entry in row) for row in record["rows"])
    return Table(**{**record, "columns": tuple(record["columns"]), "rows": rows})


def _figure(record: Mapping[str, Any]) -> Figure:
    panels = tuple(Drawing(**each) for each in record["panels"])
    return Figure(**{**record, "key": tuple((ink, name) for ink, name in record["key"]), "panels": panels})


def _place(each: Any) -> int:
    return int(each.PLACE)
