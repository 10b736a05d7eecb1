"""What a figure hands out is what it shows: every value and interval, with names in place of positions."""

import csv
import io
from pathlib import Path

import pytest

from analysis.drawing import panel, rows
from analysis.drawn_data import HEADER, data_csv, without_data
from analysis.figures import figures
from analysis.load import load_run
from analysis.palette import KNOWN
from analysis.summary import analyse

INK = KNOWN["token", "none"]


def records(*panels: tuple[str, str], key: dict[str, str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data_csv(panels, key))))


def test_marks_take_the_interval_that_goes_through_them_and_no_other():
    with panel("p", "alt", height=100) as made:
        made.axes.plot([1.0, 2.0], [0, 1], color=INK.light, linestyle="none", marker="o")
        made.axes.hlines(0, 0.5, 1.5, color=INK.light)
        made.axes.hlines(1, 2.5, 3.0, color=INK.light)  # beside its mark
        made.axes.hlines(1, 1.0, 3.0, color=INK.light, alpha=0.5)  # joins marks
        made.axes.axvline(1.5, color=INK.light)
        rows(made.axes, ["first", "a < b"])
    found = records(("heading", made.svg), key={INK.name: "token"})
    assert tuple(found[0]) == HEADER
    told = [(each["row"], each["kind"], each["x"], each["x_low"], each["x_high"]) for each in found]
    assert told == [
        ("first", "point", "1", "0.5", "1.5"),
        ("a < b", "point", "2", "", ""),
        ("a < b", "interval", "2.75", "2.5", "3"),
    ]
    assert {each["series"] for each in found} == {"token"}
    assert "metadata" not in without_data(made.svg)


def test_every_figure_of_a_run_hands_out_its_data(quick_run: Path):
    analysis = analyse(load_run(quick_run))
    token = next(each for each in analysis.results if each.cell.id == "token-none-4r-roundrobin")
    for figure in figures(analysis):
        found = records(*((each.heading, each.svg) for each in figure.panels), key=dict(figure.key))
        assert {each["panel"] for each in found} == {each.heading for each in figure.panels}
        if figure.id == "cpu":
            bar = [each for each in found if each["row"] == "token" and each["panel"].startswith("4")][-1]
            known = token.estimates["total_cpu_us_per_request"]
            told = [float(bar[name]) for name in ("x", "x_low", "x_high")]
            assert told == pytest.approx([known.value, known.low, known.high], rel=1e-5)
        if figure.id == "distribution":
            shares = [each["x"] for each in found if each["y_low"]]
            assert set(shares) == {"0.5", "0.9", "0.99"}
