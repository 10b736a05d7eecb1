"""A suite's file is read whole before anything starts, and an interrupted one goes on where it stopped."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtests import run, run_experiment, suite, suite_run
from loadtests.command_line import experiment_of
from loadtests.matrix import load_experiment
from loadtests.run_folder import SetupError
from topology.process import ComponentError
from topology.spec import SpecError

PARTS = (suite.Part("first", "quick", {"blocks": "2"}), suite.Part("second", "tokens", {}))


@pytest.mark.parametrize("name", suite.suite_names())
@pytest.mark.parametrize("profile", [None, "short", "reference"])
def test_every_part_of_every_suite_can_be_run(name: str, profile: str | None):
    _, parts = suite.load_suite(name, profile)
    assert len({part.name for part in parts}) == len(parts)
    for part in parts:
        if part.experiment != suite.LAB:
            assert experiment_of(part.arguments).cells


def test_a_profile_changes_what_its_parts_say():
    _, short = suite.load_suite("full", "short")
    quick = next(part for part in short if part.name == "quick")
    assert experiment_of(quick.arguments).blocks < load_experiment("quick", {}).blocks


def test_an_unknown_profile_is_refused():
    with pytest.raises(SpecError, match=r"profile of full 'shrot' is unknown \(did you mean 'short'\?\)"):
        suite.load_suite("full", "shrot")


def test_what_has_ended_is_not_run_again_and_the_last_part_finishes_it(tmp_path: Path):
    record = suite.begin(tmp_path, "full", "Title", None, PARTS, "then")
    suite.ended(tmp_path, record, 0, "later", suite.Outcome())
    again = suite.read(tmp_path)
    assert [each["finished"] for each in again["parts"]] == ["later", None]
    suite.ended(tmp_path, again, 1, "last", suite.Outcome("no browser"))
    with pytest.raises(SetupError, match="is finished"):
        suite.read(tmp_path)


def test_the_profile_of_an_experiment_does_nothing_and_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert run.main(["--profile", "short", "--results", str(tmp_path)]) == 2
    assert "PROFILE does nothing here" in capsys.readouterr().err


def test_a_suite_takes_no_other_knob(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert run.main(["--experiment", "full", "--blocks", "3", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith("without: blocks\n")


@pytest.fixture
def began(tmp_path: Path) -> Path:
    """A suite of two parts in which nothing has run, as its folder."""
    suite.write_json(tmp_path / suite.SUITE, suite.begin(tmp_path, "full", "Title", None, PARTS, "then"))
    return tmp_path


def _go_on(folder: Path) -> tuple[int, list[dict[str, Any]], str]:
    console = Console(file=io.StringIO(), width=200)
    arguments = {"experiment": None}
    status = suite_run.run_suite(arguments, None, folder.parent, console, folder)
    return status, json.loads((folder / suite.SUITE).read_text())["parts"], console.file.getvalue()  # type: ignore[attr-defined]


def test_a_part_that_dies_ends_alone_and_is_tried_again(monkeypatch: pytest.MonkeyPatch, began: Path):
    ran = []

    def part(each: suite.Part, *_: object) -> None:
        ran.append(each.name)
        if ran == ["first"]:
            raise ComponentError("replica-0 ended with 1")

    monkeypatch.setattr(suite_run, "_run_part", part)
    status, parts, told = _go_on(began)
    assert (status, ran) == (1, ["first", "second"])
    assert parts[0]["left_out"] == "it failed: replica-0 ended with 1"
    assert "replica-0 ended with 1" in told
    assert parts[1]["finished"]
    status, parts, _ = _go_on(began)
    assert (status, ran) == (0, ["first", "second", "first"])
    assert not parts[0]["left_out"]
    assert json.loads((began / suite.SUITE).read_text())["finished"]


def test_a_part_whose_binary_is_missing_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch, began: Path):
    record = json.loads((began / suite.SUITE).read_text())
    record["parts"][0] |= {"experiment": "stores", "changes": {"schemes": "session", "stores": "memcached"}}
    suite.write_json(began / suite.SUITE, record)
    monkeypatch.setenv("AUTHSCALE_MEMCACHED", "/nowhere/memcached")
    monkeypatch.setattr(suite_run, "_run_part", lambda *_: None)
    suite_run.binaries.find.cache_clear()
    status, parts, _ = _go_on(began)
    suite_run.binaries.find.cache_clear()
    assert status == 0
    assert "memcached" in parts[0]["left_out"]
    assert not parts[0]["failed"]


def test_without_a_browser_its_lab_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("AUTHSCALE_CHROMIUM", "/nowhere/chromium")
    suite_run.binaries.find.cache_clear()
    outcome = suite_run._outcome(suite.Part("browser-lab", suite.LAB, {}), tmp_path, Console(file=io.StringIO()))
    suite_run.binaries.find.cache_clear()
    assert "chromium" in outcome.left_out


def test_an_interrupted_suite_keeps_what_has_ended_and_goes_on(monkeypatch: pytest.MonkeyPatch, began: Path):
    ran = []

    def part(each: suite.Part, *_: object) -> None:
        ran.append(each.name)
        if ran == ["first", "second"]:
            raise KeyboardInterrupt

    monkeypatch.setattr(suite_run, "_run_part", part)
    with pytest.raises(KeyboardInterrupt):
        _go_on(began)
    status, parts, _ = _go_on(began)
    assert (status, ran) == (0, ["first", "second", "second"])
    assert all(each["finished"] for each in parts)


@pytest.mark.parametrize(
    ("experiment", "says"),
    [("quick", "open loop, 250 requests/s"), ("payload", "what a credential costs"), ("crossover-closed", "closed")],
)
def test_what_a_trial_does_is_said(experiment: str, says: str):
    told = run_experiment._each_trial(load_experiment(experiment, {}))
    assert says in told
    assert ("requests/s" in told) == (experiment == "quick")
