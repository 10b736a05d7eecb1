"""The figures of latency: against replicas, and its whole distribution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.drawing import panel
from analysis.drawn_data import Point
from analysis.estimates import CellResult, Estimate
from analysis.lines import Drawing, Figure, Line, at, left_out, load_words, replica_counts, series_key
from analysis.load import Run
from analysis.metrics import BY_NAME, Floats
from analysis.rows import Mark, logarithmic, spread_panel
from analysis.wording import at_replicas, joined, number, replicas_text

TAIL = (0.0, 0.5, 0.9, 0.99, 0.999)
"""Shares of requests that the axis of the distribution names."""

BEYOND = 2.5
"""How far above the highest mark a panel of latency goes at most."""


def latency(run: Run, drawn: Sequence[Line]) -> Figure:
    """Return p50 and p99 of the response time against replicas, with interval bars."""
    panels = []
    for metric in ("response_p50_ms", "response_p99_ms"):
        alt = f"{BY_NAME[metric].title} in ms: {_told(drawn, metric)}."
        with panel(f"latency-{metric}", alt, height=250) as made:
            _latency_lines(made.axes, drawn, metric)
        panels.append(Drawing(f"{BY_NAME[metric].title} (ms)", alt, made.svg))
    return Figure(
        id="latency",
        title="Latency against replicas",
        caption=f"Response time, {load_words(run)}.{left_out(drawn)}",
        reading="Lower is better; a bar is the 95 % interval over blocks (one with an arrow goes on beyond the panel), "
        "and each panel has its own scale.",
        key=series_key(drawn),
        panels=tuple(panels),
    )


def latency_rows(run: Run, drawn: Sequence[Line]) -> Figure:
    """Return p50, p90 and p99 of the response time as rows, for more cells than lines can show."""
    names = ("response_p50_ms", "response_p90_ms", "response_p99_ms")
    panels = []
    for replicas in replica_counts(drawn):
        here = [(line, each) for line in drawn if (each := at(line, replicas)) and not each.refused]
        marks = [
            Mark(line.name, tuple(each.value(name) or 0.0 for name in names), line.ink, span(each.estimates[names[0]]))
            for line, each in here
        ]
        told = "; ".join(f"{mark.name} {' / '.join(number(value) for value in mark.values)}" for mark in marks)
        alt = f"Response p50 / p90 / p99 in ms{at_replicas(replicas)}: {told}."
        drawing = spread_panel(f"latency-{replicas}", alt, marks)
        panels.append(Drawing(f"{replicas_text(replicas)} (ms, log scale)", alt, drawing))
    return Figure(
        id="latency",
        title="Response time",
        caption=f"p50, p90 and p99, {load_words(run)}.{left_out(drawn)}",
        reading="The filled mark is the median, the thick line its 95 % interval over blocks; the strokes are p90 and "
        "p99. Further left is better.",
        key=series_key(drawn),
        panels=tuple(panels),
    )


def recognising(run: Run, drawn: Sequence[Line]) -> Figure:
    """Return the median time to recognise the user, shortest first, without the control, which recognises nobody."""
    panels = []
    for replicas in replica_counts(drawn):
        here = [(line, each) for line in drawn if (each := at(line, replicas)) and not each.refused]
        here = [(line, each) for line, each in here if each.cell.scheme != "control" and each.value("auth_p50_us")]
        here.sort(key=lambda pair: pair[1].value("auth_p50_us") or 0.0)
        marks = [
            Mark(line.name, (each.value("auth_p50_us") or 0.0,), line.ink, span(each.estimates["auth_p50_us"]))
            for line, each in here
        ]
        if marks:
            told = joined(f"{mark.name} {number(mark.values[0])}" for mark in marks)
            alt = f"Median auth time in us{at_replicas(replicas)}: {told}."
            drawing = spread_panel(f"auth-{replicas}", alt, marks)
            panels.append(Drawing(f"{replicas_text(replicas)} (us, log scale)", alt, drawing))
    return Figure(
        id="auth",
        title="Time to recognise the user",
        caption=f"Median of what each replica says of itself (Server-Timing), store included; {load_words(run)}."
        f"{left_out(drawn)}",
        reading="Shortest first; the thick line is the 95 % interval over blocks.",
        key=series_key(drawn),
        panels=tuple(panels),
    )


def span(estimate: Estimate) -> tuple[float, float] | None:
    """Return the interval of an estimate, if it has one."""
    return None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)


def _told(drawn: Sequence[Line], metric: str) -> str:
    told = []
    for line in drawn:
        shown = [each for each in line.results if not each.refused]
        values = joined(f"{number(each.value(metric))} at ×{each.cell.replicas}" for each in shown)  # noqa: RUF001
        told += [f"{line.name} {values}"] if shown else []
    return "; ".join(told)


def _latency_lines(axes: Axes, drawn: Sequence[Line], metric: str) -> None:
    counts = replica_counts(drawn)
    bars: list[tuple[float, Estimate]] = []
    for index, line in enumerate(drawn):
        shown = [each for each in line.results if not each.refused]
        shift = (index - (len(drawn) - 1) / 2) * min(0.07, 0.5 / len(drawn))  # so that bars stand side by side
        places = [counts.index(each.cell.replicas) + shift for each in shown]
        values = [each.value(metric) or 0.0 for each in shown]
        spans = [each.estimates[metric] for each in shown]
        lows = [value if span.low is None else span.low for span, value in zip(spans, values, strict=True)]
        highs = [value if span.high is None else span.high for span, value in zip(spans, values, strict=True)]
        axes.vlines(places, lows, highs, color=line.ink.light, linewidth=2)
        bars += zip(places, spans, strict=True)
        style = (0, (4, 2)) if line.dashed else "-"
        axes.plot(
            places, values, color=line.ink.light, marker=line.ink.marker, markersize=6, linestyle=style, linewidth=1.5
        )
    axes.set_xticks(range(len(counts)), [str(each) for each in counts])
    axes.set_xlim(-0.4, len(counts) - 0.6)
    _bound(axes, [(place, estimate.value or 0.0, estimate.high) for place, estimate in bars])
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("replicas")


def _bound(axes: Axes, ends: Sequence[tuple[float, float, float | None]]) -> None:
    """Show from 0 to `BEYOND` times the highest mark at most; an arrow stands where an interval goes on beyond that.

    `ends`: place, value and upper end of each. Of two blocks an interval may be wider than any panel.
    """
    top = BEYOND * max((value for _, value, _ in ends), default=0.0)
    axes.set_ylim(bottom=0)
    if not top or axes.get_ylim()[1] <= top:
        return
    axes.set_ylim(0, top)
    for place, _, high in ends:
        if high is not None and high > top:
            axes.annotate("↑", (place, top), ha="center", va="bottom", fontsize=11, annotation_clip=False)


def distribution(run: Run, drawn: Sequence[Line]) -> Figure:
    """Return the quantiles of the merged response times, the tail stretched, one panel per number of replicas."""
    panels = []
    for replicas in replica_counts(drawn):
        shown = [(line, each) for line in drawn if (each := at(line, replicas)) and not each.refused]
        told = joined(f"{line.name} {number(float(np.quantile(_merged(each), 0.99)))}" for line, each in shown)
        alt = f"Response times{at_replicas(replicas)}; 99 % are answered within, in ms: {told}."
        with panel(f"distribution-{replicas}", alt, height=250) as made:
            _quantile_lines(made.axes, shown)
            _quantile_spans(made.axes, shown)
            made.x_as = _share
        panels.append(Drawing(f"{replicas_text(replicas)} (ms, log scale)", alt, made.svg))
    return Figure(
        id="distribution",
        title="Distribution of the response time",
        caption=f"Every measured request of every valid block, merged; {load_words(run)}.{left_out(drawn)}",
        reading="At 90 %, nine requests in ten are answered within the time shown; the further right, the rarer. "
        "A mark is the mean over blocks of that quantile, its bar the 95 % interval.",
        key=series_key(drawn),
        panels=tuple(panels),
    )


def _merged(result: CellResult) -> Floats:
    return np.concatenate([each.response_ms for each in result.measurements])


def _quantile_lines(axes: Axes, shown: Iterable[tuple[Line, CellResult]]) -> None:
    """Draw quantiles with the tail stretched: equal steps from 0 to 90, 99 and 99.9 % (as HdrHistogram plots)."""
    reach = 0.0
    for line, result in shown:
        times = _merged(result)
        end = min(3.0, np.log10(times.size) - 1)  # at least ten requests lie beyond the last quantile drawn
        steps = np.linspace(0, max(end, 0.3), 90)
        style = (0, (4, 2)) if line.dashed else "-"
        axes.plot(steps, np.quantile(times, 1 - 10**-steps), color=line.ink.light, linestyle=style, linewidth=1.8)
        reach = max(reach, float(steps[-1]))
    logarithmic(axes, axes.yaxis)
    tail = [share for share in TAIL if -np.log10(1 - share) <= reach + 0.01]
    axes.set_xticks([-np.log10(1 - share) for share in tail], [f"{100 * share:g} %" for share in tail])
    axes.set_xlabel("share of requests answered within")


def _quantile_spans(axes: Axes, shown: Sequence[tuple[Line, CellResult]]) -> None:
    """Draw p50, p90 and p99 with their intervals over blocks, side by side where lines lie close."""
    reach, (low, high) = axes.get_xlim()[1], axes.get_ylim()
    for index, (line, result) in enumerate(shown):
        shift = 0.03 * (index - (len(shown) - 1) / 2)
        for share, metric in ((0.5, "response_p50_ms"), (0.9, "response_p90_ms"), (0.99, "response_p99_ms")):
            ends, place = span(result.estimates[metric]), -np.log10(1 - share) + shift
            if ends and place <= reach:
                colour = line.ink.light
                axes.vlines(place, *ends, color=colour, linewidth=2)
                axes.plot([place], [result.value(metric) or 0.0], color=colour, marker=line.ink.marker, markersize=5)
    axes.set_ylim(low / 1.2, high * 1.2)  # the lines fill the panel, however wide an interval is


def _share(point: Point) -> float:
    """Return the share of requests that a point stands for; one with an interval stands beside its quantile."""
    share = 1 - 10 ** -float(point.x)
    return min(TAIL, key=lambda tail: abs(tail - share)) if point.y_span else share
