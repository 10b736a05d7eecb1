"""`python -m analysis.report [--run results/latest] [--quiet]`: analyse a run and write its reports into its folder.

Exits with 0, or with 2 and one line that says what is wrong with the run and what to do; where thresholds
were asked for and not passed, with 3 (failed), 4 (inconclusive) or 5 (invalid).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from analysis.claims import judge_all
from analysis.claims.evidence import Evidence
from analysis.figures import figures
from analysis.lines import Figure
from analysis.load import Run, RunError, load_run
from analysis.report import html, markdown, suite_page, terminal
from analysis.report.model import Report, build
from analysis.report.suite_page import SuiteReport
from analysis.suite import LAB, SUITE, Suite, load_suite
from analysis.summary import Analysis, analyse, summary_csv, summary_document, summary_json
from analysis.thresholds import EXIT, overall
from loadtests.thresholds import ThresholdError, check_cells, parse, split


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description="Analyse a run and report on it.")
    parser.add_argument("--run", type=Path, default=Path("results/latest"), help="the run's folder")
    parser.add_argument("--thresholds", type=split, help="instead of the run's own: 'response_p99_ms < 50; ...'")
    parser.add_argument("--quiet", action="store_true", help="print only the path of the report")
    options = parser.parse_args(arguments)
    try:
        if (options.run / SUITE).is_file():
            return _suite(load_suite(options.run), quiet=options.quiet)
        analysis = _analysed(load_run(options.run), options.thresholds)
        report = build(analysis)
        path = write(analysis, report)
    except (RunError, ThresholdError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"error: the report cannot be written: {error} (free the disk, or make the folder writable)\n")
        return 2
    console = Console(highlight=False)
    if not options.quiet:
        terminal.show(console, analysis, report)
    console.print(Text(_readable(path)), soft_wrap=True)
    return EXIT[overall(analysis.thresholds)]


def _analysed(run: Run, asked: Sequence[str] | None) -> Analysis:
    demanded = parse(run.document.get("thresholds", ()) if asked is None else asked)
    check_cells(demanded, [cell.id for cell in run.cells])
    return analyse(run, demanded)


def _suite(suite: Suite, *, quiet: bool) -> int:
    """Report on every run of a suite, then on all of them together."""
    summaries: dict[str, dict[str, Any]] = {}
    drawn: dict[str, tuple[Figure, ...]] = {}
    lab = None
    for part in suite.runs:
        if (part.folder / LAB).is_file():
            lab = json.loads((part.folder / LAB).read_text(encoding="utf-8"))
            continue
        analysis = _analysed(load_run(part.folder), None)
        write(analysis, build(analysis))
        sections = tuple(figure for section in analysis.sections for figure in section.figures)
        drawn[part.name] = (*figures(analysis), *sections)
        summaries[part.name] = summary_document(analysis)
    rulings = judge_all(Evidence(tuple(summaries.values()), lab))
    report = SuiteReport(suite, summaries, rulings, lab, suite_page.shown(drawn))
    texts = {
        "report.md": suite_page.as_markdown(report),
        "report.html": suite_page.as_html(report),
        "summary.json": suite_page.as_json(report),
    }
    _write_all(suite.folder, texts)
    console = Console(highlight=False)
    if not quiet:
        for sentence in report.answer:
            console.print(Text(f"• {sentence}"))
    console.print(Text(_readable(suite.folder / "report.html")), soft_wrap=True)
    return 0


def write(analysis: Analysis, report: Report) -> Path:
    """Write the four files into the run's folder, each whole or not at all; return the path of report.html."""
    drawn = figures(analysis)
    texts = {
        "summary.csv": summary_csv(analysis.results),
        "report.md": markdown.render(report, drawn),
        "report.html": html.render(report, drawn),
        "summary.json": summary_json(analysis),  # last: a run with a summary is complete
    }
    _write_all(analysis.run.folder, texts)
    return analysis.run.folder / "report.html"


def _write_all(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        target = folder / name
        part = target.with_name(f".{name}.{os.getpid()}.tmp")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def _readable(path: Path) -> str:
    """Return the path from here if the report is below here, else the whole path."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


if __name__ == "__main__":
    raise SystemExit(main())
