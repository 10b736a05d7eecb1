"""The report of a suite: the ledger over all its runs, the figures that matter most, and where each report lies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.claims import judge_all
from analysis.claims.evidence import Evidence, Ruling
from analysis.lines import Figure
from analysis.palette import INKS
from analysis.report import html, markdown
from analysis.report.ledger_table import ledger_tables, tally
from analysis.report.table import Entry, Table
from analysis.suite import LAB, Part, Suite
from analysis.wording import NOTHING, count

FORMAT = 1
"""Of a suite's summary.json."""
_SHOWN = ("latency", "scaling-curves", "fault-*")
"""Figures of the parts that the page repeats, the first of each that there is, by its id; `*` stands for any rest."""


@dataclass(frozen=True)
class SuiteReport:
    """All that the report of a suite says."""

    suite: Suite
    summaries: Mapping[str, Mapping[str, Any]]
    """summary.json of each part that there is, by the part's name."""
    rulings: Sequence[Ruling]
    lab: Mapping[str, Any] | None = None
    """lab.json, if a part is the browser lab."""
    figures: tuple[Figure, ...] = ()

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
    def ledger(self) -> tuple[Table, ...]:
        """The ledger, each verdict with a link to the report that measured it."""
        return ledger_tables(self.rulings, self._measured_by())

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Name and report of every part that there is."""
        return tuple((part.name, _page(part)) for part in self.suite.runs)

    @property
    def parts(self) -> Table:
        """Every part, with its answer."""
        return Table(
            title=f"{count(len(self.suite.parts), 'run')} of this suite",
            columns=("run", "trials", "what it found"),
            rows=tuple(self._part(part) for part in self.suite.parts),
            note="Each has a report of its own in the folder of its name: all figures, comparisons, and the machine.",
            cards=True,
        )

    def _part(self, part: Part) -> tuple[Entry, ...]:
        summary = self.summaries.get(part.name)
        if summary is None:
            there = part in self.suite.runs and self.lab is not None
            found = "what a browser gives away, in its own report" if there else part.left_out or "has not run"
            return Entry(part.name, link=_page(part) if there else ""), Entry(NOTHING), Entry(found)
        trials = sum(cell["valid_blocks"] + cell["invalid_blocks"] for cell in summary["cells"])
        return (
            Entry(part.name, str(summary["run"].get("title", "")), link=_page(part)),
            Entry(str(trials or NOTHING)),
            Entry(" ".join(summary["answer"][:1])),
        )

    def _measured_by(self) -> dict[str, Entry]:
        """Return, by claim, the link to the first part that can judge it alone, else to one that has its cells."""
        pages = {part.name: _page(part) for part in self.suite.runs}
        found: dict[str, Entry] = {}
        for name, summary in self.summaries.items():
            for each in summary["claims"]:
                if each["verdict"] != "not measured":
                    found.setdefault(each["id"], Entry(name, link=f"{pages[name]}#claims"))
        lab = next((part for part in self.suite.runs if (part.folder / LAB).is_file()), None)
        if lab:
            for ruling in judge_all(Evidence((), self.lab)):
                if ruling.judged.verdict != "not measured":
                    found.setdefault(ruling.claim.id, Entry(lab.name, link=pages[lab.name]))
        for ruling in self.rulings:
            for name, summary in self.summaries.items():
                if {cell["id"] for cell in summary["cells"]} & set(ruling.judged.cells):
                    found.setdefault(ruling.claim.id, Entry(name, link=pages[name]))
        return found


def _page(part: Part) -> str:
    return f"{part.name}/{'lab.html' if (part.folder / LAB).is_file() else 'report.html'}"


def shown(figures: Mapping[str, Sequence[Figure]]) -> tuple[Figure, ...]:
    """Return the figures that matter most of all parts' (by the part's name), each said to be of its part."""
    every = [(name, each) for name, made in figures.items() for each in made]
    found = (next((pair for pair in every if _is(pair[1].id, pattern)), None) for pattern in _SHOWN)
    return tuple(replace(pair[1], caption=f"Run {pair[0]}. {pair[1].caption}") for pair in found if pair)


def _is(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


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
    return html.page("suite.html.j2", report=report, figures=report.figures, inks=INKS)


def as_markdown(report: SuiteReport) -> str:
    """Return the suite's report.md."""
    tables = (*report.ledger, report.parts)
    sentences = "\n".join(f"{place}. {markdown.escaped(each)}" for place, each in enumerate(report.answer, 1))
    parts = [f"# {report.title}", report.subtitle, sentences, *(markdown.table(each) for each in tables)]
    return "\n\n".join(parts) + "\n"
