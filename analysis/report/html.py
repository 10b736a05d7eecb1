"""The report as one HTML file that opens offline: no script, and nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.lines import Figure
from analysis.palette import INKS
from analysis.report.model import Report


def render(report: Report, figures: Sequence[Figure]) -> str:
    """Return the text of report.html."""
    return environment().get_template("report.html.j2").render(report=report, figures=figures, inks=INKS)


def figures_alone(figures: Sequence[Figure]) -> str:
    """Return figures with their style and nothing around them, for a notebook."""
    return environment().get_template("figures.html.j2").render(figures=figures, inks=INKS)


def environment() -> Environment:
    """Return what renders the templates of every page."""
    environment = Environment(
        loader=PackageLoader("analysis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = Markup  # drawn by us; matplotlib escapes the text in it
    return environment
