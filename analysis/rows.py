"""Panels made of named rows: stacked bars and marks with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from analysis.drawing import band, note, panel, rows, rows_under_names
from analysis.palette import MUTED, PARTS, TEXT, Ink
from analysis.wording import number, percent, setting

ROW = 27
"""Height of a row in SVG units."""
NAMED_ROW = 38
"""Height of a row whose name stands above it."""
FEWEST_TICKS, MOST_TICKS = 3, 9
MOST_OF_LINE = 4
"""A panel of marks about a line shows this many times the line at most, but every mark."""
NARROWEST = 0.13
"""Share of a panel's axis that a number of three digits takes, beside names of rows."""
LONG = 22
"""Letters above which names do not stand beside their rows: there they would take half of a phone's width."""


@dataclass(frozen=True)
class Bar:
    """A row of a stacked bar; `note` stands in the place of the bar, `ink` in that of the parts' own inks."""

    name: str
    parts: tuple[float, ...]
    span: tuple[float, float] | None = None
    note: str = ""
    ink: Ink | None = None


@dataclass(frozen=True)
class Mark:
    """A row of marks, with the interval of the first."""

    name: str
    values: tuple[float, ...]
    ink: Ink
    span: tuple[float, float] | None = None


def stacked_panel(name: str, alt: str, bars: Sequence[Bar]) -> str:
    """Return the SVG of one stacked bar a row, with its total at the end."""
    names = [bar.name for bar in bars]
    reach = max((max(sum(bar.parts), bar.span[1] if bar.span else 0.0) for bar in bars), default=0.0) or 1.0
    with panel(name, alt, height=_height(names), left=_left(names), bottom=28) as made:
        for row, bar in enumerate(bars):
            _draw_bar(made.axes, row, bar, 0.36 if _long(names) else 0.6)
        _name_rows(made.axes, names)
        made.axes.set_xlim(0, reach * 1.24)
        made.axes.xaxis.set_major_locator(MaxNLocator(4))
    return made.svg


def _draw_bar(axes: Axes, row: int, bar: Bar, height: float) -> None:
    start = 0.0
    for part, ink in zip(bar.parts, PARTS, strict=False):
        axes.barh(row, part, left=start, height=height, color=(bar.ink or ink).light, linewidth=0)
        start += part
    end = start
    if bar.span:
        axes.hlines(row, bar.span[0], bar.span[1], color=TEXT.light, linewidth=1.5)
        end = max(end, bar.span[1])
    note(axes, end, row, bar.note or number(start))


def marks_panel(
    name: str,
    alt: str,
    marks: Sequence[Mark],
    *,
    line: float,
    shaded: float | None = None,
    shares: bool = False,
) -> str:
    """Return the SVG of rows of marks about a reference line, with a band of `shaded` (a share) around it."""
    names = [mark.name for mark in marks]
    with panel(name, alt, height=_height(names), left=_left(names), bottom=28) as made:
        axes = made.axes
        if shaded:
            band(axes, line / (1 + shaded), line * (1 + shaded))
        axes.axvline(line, color=MUTED.light, linewidth=1)
        for row, mark in enumerate(marks):
            if mark.span:
                axes.hlines(row, *mark.span, color=mark.ink.light, linewidth=2)
            axes.plot(
                mark.values,
                [row] * len(mark.values),
                linestyle="none",
                marker=mark.ink.marker,
                markersize=6,
                color=mark.ink.light,
            )
        _name_rows(axes, names)
        _centre(axes, marks, line, shaded or 0.2)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if shares:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(float(value))))
    return made.svg


def _centre(axes: Axes, marks: Sequence[Mark], line: float, least: float) -> None:
    """Put the line in the middle, with room for every mark and interval and at least `least` either side."""
    ends = [end for mark in marks for end in (*mark.values, *(mark.span or ()))]
    furthest = max((abs(value - line) for mark in marks for value in mark.values), default=0.0)
    most = max(MOST_OF_LINE * line, 2 * furthest)  # an interval over few blocks can be wider than any panel
    reach = max(least * line * 1.2, min(most, max((abs(end - line) * 1.08 for end in ends), default=0.0)))
    axes.set_xlim(max(0.0, line - reach), line + reach)


def spread_panel(name: str, alt: str, marks: Sequence[Mark]) -> str:
    """Return the SVG of rows on a logarithmic axis: the first value with its interval, the others as hollow marks."""
    names = [mark.name for mark in marks]
    with panel(name, alt, height=_height(names), left=_left(names), bottom=28) as made:
        axes = made.axes
        for row, mark in enumerate(marks):
            colour = mark.ink.light
            axes.hlines(row, min(mark.values), max(mark.values), color=colour, linewidth=1, alpha=0.5)
            if mark.span:
                axes.hlines(row, *mark.span, color=colour, linewidth=3)
            axes.plot(mark.values[:1], [row], linestyle="none", marker=mark.ink.marker, markersize=6, color=colour)
            axes.plot(
                mark.values[1:],
                [row] * (len(mark.values) - 1),
                linestyle="none",
                marker="|",
                markersize=9,
                markeredgewidth=1.6,
                color=colour,
            )
            if len(mark.values) == 1:
                note(axes, max(mark.values[0], mark.span[1] if mark.span else 0.0), row, number(mark.values[0]))
        _name_rows(axes, names)
        logarithmic(axes, axes.xaxis)
        low, high = axes.get_xlim()
        axes.set_xlim(low, high * (high / low) ** 0.12)  # room for what stands beside the last mark
    return made.svg


def logarithmic(axes: Axes, axis: Axis) -> None:
    """Make an axis logarithmic with plain numbers: 1, 2, 5 and their tens."""
    along_x = axis is axes.xaxis
    (axes.set_xscale if along_x else axes.set_yscale)("log")
    low, high = axes.get_xlim() if along_x else axes.get_ylim()
    ticks = [base * 10.0**power for power in range(-3, 7) for base in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= tick <= high]
    if len(shown) < FEWEST_TICKS:
        finer = [base * 10.0**power for power in range(-3, 7) for base in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)]
        shown = [tick for tick in finer if low <= tick <= high]
    kept = [tick for tick in shown if len(shown) <= MOST_TICKS or _is_power(tick)]
    axis.set_major_locator(FixedLocator(_apart(kept, low, high) if along_x else kept))
    axis.set_major_formatter(FuncFormatter(lambda value, _: setting(float(value))))
    axis.set_minor_locator(NullLocator())


def _apart(ticks: Sequence[float], low: float, high: float) -> list[float]:
    """Leave out ticks whose numbers would touch the one before, on a logarithmic axis from `low` to `high`."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or np.log(tick / kept[-1]) >= NARROWEST * np.log(high / low):
            kept.append(tick)
    return kept


def _is_power(tick: float) -> bool:
    return float(np.log10(tick)).is_integer()


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    (rows_under_names if _long(names) else rows)(axes, list(names))


def _long(names: Sequence[str]) -> bool:
    return max((len(name) for name in names), default=0) > LONG


def _height(names: Sequence[str]) -> int:
    return 28 + 14 + (NAMED_ROW if _long(names) else ROW) * max(len(names), 2)


def _left(names: Sequence[str]) -> int:
    """Return the room for the names: some 6.4 units a letter at the panel's font size, less than half the panel."""
    if _long(names):
        return 14
    return min(170, 14 + round(6.4 * max((len(name) for name in names), default=0)))
