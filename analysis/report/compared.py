"""Two runs compared, as Markdown, HTML and text for a terminal: one set of tables and one line of verdict."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.text import Text

from analysis.across import Counted, Timed
from analysis.compare import COMPARED
from analysis.comparing import Compared
from analysis.metrics import BY_NAME
from analysis.palette import INKS
from analysis.report import html, markdown
from analysis.report.table import Entry, Table
from analysis.report.threshold_table import threshold_tables
from analysis.wording import NOTHING, count, interval, joined, label, number

DRIFT = (
    "The verdict is of B over A relative to the control cell of each run, paired by block, where a control is there: "
    "what the machine did to both cancels. So does a change of the code that slows every cell alike: it shows in "
    "control's plain ratio, where it cannot be told from the machine. The interval of a plain ratio does not hold the "
    "machine's drift between the runs."
)


def headline(compared: Compared) -> str:
    """Return the summary: how many cells, and how many figures changed."""
    times = Counter(each.verdict for each in compared.timed)
    counts = Counter(each.verdict for each in compared.counted)
    told = joined(f"{number} {verdict}" for verdict, number in times.most_common()) or "none compared"
    return (
        f"{count(len(compared.pairs), 'matched cell')}. Times: {told}. "
        f"Counted figures: {counts['changed']} changed, {counts['equal']} equal, "
        f"{counts['inconclusive']} within scatter."
    )


def warnings(compared: Compared) -> list[str]:
    """Return what is said before any figure."""
    said = (
        [f"FORCED {each}" if each.rule != "warn" else f"changed {each}" for each in compared.changes]
        if (compared.forced)
        else [f"changed {each}" for each in compared.changes]
    )
    said += [compared.no_times] if compared.no_times else []
    for run, cells in (("A", compared.only_a), ("B", compared.only_b)):
        said += [f"not matched, of {run}: {', '.join(cells)}"] if cells else []
    refused = [each.cell.id for each in compared.pairs if each.refused]
    said += [f"signed-in users were refused, so no time is compared: {', '.join(refused)}"] if refused else []
    return said


def tables(compared: Compared) -> tuple[Table, ...]:
    """Return one table of each compared time, and one of the counts that changed."""
    names = {each.cell.id: label(each.cell) for each in compared.pairs}
    made = [
        Table(
            title=f"{BY_NAME[metric].title}, B over A",
            columns=("cell", "verdict", "ratio (95 % interval)", "plain B/A", f"A to B ({BY_NAME[metric].unit})"),
            rows=tuple(_time(each, names) for each in compared.timed if each.metric == metric),
        )
        for metric in COMPARED
        if any(each.metric == metric for each in compared.timed)
    ]
    changed = [each for each in compared.counted if each.verdict != "equal"]
    if changed:
        made.append(
            Table(
                title="Counted figures that are not equal",
                columns=("cell", "verdict", "figure", "A to B"),
                rows=tuple(_count(each, names) for each in changed),
                note="Exact figures never varied within a run; of the others the interval of B - A is given.",
            )
        )
    return tuple(made)


def _time(each: Timed, names: dict[str, str]) -> tuple[Entry, ...]:
    told = each.quoted
    kind = "" if each.guarded else "plain"
    return (
        Entry(names[each.cell], kind),
        Entry(each.verdict, verdict=each.verdict),
        Entry(number(told.ratio), interval(told.low, told.high)),
        Entry(number(each.plain.ratio), interval(each.plain.low, each.plain.high)),
        Entry(f"{number(each.a)} to {number(each.b)}", f"{each.blocks[0]} and {each.blocks[1]} blocks"),
    )


def _count(each: Counted, names: dict[str, str]) -> tuple[Entry, ...]:
    said = "within scatter" if each.verdict == "inconclusive" else each.verdict
    spread = "exact" if each.exact else interval(each.low, each.high)
    return (
        Entry(names[each.cell]),
        Entry(said, verdict=each.verdict),
        Entry(BY_NAME[each.metric].title, BY_NAME[each.metric].unit),
        Entry(f"{number(each.a)} to {number(each.b)}", spread if spread != NOTHING else ""),
    )


def _runs(compared: Compared) -> str:
    return f"A {compared.a.document['id']} · B {compared.b.document['id']}"


def _demands(compared: Compared) -> tuple[Table, ...]:
    return threshold_tables(compared.thresholds, {each.cell.id: label(each.cell) for each in compared.pairs})


def as_html(compared: Compared) -> str:
    """Return compare.html: one file that opens offline."""
    return html.page(
        "compare.html.j2",
        runs=_runs(compared),
        headline=headline(compared),
        warnings=warnings(compared),
        thresholds=_demands(compared),
        tables=tables(compared),
        drift=DRIFT,
        inks=INKS,
    )


def as_markdown(compared: Compared) -> str:
    """Return compare.md, for a pull request: the verdict, the demands, and the details folded."""
    demands = _demands(compared)
    first = f"**{demands[0].title}.** " if demands else ""
    parts = [f"{first}{headline(compared)}", _runs(compared)]
    parts += ["\n".join(f"- {markdown.escaped(each)}" for each in warnings(compared))] if warnings(compared) else []
    parts += [markdown.table(each) for each in demands]
    details = [markdown.table(each) for each in tables(compared)]
    parts += ["<details><summary>Every cell and metric</summary>", *details, DRIFT, "</details>"]
    return "\n\n".join(parts) + "\n"


def show(console: Console, compared: Compared) -> None:
    """Print what changed, the demands that were not met, and the verdict of every cell, within 80 columns."""
    console.print(Text(_runs(compared), style="dim"))
    for each in warnings(compared):
        console.print(Text(f"! {each}", style="bold"))
    console.print(Text(headline(compared)))
    for table in _demands(compared):
        console.print(Text(table.title, style="bold"))
    for one in compared.thresholds:
        if one.outcome not in ("passed", "skipped"):
            console.print(Text(f"  {one.outcome}: {one.threshold}, {one.cell}: {number(one.value)} {one.reason}"))
    for table in tables(compared):
        console.print(Text(f"\n{table.title}", style="bold"))
        for row in table.rows:
            ratio = f"{row[2].text} ({row[2].small})" if row[2].small else row[2].text
            name = f"{row[0].text} ({row[0].small})" if row[0].small else row[0].text
            console.print(Text(f"  {name:<28.28}{row[1].text:<15}{ratio:<24}{row[3].text}"))
