"""The report as one HTML file that opens offline: nothing is loaded from anywhere.

Its one script makes tables sortable; without it they stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.markers import MarkerStyle

from analysis.drawn_data import data_csv, without_data
from analysis.lines import Figure
from analysis.palette import BAND, GRID, INKS, MUTED, PARTS, TEXT
from analysis.report.model import Report


def render(report: Report, figures: Sequence[Figure]) -> str:
    """Return the text of report.html."""
    return _environment().get_template("report.html.j2").render(report=report, figures=figures, inks=INKS)


def figures_alone(figures: Sequence[Figure]) -> str:
    """Return figures with their style and nothing around them, for a notebook."""
    return _environment().get_template("figures.html.j2").render(figures=figures, inks=INKS)


def page(template: str, **values: object) -> str:
    """Return a page of another template in the same look."""
    return _environment().get_template(template).render(**values)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("analysis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = _svg
    environment.filters["data_uri"] = _data_uri
    environment.filters["marker"] = _marker
    return environment


def _svg(svg: str) -> Markup:
    """Return a drawing without its data, as it is: we drew it, and matplotlib escapes the text in it."""
    return Markup(without_data(svg))  # noqa: S704


@cache
def _marker(name: str) -> Markup:
    """Return the shape of a series' marks as an SVG path in a box of 2 by 2; empty for inks that have no marks."""
    ink = next((ink for ink in INKS if ink.name == name and ink not in (TEXT, MUTED, GRID, BAND, *PARTS)), None)
    if ink is None:
        return Markup()
    style = MarkerStyle(ink.marker)
    polygons = style.get_path().transformed(style.get_transform()).to_polygons()
    outlines = [np.asarray(each, dtype=float).tolist() for each in polygons]
    size = max(abs(end) for outline in outlines for point in outline for end in point)
    drawn = ("M" + "L".join(f"{x / size:.2f} {-y / size:.2f}" for x, y in outline) + "Z" for outline in outlines)
    return Markup("".join(drawn))  # noqa: S704 - numbers alone


def _data_uri(figure: Figure) -> str:
    """Return the numbers of a figure as a link that needs no file; empty where it has none."""
    text = data_csv(((each.heading, each.svg) for each in figure.panels), dict(figure.key))
    return f"data:text/csv;charset=utf-8,{quote(text, safe=',.:;()/=+')}" if text else ""
