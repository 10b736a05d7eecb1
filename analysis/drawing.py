"""Small panels as SVG that takes its colours and its font from the page.

A panel is 360 units wide, about a phone's width, so its text keeps its size there; on a wide page several stand side
by side. Colours become CSS variables, which is how one drawing serves light and dark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis.drawn_data import Point, rows_of, with_data
from analysis.palette import BAND, GRID, INKS, MUTED, TEXT

WIDTH = 360
POINTS = 72  # SVG units to the inch
STYLE = {
    "svg.fonttype": "none",  # text stays text: selectable, small, and in the page's own font
    "svg.hashsalt": "authscale",  # the same drawing gives the same bytes
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": TEXT.light,
    "axes.labelcolor": MUTED.light,
    "axes.edgecolor": MUTED.light,
    "axes.labelsize": 11,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID.light,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
    "xtick.labelcolor": TEXT.light,
    "ytick.labelcolor": TEXT.light,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass
class Panel:
    """A panel that is being drawn: draw on `axes`; `svg` is there when the block ends.

    `x_as` turns a place on the x axis into what it stands for, where the axis has a scale of its own.
    """

    axes: Axes
    x_as: Callable[[Point], float] | None = None
    svg: str = field(default="")


@contextmanager
def panel(name: str, alt: str, *, height: int, left: int = 48, bottom: int = 44) -> Iterator[Panel]:
    """Give axes to draw on; `name` must be unique on the page, `height`, `left` and `bottom` are SVG units."""
    with mpl.rc_context(STYLE):  # type: ignore[arg-type] # keys are literals to the stubs
        canvas = Canvas(figsize=(WIDTH / POINTS, height / POINTS), dpi=POINTS)
        axes = canvas.add_axes(
            (left / WIDTH, bottom / height, (WIDTH - left - 16) / WIDTH, (height - bottom - 14) / height)
        )
        drawn = Panel(axes)
        yield drawn
        out = io.StringIO()
        canvas.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        drawn.svg = with_data(adapt(out.getvalue(), name, alt), canvas.axes, drawn.x_as)


def adapt(svg: str, name: str, alt: str) -> str:
    """Return matplotlib's SVG fit for a page: ids of its own, the page's colours and font, text for who cannot see."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    opening, _, rest = body.partition(">")
    box = re.search(r'viewBox="([^"]+)"', opening)
    rest = rest.replace("xlink:href", "href")
    rest = re.sub(r'\bid="', f'id="{name}-', rest)
    rest = re.sub(r'(url\(|href=")#', rf"\1#{name}-", rest)
    rest = re.sub(r"<style.*?</style>", "", rest, count=1, flags=re.DOTALL)  # it would style the whole page
    rest = re.sub(r"font: ([0-9.]+px) [^;\"]+", r"font-size: \1", rest)
    rest = rest.replace("font-family: 'DejaVu Sans'; ", "")
    for ink in INKS:
        rest = rest.replace(ink.light, f"var(--{ink.name})")
    view = box.group(1) if box else f"0 0 {WIDTH} 240"
    return f'<svg viewBox="{view}" role="img" aria-label="{_attribute(alt)}">{rest.strip()}'


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def rows(axes: Axes, labels: list[str]) -> None:
    """Turn the y axis into named rows, the first on top."""
    rows_of[axes] = tuple(labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def rows_under_names(axes: Axes, labels: list[str]) -> None:
    """As `rows`, but each name stands above its row, at the left edge: long names leave the row its whole width."""
    rows(axes, [""] * len(labels))
    rows_of[axes] = tuple(labels)
    axes.set_ylim(len(labels) - 0.5, -0.75)
    for place, label in enumerate(labels):
        axes.text(0.0, place - 0.3, label, transform=axes.get_yaxis_transform(), va="bottom", ha="left", fontsize=10.5)


def note(axes: Axes, x: float, y: float, text: str) -> None:
    """Write beside a mark, in the muted ink."""
    axes.annotate(
        text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", color=MUTED.light, fontsize=10.5
    )


def band(axes: Axes, low: float, high: float) -> None:
    """Shade a vertical band behind the marks."""
    axes.axvspan(low, high, color=BAND.light, zorder=0, linewidth=0)
