"""The report of a suite: the ledger over all its runs, and where each run's own report lies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.claims.evidence import Ruling
from analysis.palette import INKS
from analysis.report import html, markdown
from analysis.report.ledger_table import ledger_tables, tally
from analysis.report.table import Entry, Table
from analysis.suite import Suite
from analysis.wording import NOTHING, count

FORMAT = 1
"""Of a suite's summary.json."""


@dataclass(frozen=True)
class SuiteReport:
    """All that the report of a suite says."""

    suite: Suite
    summaries: Mapping[str, Mapping[str, Any]]
    """summary.json of each part that there is, by the part's name."""
    rulings: Sequence[Ruling]

    @property
    def title(self) -> str:
        """As the suite's file has it."""
        return str(self.suite.document["title"])

    @property
    def subtitle(self) -> str:
        """Which suite, which profile, which run."""
        profile = self.suite.document.get("profile")
        told = f", profile {profile}" if profile else ""
        return f"authscale · suite {self.suite.document['suite']}{told} · run {self.suite.document['id']}"

    @property
    def answer(self) -> tuple[str, ...]:
        """The ledger in one line, and the answer of the first run."""
        first = next(iter(self.summaries.values()), None)
        return (tally(self.rulings), *(first["answer"] if first else ()))

    @property
    def parts(self) -> Table:
        """Every part, with its answer."""
        return Table(
            title=f"{count(len(self.suite.parts), 'run')} of this suite",
            columns=("run", "trials", "what it found"),
            rows=tuple(self._part(part.name, part.left_out) for part in self.suite.parts),
            note="Each has a report of its own in the folder of its name: all figures, comparisons, and the machine.",
        )

    def _part(self, name: str, left_out: str) -> tuple[Entry, ...]:
        summary = self.summaries.get(name)
        if summary is None:
            return Entry(name), Entry(NOTHING), Entry(left_out or "has not run")
        trials = sum(cell["valid_blocks"] + cell["invalid_blocks"] for cell in summary["cells"])
        return (
            Entry(name, str(summary["run"]["title"])),
            Entry(str(trials or NOTHING)),
            Entry(" ".join(summary["answer"][:1])),
        )


def as_json(report: SuiteReport) -> str:
    """Return the suite's summary.json."""
    document = {
        "format": FORMAT,
        "suite": dict(report.suite.document),
        "answer": list(report.answer),
        "claims": [each.as_dict() for each in report.rulings],
        "parts": {name: f"{name}/summary.json" for name in report.summaries},
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_html(report: SuiteReport) -> str:
    """Return the suite's report.html."""
    return html.page(
        "suite.html.j2",
        report=report,
        ledger=ledger_tables(report.rulings),
        links=tuple(report.summaries),
        inks=INKS,
    )


def as_markdown(report: SuiteReport) -> str:
    """Return the suite's report.md."""
    tables = (*ledger_tables(report.rulings), report.parts)
    sentences = "\n".join(f"{place}. {markdown.escaped(each)}" for place, each in enumerate(report.answer, 1))
    parts = [f"# {report.title}", report.subtitle, sentences, *(markdown.table(each) for each in tables)]
    return "\n\n".join(parts) + "\n"
