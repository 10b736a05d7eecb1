"""The page of `make validate`: one HTML file that opens offline, with the look of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.drawing import band, panel, rows
from analysis.known_truth import SHARE, Check, Recovered, quantile_name
from analysis.lines import Drawing, Figure
from analysis.metrics import BY_NAME
from analysis.palette import INKS, KNOWN, MUTED, SPARE
from analysis.report.html import page
from analysis.report.table import Entry, Table
from analysis.rows import Mark, marks_panel
from analysis.validation import AA_METRICS, Validation
from analysis.wording import count, interval, joined, number, percent

_ABOUT = {
    "known truth": "A server whose response times are known was driven by the load generator. A quantile passes within "
    "5 % of the truth, or 0.3 ms. Uncorrected is what a tool shows that counts from the sending.",
    "A/A": "Twenty pairs of identical cells through the whole harness. A 5 % test calls one pair in "
    "twenty different by chance; more than the limit would be a harness that invents differences.",
    "sensitivity": "200 us of CPU were planted in the auth check of sessions on Redis. They must be declared, and the "
    "99 % interval of the difference must cover them: the value is how far the estimate lies from 200 us.",
    "accounting": "One load, counted on the wire, by the balancer, by the replicas' own access logs, by Locust "
    "and by the samples; and its octets beside those of a capture. Equal, not nearly.",
}
_MEASURED, _UNCORRECTED, _PAIR = KNOWN["session", "redis"], SPARE[1], KNOWN["token", "none"]


@dataclass(frozen=True)
class Section:
    """A heading, what was done, and its table and figures."""

    id: str
    title: str
    about: str
    table: Table
    figures: tuple[Figure, ...] = ()


def render(validation: Validation) -> str:
    """Return the text of validate.html."""
    document = validation.document
    return page(
        "validate.html.j2",
        title="Can these figures be trusted?",
        subtitle=f"authscale · make validate · {document['id']}{' · quick' if document['quick'] else ''}",
        answer=tuple(_answer(validation)),
        sections=tuple(_sections(validation)),
        machine=tuple(_machine(validation)),
        inks=INKS,
    )


def _answer(validation: Validation) -> Iterable[str]:
    failed = [check.name for check in validation.checks if not check.passed]
    total = len(validation.checks)
    yield f"All {total} checks passed." if not failed else f"{len(failed)} of {total} checks failed: {joined(failed)}."
    by_metric = {each.metric: each for each in validation.smallest}
    told = [f"{percent(by_metric[name].smallest)} in {BY_NAME[name].title}" for name in AA_METRICS if name in by_metric]
    if told:
        yield f"In two minutes of one pair this machine shows differences from {joined(told)} up."


def _sections(validation: Validation) -> Iterable[Section]:
    figures = {"known truth": (_truth_figure(validation),), "A/A": (_pairs_figure(validation),)}
    for group in dict.fromkeys(check.group for check in validation.checks):
        checks = [check for check in validation.checks if check.group == group]
        table = Table(
            title=f"{group[:1].upper()}{group[1:]}: {count(len(checks), 'check')}",
            columns=("check", "result", "value", "limit"),
            rows=tuple(_row(check) for check in checks),
        )
        name = group.replace(" ", "-").replace("/", "").lower()
        yield Section(name, f"{group[:1].upper()}{group[1:]}", _ABOUT[group], table, figures.get(group, ()))
    yield Section("smallest", "The smallest effect", _SMALLEST, _smallest_table(validation))
    yield Section("server", "The calibration server itself", _SERVER, _server_table(validation))


_SMALLEST = (
    "What two identical cells differ by in a block (standard deviation over all pairs), and the smallest "
    "difference that two "
    "minutes of one pair would show: at 5 %, with a chance of 80 %."
)
_SERVER = (
    "How late it answered, as its own clock says. A server that was late gave other times than those stated: "
    "where it was late "
    "by more than the limit above, another program had its core, and the check says nothing about the generator."
)


def _row(check: Check) -> tuple[Entry, ...]:
    return (
        Entry(check.name, check.detail),
        Entry("pass" if check.passed else "FAIL", verdict="faster" if check.passed else "slower"),
        Entry(number(check.value), check.unit),
        Entry(number(check.limit), check.unit),
    )


def _truth_figure(validation: Validation) -> Figure:
    panels = []
    for law in dict.fromkeys(each.law for each in validation.recovered):
        here = [each for each in validation.recovered if each.law == law]
        told = "; ".join(
            f"{quantile_name(each.share)} true {number(each.true_ms)}, measured {number(each.measured_ms)}, "
            f"uncorrected "
            f"{number(each.uncorrected_ms)}"
            for each in here
        )
        alt = f"{here[0].title}, ms: {told}."
        panels.append(Drawing(here[0].title, alt, _truth_panel(f"truth-{law}", alt, here)))
    return Figure(
        id="truth",
        title="Recovered quantiles against the truth",
        caption="Deviation from the analytic value, per law of service times.",
        reading="The line is the truth and the band 5 % about it; what is measured belongs there. The further "
        "the other mark lies to the left, the more a tool hides that counts from the sending.",
        key=((_MEASURED.name, "measured"), (_UNCORRECTED.name, "uncorrected")),
        panels=tuple(panels),
    )


def _truth_panel(name: str, alt: str, here: Sequence[Recovered]) -> str:
    with panel(name, alt, height=170, left=60, bottom=28) as made:
        axes = made.axes
        band(axes, -SHARE, SHARE)
        axes.axvline(0, color=MUTED.light, linewidth=1)
        for row, each in enumerate(here):
            for value, ink in ((each.uncorrected_ms, _UNCORRECTED), (each.measured_ms, _MEASURED)):
                off = value / each.true_ms - 1
                axes.plot([off], [row], linestyle="none", marker=ink.marker, markersize=7, color=ink.light)
        rows(axes, [quantile_name(each.share) for each in here])
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:+.0f} %"))
    return made.svg


def _pairs_figure(validation: Validation) -> Figure:
    panels = []
    for metric in AA_METRICS:
        made = [each for each in validation.pairs if each.metric == metric]
        marks = [
            Mark(
                f"pair {place}",
                (each.ratio,),
                _PAIR,
                None if each.low is None or each.high is None else (each.low, each.high),
            )
            for place, each in enumerate(made, start=1)
        ]
        alt = f"{BY_NAME[metric].title} of identical cells, ratio with its 95 % interval: " + "; ".join(
            f"{number(each.ratio)} ({interval(each.low, each.high)})" for each in made
        )
        if marks:
            drawing = marks_panel(f"aa-{metric}", alt, marks, line=1.0, shaded=0.05)
            panels.append(Drawing(BY_NAME[metric].title, alt, drawing))
    return Figure(
        id="aa",
        title="Identical cells against each other",
        caption="Ratio of two cells that are the same, over the blocks of each pair, with its 95 % interval.",
        reading="The line is no difference. Of twenty intervals one misses it by chance.",
        key=(),
        panels=tuple(panels),
    )


def _smallest_table(validation: Validation) -> Table:
    return Table(
        title="Noise of two identical cells",
        columns=("metric", "sd in a block", "blocks in 2 minutes", "smallest difference"),
        rows=tuple(
            (
                Entry(BY_NAME[each.metric].title),
                Entry(percent(each.sd)),
                Entry(str(each.blocks)),
                Entry(percent(each.smallest)),
            )
            for each in validation.smallest
        ),
    )


def _server_table(validation: Validation) -> Table:
    return Table(
        title="Lateness of its answers",
        columns=("law", "answers", "path (us)", "late p50 (us)", "late p99 (us)", "late p99.9 (us)", "CPU (s)"),
        rows=tuple(
            (
                Entry(each["law"]["title"]),
                Entry(number(each["server"]["requests"])),
                Entry(number(each["advance_us"])),
                *(Entry(number(each["server"]["late_us"][name])) for name in ("p50", "p99", "p99.9")),
                Entry(number(each["server"]["cpu_s"])),
            )
            for each in validation.servers
        ),
        note="Path: by how much an answer reaches a plain blocking socket later than asked; the server answers "
        "earlier by it, so that the stated times hold at the client's side of the socket.",
    )


def _machine(validation: Validation) -> Iterable[tuple[str, str]]:
    document = validation.document
    for name in ("cpu", "cores", "kernel", "os", "python", "noise_p99_us", "loadavg_1m_before", "pinning"):
        yield name.replace("_", " "), str(document["machine"].get(name))
    yield "authscale revision", str(document["software"].get("git_revision"))
    yield "seconds", "; ".join(f"{name} {seconds:.0f}" for name, seconds in document["seconds"].items())
