"""A plan for people: on a terminal of 80 columns, as Markdown and as a page in the look of the report."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from analysis.palette import INKS
from analysis.planned import FAR, Plan, Planned, SeriesPlan
from analysis.report import html, markdown
from analysis.report.table import Entry, Table
from analysis.wording import NOTHING, interval, joined, number, percent, series

TITLE = "What this load needs"
HOW = (
    f"Intervals are what the 95 % intervals of the measured demands (Student's t over blocks) give: every figure rises "
    f"with its demand, so their ends give its ends. Counts do not allow for the failure of a replica. Measured: a "
    f"measured figure times the load. Modelled: the utilisation law, or a simulation. Extrapolated: the same, beyond "
    f"what was run, by the factor that stands beside it; above {FAR:g} times it is an order of magnitude."
)
_WIDTH = 80


def asked(plan: Plan) -> str:
    """Return what was asked, in a sentence."""
    question = plan.question
    parts = [f"{question.rps:,g} requests/s at the peak"]
    parts += [f"{question.users:,} signed-in users"] if question.users else []
    parts += [str(question.objective)] if question.objective else []
    parts += [f"replicas of {question.replica_cpus:g} cores" if question.replica_cpus != 1 else "replicas of one core"]
    return (
        f"{joined(parts)}; headroom {percent(question.headroom)}, that is, {percent(question.target)} busy. "
        f"From run {plan.run.get('id')}."
    )


def answers(plan: Plan) -> list[str]:
    """Return one sentence a series: its replicas and cores, or why there is no plan."""
    return [_answer(each) for each in plan.series]


def _answer(each: SeriesPlan) -> str:
    name = _name(plan_of=each)
    replicas, cores = each.figure("replicas"), each.figure("cores")
    if each.refusal or replicas is None or cores is None:
        return f"{name}: no plan. {each.refusal}."
    return (
        f"{name}: {value(replicas)} replicas ({span(replicas)}), {value(cores)} cores in all ({span(cores)})"
        f"{beyond(replicas)}."
    )


def _name(plan_of: SeriesPlan) -> str:
    return series(plan_of.cell) + (f", {plan_of.cell.policy}" if plan_of.cell.policy != "roundrobin" else "")


def value(figure: Planned) -> str:
    """Return the value with its unit; a dash where it is refused."""
    if figure.value is None:
        return NOTHING
    return number(figure.value) + (f" {figure.unit}" if figure.unit else "")


def span(figure: Planned) -> str:
    """Return the interval."""
    return interval(figure.low, figure.high)


def beyond(figure: Planned) -> str:
    """Return how far beyond what was run a figure goes: `, far extrapolated: 16 times what was run`."""
    if figure.how != "extrapolated" or figure.factor is None:
        return ""
    return f", {'far ' if figure.far else ''}extrapolated: {_times(figure.factor)}"


def _small(figure: Planned) -> str:
    return _times(figure.factor) if figure.how == "extrapolated" and figure.factor else ""


def _times(factor: float) -> str:
    return f"{number(factor, 2)} times what was run"


def tables(plan: Plan) -> tuple[Table, ...]:
    """Return one table a series that has a plan."""
    return tuple(
        Table(
            title=_name(each),
            columns=("figure", "value", "how", "from"),
            rows=tuple(
                (
                    Entry(figure.title),
                    Entry(value(figure), "" if figure.value is None else span(figure)),
                    Entry(("far " if figure.far else "") + figure.how, _small(figure)),
                    Entry(figure.note),
                )
                for figure in each.figures
            ),
            note=" ".join(f"{caution[:1].upper()}{caution[1:]}." for caution in each.cautions),
        )
        for each in plan.series
        if not each.refusal
    )


def as_html(plan: Plan) -> str:
    """Return plan.html: one file that opens offline."""
    return html.page(
        "plan.html.j2", title=TITLE, asked=asked(plan), answer=answers(plan), how=HOW, tables=tables(plan), inks=INKS
    )


def as_markdown(plan: Plan) -> str:
    """Return plan.md."""
    parts = [f"# {TITLE}", markdown.escaped(asked(plan))]
    parts += ["\n".join(f"- {markdown.escaped(each)}" for each in answers(plan))]
    parts += [markdown.table(each) for each in tables(plan)]
    return "\n\n".join([*parts, markdown.escaped(HOW)]) + "\n"


def show(console: Console, plan: Plan) -> None:
    """Print the plan within 80 columns."""
    _say(console, asked(plan), style="dim")
    for each in plan.series:
        console.print(Text(f"\n{_name(each)}", style="bold"))
        if each.refusal:
            _say(console, f"no plan: {each.refusal}", indent="  ")
        for figure in each.figures:
            for line in _lines(figure):
                console.print(Text(line), soft_wrap=True)
        for caution in each.cautions:
            _say(console, f"! {caution}", indent="  ")
    console.print()
    _say(console, HOW, style="dim")


def _lines(figure: Planned) -> Iterable[str]:
    shown = "no figure" if figure.value is None else value(figure)
    between = "" if figure.value is None else span(figure)
    factor = f" x{number(figure.factor, 2)}" if figure.how == "extrapolated" and figure.factor else ""
    far = " far" if figure.far else ""
    shown = shown.replace(" requests/s", "/s")
    yield f"  {figure.title:<19}{shown:<16}{between:<19}{figure.how}{factor}{far}".rstrip()
    if figure.value is None:
        yield from textwrap.wrap(figure.note, _WIDTH - 1, initial_indent=" " * 21, subsequent_indent=" " * 21)


def _say(console: Console, text: str, *, style: str = "", indent: str = "") -> None:
    for line in textwrap.wrap(text, _WIDTH - 1, initial_indent=indent, subsequent_indent=indent):
        console.print(Text(line, style=style), soft_wrap=True)
