"""Panels made of named rows: stacked bars and marks with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.drawing import band, note, panel, rows
from analysis.palette import MUTED, PARTS, TEXT, Ink
from analysis.wording import number, percent

ROW = 27
"""Height of a row in SVG units."""


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
            _draw_bar(made.axes, row, bar)
        rows(made.axes, names)
        made.axes.set_xlim(0, reach * 1.24)
        made.axes.xaxis.set_major_locator(MaxNLocator(4))
    return made.svg


def _draw_bar(axes: Axes, row: int, bar: Bar) -> None:
    start = 0.0
    for part, ink in zip(bar.parts, PARTS, strict=False):
        axes.barh(row, part, left=start, height=0.6, color=(bar.ink or ink).light, linewidth=0)
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
        rows(axes, names)
        _centre(axes, marks, line, shaded or 0.2)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if shares:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(float(value))))
    return made.svg


def _centre(axes: Axes, marks: Sequence[Mark], line: float, least: float) -> None:
    """Put the line in the middle, with room for every mark and interval and at least `least` either side."""
    ends = [end for mark in marks for end in (*mark.values, *(mark.span or ()))]
    reach = max([least * line * 1.2, *(abs(end - line) * 1.08 for end in ends)])
    axes.set_xlim(max(0.0, line - reach), line + reach)


def _height(names: Sequence[str]) -> int:
    return 28 + 14 + ROW * max(len(names), 2)


def _left(names: Sequence[str]) -> int:
    """Return the room for the names: some 6.4 units a letter at the panel's font size, less than half the panel."""
    return min(170, 14 + round(6.4 * max((len(name) for name in names), default=0)))
