"""The README says what is so: its figures stand in the report beside it, its commands and knobs exist."""

import re
from pathlib import Path

import pytest

from topology.spec import every_option

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def _section(title: str) -> str:
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_figure_of_the_readme_is_one_of_the_report():
    report = (ROOT / "docs" / "report.md").read_text().replace(",", "")
    figures = re.findall(r"[+−]?\d+(?:\.\d+)?(?= (?:%|ms|us|bytes))|(?<=p )0\.\d+", _section("What it says"))  # noqa: RUF001 - a minus sign
    figures = [figure for figure in figures if figure != "95"]
    assert len(figures) >= 10
    missing = [figure for figure in figures if not re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.]*\d)", report)]
    assert not missing


def test_every_knob_is_told_and_is_one_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    lists = [re.search(rf"^{name} := ((?:.*\\\n)*.*)", makefile, re.MULTILINE)[1] for name in ("AXES", "OPTIONS")]
    assert set(lists[1].replace("\\\n", " ").split()) == {name.upper() for name in every_option()}
    known = set(" ".join(lists).replace("\\", " ").replace("$(OPTIONS)", "").split()) - {"RESUME"}
    page = (ROOT / "docs" / "knobs.md").read_text()
    told = re.findall(r"`([A-Z_]+)`", "".join(re.findall(r"^\| (`[A-Z].*?) \|", page, re.MULTILINE)))
    assert len(told) == len(set(told))
    told = set(told)
    assert told == known


def test_every_target_of_the_readme_is_one_of_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
