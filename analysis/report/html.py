"""The report as one HTML file that opens offline: nothing is loaded from anywhere.

Its one script makes tables sortable; without it they stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.drawn_data import data_csv, without_data
from analysis.lines import Figure
from analysis.palette import INKS
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
    return environment


def _svg(svg: str) -> Markup:
    """Return a drawing without its data, as it is: we drew it, and matplotlib escapes the text in it."""
    return Markup(without_data(svg))  # noqa: S704


def _data_uri(figure: Figure) -> str:
    """Return the numbers of a figure as a link that needs no file; empty where it has none."""
    text = data_csv(((each.heading, each.svg) for each in figure.panels), dict(figure.key))
    return f"data:text/csv;charset=utf-8,{quote(text, safe=',.:;()/=+')}" if text else ""
