"""One ink a scheme, in every figure of every run; told apart with any colour vision, on any paper."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from analysis.figures import figures
from analysis.lines import lines
from analysis.load import load_run
from analysis.palette import INKS, SCHEMES, SESSION_STORES, ink_of
from analysis.summary import analyse
from analysis.synthetic import Plan, write_run

PAPERS = {"light": "#ffffff", "dark": "#14171c"}
SERIES = (
    ("control", "none"),
    ("hybrid", "redis"),
    ("signed_cookie", "none"),
    ("flask-session", "redis"),
    ("flask-jwt-extended", "none"),
    ("token", "none"),
)
# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB
DEFICIENCIES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def linear(colour: str):
    share = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def inks_drawn(folder: Path) -> dict[str, str]:
    """Ink by name of every key of every figure that names series."""
    analysis = analyse(load_run(folder))
    return {name: ink.split()[0] for figure in figures(analysis) for ink, name in figure.key if "part" not in ink}


def test_a_scheme_has_the_same_ink_whatever_runs_beside_it(tmp_path: Path):
    together = inks_drawn(write_run(tmp_path / "all", Plan(blocks=2, replicas=(1,), series=SERIES, requests=200)))
    assert len(set(together.values())) == len(SERIES)
    for number, pair in enumerate(combinations(SERIES[1:], 2)):
        alone = inks_drawn(
            write_run(tmp_path / str(number), Plan(blocks=1, replicas=(1,), series=pair[::-1], requests=100))
        )
        assert alone.items() <= together.items()


def test_crowded_figures_have_the_same_inks(stores_run: Path, quick_run: Path):
    crowded, few = inks_drawn(stores_run), inks_drawn(quick_run)
    assert crowded["control"] == few["control"]
    assert crowded["token"] == few["token"]
    assert crowded["session"] == few["session · redis"]


def test_lines_that_would_look_alike_become_rows(tmp_path: Path):
    options = tuple(("token", "none", {"algorithm": name}) for name in ("ES256", "EdDSA"))
    plan = Plan(blocks=1, replicas=(1,), series=(("token", "none"),), extra=options, requests=100)
    analysis = analyse(load_run(write_run(tmp_path / "run", plan)))
    assert len(lines(analysis.results)) == 3
    assert next(each.title for each in figures(analysis)) == "Response time"  # the figure of rows


def test_an_unknown_scheme_keeps_its_ink_and_takes_nobodys():
    assert ink_of("of-tomorrow") == ink_of("of-tomorrow", "redis")
    assert ink_of("of-tomorrow") not in SCHEMES.values()


@pytest.mark.parametrize("paper", PAPERS)
def test_series_stand_out_from_the_paper(paper: str):
    for ink in {*SCHEMES.values(), *SESSION_STORES.values(), *(each for each in INKS if each.name == "muted")}:
        light, dark = sorted((luminance(getattr(ink, paper)), luminance(PAPERS[paper])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, ink.name


@pytest.mark.parametrize("kind", DEFICIENCIES)
@pytest.mark.parametrize("paper", PAPERS)
def test_schemes_are_told_apart_by_colour_and_by_mark(kind: str, paper: str):
    matrix = np.array(DEFICIENCIES[kind])
    for ours, theirs in combinations(SCHEMES.values(), 2):
        seen = [np.clip(matrix @ linear(getattr(each, paper)), 0, 1) for each in (ours, theirs)]
        far = np.abs(np.cbrt(seen[0]) - np.cbrt(seen[1])).max()
        assert far > 0.05, (ours.name, theirs.name)
        assert ours.marker != theirs.marker
    assert len({each.light for each in INKS}) == len(INKS)
