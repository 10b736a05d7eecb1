"""The numbers of a drawing, read off its axes, so that every figure can hand out its data without saying them twice.

A panel's SVG carries them as CSV in its own `metadata` element; the page takes them out again (`analysis.report.html`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.container import BarContainer
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator

from analysis.palette import INKS

COLUMNS = ("series", "row", "kind", "x", "x_low", "x_high", "y", "y_low", "y_high")
HEADER = ("panel", *COLUMNS)
_METADATA = re.compile(r"<metadata>(.*?)</metadata>", re.DOTALL)
_DIGITS = 6
_NEAR = 1e-9
_FAINT = 0.99
"""Lines of less opacity join marks, and are no intervals."""

rows_of: WeakKeyDictionary[Axes, tuple[str, ...]] = WeakKeyDictionary()
"""The names of the rows of axes that have rows."""


@dataclass(frozen=True)
class Point:
    """A mark, or an interval that belongs to none: where it lies, and its interval along either axis."""

    ink: str
    kind: str
    x: float | str
    y: float | str
    x_span: tuple[float, float] | None = None
    y_span: tuple[float, float] | None = None


def with_data(svg: str, axes: Sequence[Axes], x_as: Callable[[Point], float] | None = None) -> str:
    """Return the SVG with the numbers that were drawn on `axes` in its metadata; `x_as` is of `drawing.Panel`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for number, each in enumerate(axes, 1):
        for point in _points(each):
            kind = f"{point.kind}, axes {number}" if len(axes) > 1 else point.kind
            said = replace(point, kind=kind, x=x_as(point) if x_as else point.x)
            writer.writerow(_record(said, rows_of.get(each, ())))
    opening, mark, rest = svg.partition(">")
    text = out.getvalue().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{opening}{mark}<metadata>{text}</metadata>{rest}" if text else svg


def without_data(svg: str) -> str:
    """Return the SVG alone."""
    return _METADATA.sub("", svg, count=1)


def data_csv(panels: Iterable[tuple[str, str]], key: Mapping[str, str]) -> str:
    """Return the numbers of panels (heading, SVG) as one CSV; `key` names the inks. Empty where none has any."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    told = False
    writer.writerow(HEADER)
    for heading, svg in panels:
        found = _METADATA.search(svg)
        text = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") if found else ""
        for ink, *rest in csv.reader(io.StringIO(text)):
            writer.writerow([heading, key.get(ink, key.get(ink.removesuffix(" dashed"), "")), *rest])
            told = True
    return out.getvalue() if told else ""


def _record(point: Point, rows: Sequence[str]) -> tuple[str, ...]:
    x, y = _plain(point.x), _plain(point.y)
    row = ""
    if rows and isinstance(point.y, float):
        row, y = rows[min(len(rows) - 1, max(0, round(point.y)))], ""
    spans = (point.x_span or ("", ""), ("", "") if row else point.y_span or ("", ""))
    low, high = (tuple(_plain(end) for end in span) for span in spans)
    return point.ink, row, point.kind, x, *low, y, *high


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.{_DIGITS}g}"


def _points(axes: Axes) -> Iterable[Point]:
    """Yield what was drawn: marks and lines with the intervals that go through them, bars, then other intervals."""
    marks = [*_marks(axes), *_bars(axes)]
    for segment in _segments(axes):
        place = next((n for n, mark in enumerate(marks) if _belongs(segment, mark)), None)
        if place is None:
            marks.append(segment)
        else:
            found = marks[place]
            marks[place] = replace(found, x_span=segment.x_span or found.x_span, y_span=segment.y_span or found.y_span)
    for mark in marks:
        across = mark.y if axes in rows_of else _labelled(axes.yaxis, mark.y)
        yield replace(mark, x=_labelled(axes.xaxis, mark.x), y=across)


def _marks(axes: Axes) -> Iterable[Point]:
    for line in axes.get_lines():
        ink = _ink(line.get_color())
        if line.get_transform() != axes.transData:
            continue  # a reference line over the whole panel
        dashed = " dashed" if line.get_linestyle() not in ("-", "None") else ""
        for x, y in zip(np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float), strict=True):
            if np.isfinite(x) and np.isfinite(y):
                yield Point(ink + dashed, "point", float(x), float(y))


def _bars(axes: Axes) -> Iterable[Point]:
    for bars in axes.containers:
        for bar in bars if isinstance(bars, BarContainer) else ():
            if not isinstance(bar, Rectangle) or not (bar.get_width() and bar.get_height()):
                continue
            (left, low), (right, high) = bar.get_xy(), (bar.get_x() + bar.get_width(), bar.get_y() + bar.get_height())
            ink = _ink(bar.get_facecolor())
            if getattr(bars, "orientation", "") == "horizontal":
                yield Point(ink, f"bar from {_plain(float(left))}", float(right), (low + high) / 2)
            else:
                yield Point(ink, f"bar from {_plain(float(low))}", (left + right) / 2, float(high))


def _segments(axes: Axes) -> Iterable[Point]:
    for lines in axes.collections:
        if not isinstance(lines, LineCollection):
            continue
        colours = to_rgba_array(lines.get_colors())
        for place, segment in enumerate(lines.get_segments()):
            colour = colours[place % len(colours)]
            if colour[3] < _FAINT:
                continue
            ink = _ink(colour)
            for (x, y), (to_x, to_y) in pairwise(np.asarray(segment, float).tolist()):
                if abs(y - to_y) < _NEAR:
                    yield Point(ink, "interval", (x + to_x) / 2, y, x_span=(min(x, to_x), max(x, to_x)))
                elif abs(x - to_x) < _NEAR:
                    yield Point(ink, "interval", x, (y + to_y) / 2, y_span=(min(y, to_y), max(y, to_y)))


def _belongs(segment: Point, mark: Point) -> bool:
    """Whether an interval is that of a mark: it goes through it, in its ink (on a bar in the ink of text)."""
    on_bar = mark.kind.startswith("bar") and segment.ink == "text"
    if segment.ink != mark.ink.removesuffix(" dashed") and not on_bar:
        return False
    along, across = ("x", "y") if segment.x_span else ("y", "x")
    span = segment.x_span or segment.y_span or (0.0, 0.0)
    slack = _NEAR * max(1.0, *(abs(end) for end in span))
    here, there = getattr(mark, across), getattr(segment, across)
    if getattr(mark, f"{along}_span") or abs(here - there) > _NEAR:
        return False
    return bool(span[0] - slack <= getattr(mark, along) <= span[1] + slack)


def _labelled(axis: Axis, value: float | str) -> float | str:
    """Return the name of a place on an axis of names (ticks 0, 1, 2, ...), else the value."""
    ticks = list(axis.get_majorticklocs())
    if not isinstance(axis.get_major_locator(), FixedLocator) or ticks != list(range(len(ticks))):
        return value
    place = 0 if isinstance(value, str) else round(value)
    return axis.get_major_formatter().format_ticks(ticks)[place] if 0 <= place < len(ticks) else value


def _ink(colour: object) -> str:
    shade = to_hex(colour)  # type: ignore[arg-type] # what matplotlib kept of what we gave it
    return next((ink.name for ink in INKS if ink.light == shade), shade)
