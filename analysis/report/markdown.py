"""The report as Markdown, for a terminal or a pull request: the same words and tables, without the figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.lines import Figure
from analysis.report.model import Report
from analysis.report.table import Entry, Table
from analysis.section import Section


def render(report: Report, figures: Sequence[Figure]) -> str:
    """Return the text of report.md; a figure gives its caption and what it shows in words."""
    parts = [
        f"# {report.title}",
        report.subtitle,
        "\n".join(f"{place}. {_escape(sentence)}" for place, sentence in enumerate(report.answer, 1)),
        *(_table(each) for each in report.thresholds),
        "## Findings",
        "\n".join(f"- **{_escape(each.title)}.** {_escape(each.text)}" for each in report.findings),
        *(part for each in report.sections for part in _section(each)),
        "## What was asked",
        _facts(report.asked),
        "## What the figures show",
        "\n".join(f"- **{_escape(each.title)}.** {_escape(each.caption)} {_escape(each.shows)}" for each in figures)
        or "There is nothing to draw.",
        "## Metrics",
        *(_table(each) for each in report.metrics),
        "## Comparisons",
        *(_table(each) for each in report.comparisons),
        "## Common claims, judged",
        *(_table(each) for each in report.ledger),
        "## Noise floor",
        _table(report.noise),
        "## Validity",
        _table(report.validity),
        "## Machine and software",
        _facts(report.machine),
        "## How to read it",
        _facts(report.reading),
        "## Limits",
        "\n".join(f"- {each}" for each in report.limits),
    ]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> Iterable[str]:
    yield f"## {_escape(section.title)}"
    yield from (_escape(paragraph) for paragraph in section.text)
    yield from (f"**{_escape(each.title)}.** {_escape(each.caption)} {_escape(each.shows)}" for each in section.figures)
    yield from (_table(each) for each in section.tables)


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- **{_escape(name)}:** {_escape(text)}" for name, text in facts)


def _table(table: Table) -> str:
    head = "| " + " | ".join(_escape(each) for each in table.columns) + " |"
    rule = "|" + "---|" + "---:|" * (len(table.columns) - 1)
    rows = ["| " + " | ".join(_entry(each) for each in row) + " |" for row in table.rows]
    note = f"\n\n{_escape(table.note)}" if table.note else ""
    return f"### {_escape(table.title)}\n\n" + "\n".join([head, rule, *rows]) + note


def _entry(entry: Entry) -> str:
    return _escape(f"{entry.text} ({entry.small})" if entry.small else entry.text)


def _escape(text: str) -> str:
    for mark in "\\`*_|<":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")


# for other pages in the same look
table = _table
escaped = _escape
