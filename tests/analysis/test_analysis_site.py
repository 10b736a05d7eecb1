"""One page of all that lies in the folder of all runs; runs and parts of suites by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import notebook
from analysis.listed import listed_in
from analysis.load import RunError
from analysis.report.__main__ import main as report
from analysis.run_names import find_run
from analysis.site import main
from analysis.synthetic import Plan, write_run


def run(folder: Path, **changes: object) -> Path:
    """Write a reported run that says it is of that folder."""
    write_run(folder, Plan(blocks=2, replicas=(1,), requests=100))
    document = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(document | {"id": folder.name, "started": folder.name} | changes))
    assert report(["--run", str(folder), "--quiet"]) == 0
    return folder


def suite(folder: Path, *experiments: str) -> Path:
    for name in experiments:
        run(folder / name, experiment=name)
    parts = [{"name": name, "experiment": name, "changes": {}, "finished": "later"} for name in experiments]
    facts = {"format": 1, "id": folder.name, "suite": "full", "title": "All", "profile": None, "started": folder.name}
    (folder / "suite.json").write_text(json.dumps({**facts, "parts": parts}))
    assert report(["--run", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one experiment, a suite with a third and another experiment; read only."""
    results = tmp_path_factory.mktemp("all")
    run(results / "20261101T000000Z-quick")
    run(results / "20261102T000000Z-quick")
    suite(results / "20261103T000000Z-full", "quick", "tokens")
    (results / "latest").symlink_to("20261103T000000Z-full")
    return results


@pytest.fixture
def results(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "results", symlinks=True)
    return tmp_path / "results"


def test_everything_is_listed_once_the_newest_first(filled: Path):
    names = [each.name for each in listed_in(filled)]
    first = "20261103T000000Z-full"
    assert names == [first, f"{first}/quick", f"{first}/tokens", "20261102T000000Z-quick", "20261101T000000Z-quick"]
    token = listed_in(filled)[1]
    assert (token.trials, token.experiment, token.page) == ("10 of 10", "quick", f"{first}/quick/report.html")


def test_runs_of_one_experiment_are_compared_and_a_second_time_kept(results: Path):
    assert main(["--results", str(results)]) == 0
    made = sorted(results.glob("site/*/compare.html"))
    assert len(made) == 3  # of three runs of quick; tokens has no like
    then = [path.stat().st_mtime_ns for path in made]
    assert main(["--results", str(results)]) == 0
    assert [path.stat().st_mtime_ns for path in made] == then
    text = (results / "index.html").read_text()
    assert all(path.relative_to(results).as_posix() in text for path in made)


def test_what_is_left_out_is_told_and_the_nearest_come_first(results: Path):
    assert main(["--results", str(results), "--most", "1"]) == 0
    made = [path.parent.name for path in results.glob("site/*/compare.html")]
    assert made == ["compare-20261102T000000Z-quick-20261103T000000Z-full-quick"]
    assert (results / "index.html").read_text().count("only the 1 nearest are made") == 2


def test_runs_that_must_not_be_compared_say_why(results: Path):
    path = results / "20261101T000000Z-quick/run.json"
    document = json.loads(path.read_text())
    document["load"]["rate_rps"] = 999
    path.write_text(json.dumps(document))
    assert main(["--results", str(results)]) == 0
    assert (results / "index.html").read_text().count("not comparable: load rate_rps") == 2


def test_a_damaged_run_is_a_row_that_says_so(results: Path):
    (results / "20261101T000000Z-quick/run.json").write_text("{")
    assert main(["--results", str(results)]) == 0
    assert "Its file cannot be read." in (results / "index.html").read_text()


def test_no_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--results", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_part_of_a_suite_is_found_by_its_experiment(filled: Path):
    assert find_run("latest", filled, "tokens").name == "tokens"
    with pytest.raises(RunError, match="no run of experiment 'stores'"):
        find_run("latest", filled, "stores")
    with pytest.raises(RunError, match="several runs"):
        find_run("latest", filled)
    assert find_run("previous", filled).name == "20261102T000000Z-quick"


def test_each_claim_of_a_suite_leads_to_what_measured_it(filled: Path):
    text = (filled / "latest/report.html").read_text()
    assert 'href="quick/report.html#claims"' in text
    assert text.index('id="claims"') < text.index('id="figures"') < text.index('id="runs"')
    assert 'id="figure-latency"' in text


def test_a_notebook_takes_the_part_that_answers_and_says_what_is_not_there(filled: Path):
    shown = notebook.of(str(filled / "latest"), ("faults", "tokens"))
    assert shown.told == "Run `tokens`, experiment `tokens`."
    assert "was not made for this question" in notebook.of(str(filled / "latest"), ("faults",)).told
    assert shown.figures("fault-*") == "<p>This run has no figure of fault.</p>"
    assert shown.figures("bytes").count("<figure") == 1
    assert list(shown.metrics("response_p50_ms").columns) == [
        "response p50 (ms)",
        "response p50 low",
        "response p50 high",
    ]


def test_a_part_without_a_load_has_no_empty_headings(build_run: Callable[..., Path]):
    folder = build_run(blocks=1, requests=100)
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"study_loads": False, "study": {"kind": "looking"}}))
    assert report(["--run", str(folder), "--quiet"]) == 0
    for name in ("report.html", "report.md"):
        text = (folder / name).read_text()
        assert not [each for each in ("Metrics<", "## Metrics", "Noise floor", "## Comparisons") if each in text]
        assert "looking" in text
        assert "Study of" not in text
