"""The report on a terminal: the answer and one table that fits 80 columns."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.common_options import plain
from analysis.estimates import CellResult, Estimate
from analysis.report.model import Report
from analysis.summary import Analysis
from analysis.unmeasurable import WORDS
from analysis.wording import NOTHING, interval, label, number, percent

_WIDE = 10.0

COLUMNS = ("p50 ms", "p99 ms", "CPU us", "cred B", "cmds", "refused", "blk")


def show(console: Console, analysis: Analysis, report: Report) -> None:
    """Print the answer, the main figures of every cell with half their interval, and the cautions."""
    console.print(Text(report.subtitle, style="dim"))
    if not analysis.results:
        _tell(console, analysis)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("cell")
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    cells = [each.cell for each in analysis.results]
    several = len({each.cell.policy for each in analysis.results}) > 1
    for result in analysis.results:
        name = label(plain(result.cell, cells), policy=several).replace(" · ", " ")
        table.add_row(Text(name), *(Text(each) for each in _row(result)))
    console.print(table)
    console.print(Text("± is the wider half of the 95 % interval; CPU is of all servers; per request.", style="dim"))
    if not all(each.measurable for each in analysis.results):
        console.print(Text(f"A row of dashes {WORDS}: blk is how many of its blocks are valid.", style="dim"))
    _tell(console, analysis)
    for table_of in report.thresholds:
        console.print(Text(table_of.title, style="bold"))
    for judged in analysis.thresholds:
        if judged.outcome not in ("passed", "skipped"):
            told = f"{number(judged.value)} ({interval(judged.low, judged.high)})"
            console.print(
                Text(f"  {judged.outcome}: {judged.threshold}, {judged.cell or 'no cell'}: {judged.reason or told}")
            )
    for finding in report.findings:
        if finding.id in ("sessions-lost", "refused", "errors", "invalid", "unmeasurable", "precision", "partial"):
            console.print(Text(f"• {finding.text}"))


def _tell(console: Console, analysis: Analysis) -> None:
    """Print what the parts of this run have for a terminal, then the answer."""
    for section in analysis.sections:
        for line in section.terminal:
            console.print(Text(line), soft_wrap=True)
    for sentence in analysis.answer:
        console.print(Text(f"• {sentence}"))


def _row(result: CellResult) -> tuple[str, ...]:
    """Return the figures of a cell; of one that cannot be measured, how many blocks of how many are valid."""
    figures = result.estimates
    if not result.measurable:
        tried = result.valid_blocks + result.invalid_blocks
        return (*[NOTHING] * (len(COLUMNS) - 1), f"{result.valid_blocks}/{tried}")
    return (
        _with_spread(figures["response_p50_ms"]),
        _with_spread(figures["response_p99_ms"]),
        number(result.value("total_cpu_us_per_request")),
        number(result.value("credential_bytes")),
        number(result.value("store_commands_per_request")),
        percent(result.value("refused_ratio")),
        str(result.valid_blocks),
    )


def _with_spread(estimate: Estimate) -> str:
    """Return `1.25 ±4%`: the value and the larger half of its interval, as a share of the value."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return number(estimate.value)
    half = max(estimate.high - estimate.value, estimate.value - estimate.low) / estimate.value
    # two or three blocks can leave a figure open by orders of magnitude: how many says nothing more
    return f"{number(estimate.value)} ±{100 * half:.0f}%" if half < _WIDE else f"{number(estimate.value)} ±>{_WIDE:.0%}"
