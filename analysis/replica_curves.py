"""Panels of something against the number of replicas: measured points with intervals, and lines beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.drawing import panel
from analysis.palette import MUTED, Ink


@dataclass(frozen=True)
class Point:
    """A measured value at a number of replicas, with its interval where it has one."""

    replicas: int
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Beside:
    """A line that was not measured: a prediction (dashed), a fit or a bound (dotted)."""

    places: tuple[float, ...]
    values: tuple[float, ...]
    dotted: bool = False


@dataclass(frozen=True)
class Curve:
    """Points of one ink, joined unless `besides` say what goes through them."""

    name: str
    ink: Ink
    points: tuple[Point, ...]
    besides: tuple[Beside, ...] = ()


def curves_panel(name: str, alt: str, curves: Sequence[Curve], *, marked: float | None = None) -> str:
    """Return the SVG of curves over replicas on linear axes from zero; `marked` is a place on the x axis to show."""
    counts = sorted({point.replicas for curve in curves for point in curve.points})
    with panel(name, alt, height=250, left=56) as made:
        axes = made.axes
        for index, curve in enumerate(curves):
            _draw(axes, curve, (index - (len(curves) - 1) / 2) * 0.06)
        if marked is not None:
            axes.axvline(marked, color=MUTED.light, linewidth=1, linestyle=(0, (2, 2)))
        axes.set_xticks(counts, [str(each) for each in counts])
        axes.set_xlim(0, max(counts) + 0.5)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("replicas")
    return made.svg


def _draw(axes: Axes, curve: Curve, shift: float) -> None:
    for beside in curve.besides:
        style = (0, (1, 2)) if beside.dotted else (0, (5, 3))
        colour = MUTED.light if beside.dotted else curve.ink.light
        axes.plot(beside.places, beside.values, color=colour, linestyle=style, linewidth=1.5)
    places = [point.replicas + shift for point in curve.points]
    values = [point.value for point in curve.points]
    lows = [point.value if point.low is None else max(point.low, 0.0) for point in curve.points]
    highs = [point.value if point.high is None else point.high for point in curve.points]
    axes.vlines(places, lows, highs, color=curve.ink.light, linewidth=2)
    axes.plot(
        places, values, color=curve.ink.light, marker=curve.ink.marker, markersize=6,
        linestyle="none" if curve.besides else "-", linewidth=1.5,
    )  # fmt: skip
