"""The README says what is so: its figures stand in the report beside it, its commands and knobs exist."""

import json
import re
from pathlib import Path

import pytest

from analysis.readme_figures import BEGIN, END, ReadmeError, block, main, quoted
from analysis.report.__main__ import main as report
from analysis.synthetic import Plan, write_run
from topology.spec import every_option

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
REFERENCE = ROOT / "results" / "reference"


def test_the_figures_of_the_readme_are_those_of_the_reference_run():
    assert quoted(README) == block(REFERENCE, ROOT), "`make readme-figures` writes them"


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


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reported suite of one synthetic run."""
    folder = tmp_path_factory.mktemp("results") / "reference"
    write_run(folder / "quick", Plan(blocks=3, requests=100))
    part = {"name": "quick", "experiment": "quick", "changes": {}, "finished": "2026-11-23T20:03:41Z"}
    facts = {"format": 1, "id": "full", "suite": "full", "title": "Everything", "profile": "reference"}
    (folder / "suite.json").write_text(json.dumps({**facts, "parts": [part]}))
    assert report(["--run", str(folder), "--quiet"]) == 0
    return folder


def test_the_command_writes_between_the_marks_alone(suite: Path, tmp_path: Path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold 123 ms\n{END}\nafter\n")
    for _ in range(2):  # what it wrote is found again
        assert main(["--run", str(suite), "--readme", str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old 123 ms" not in text
    told = quoted(text)
    summary = json.loads((suite / "summary.json").read_text())
    assert "**At 4 replicas, " in told
    assert len(re.findall(r"^\| [A-Z]", told, re.MULTILINE)) == 9
    assert str(len(summary["claims"])) in told
    assert (readme.parent / re.search(r"\]\(([^)]+)\)", told)[1]).exists()


def test_a_figure_that_changed_is_seen(suite: Path, tmp_path: Path):
    before = block(suite, tmp_path)
    path = suite / "summary.json"
    kept = path.read_text()
    path.write_text(kept.replace('"value": 63.0', '"value": 64.0'))
    try:
        assert block(suite, tmp_path) != before
    finally:
        path.write_text(kept)


def test_without_marks_or_a_run_it_is_one_line(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    readme = tmp_path / "README.md"
    readme.write_text("nothing\n")
    assert main(["--run", str(suite), "--readme", str(readme)]) == 2
    readme.write_text(f"{BEGIN}\n{END}\n")
    assert main(["--run", str(tmp_path), "--readme", str(readme)]) == 2
    assert capsys.readouterr().err.count("\n") == 2
    with pytest.raises(ReadmeError, match="once each"):
        quoted(f"{END}\n{BEGIN}\n")
