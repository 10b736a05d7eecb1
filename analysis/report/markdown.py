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
        *_listed("Findings", [f"- **{_escape(each.title)}.** {_escape(each.text)}" for each in report.findings]),
        *(part for each in report.sections for part in _section(each)),
        "## What was asked",
        _facts(report.asked),
        *_ordinary(report, figures),
        *_titled("Common claims, judged", report.ledger),
        "## Machine and software",
        _facts(report.machine),
        "## How to read it",
        _facts(report.reading),
        "## Limits",
        "\n".join(f"- {each}" for each in report.limits),
    ]
    return "\n\n".join(parts) + "\n"


def _ordinary(report: Report, figures: Sequence[Figure]) -> Iterable[str]:
    """Yield what a run with an ordinary load has: nothing of one without, whose sections stand above."""
    shown = [f"- **{_escape(each.title)}.** {_escape(each.caption)} {_escape(each.shows)}" for each in figures]
    yield from _listed("What the figures show", shown)
    yield from _titled("Metrics", report.metrics)
    yield from _titled("Comparisons", report.comparisons)
    yield from _titled("Noise floor", (report.noise,) if report.noise.rows else ())
    yield from _titled("Validity", (report.validity,) if report.validity.rows else ())


def _titled(title: str, tables: Sequence[Table]) -> Iterable[str]:
    if tables:
        yield f"## {title}"
        yield from (_table(each) for each in tables)


def _listed(title: str, lines: Sequence[str]) -> Iterable[str]:
    if lines:
        yield f"## {title}"
        yield "\n".join(lines)


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
    text = f"[{_escape(entry.text)}]({entry.link})" if entry.link else _escape(entry.text)
    return f"{text} ({_escape(entry.small)})" if entry.small else text


def _escape(text: str) -> str:
    for mark in "\\`*_|<":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")


# for other pages in the same look
table = _table
escaped = _escape
