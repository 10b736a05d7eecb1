"""A suite's file is read whole before anything starts, and an interrupted one goes on where it stopped."""

from pathlib import Path

import pytest

from loadtests import run, suite
from loadtests.matrix import load_experiment
from loadtests.run_folder import SetupError
from topology.spec import SpecError

PARTS = (suite.Part("first", "quick", {"blocks": "2"}), suite.Part("second", "tokens", {}))


@pytest.mark.parametrize("name", suite.suite_names())
@pytest.mark.parametrize("profile", [None, "short", "reference"])
def test_every_part_of_every_suite_can_be_run(name: str, profile: str | None):
    _, parts = suite.load_suite(name, profile)
    assert len({part.name for part in parts}) == len(parts)
    for part in parts:
        if part.experiment != suite.LAB:
            assert run._asked_for(run._arguments_of(part)).cells


def test_a_profile_changes_what_its_parts_say():
    _, short = suite.load_suite("full", "short")
    quick = next(part for part in short if part.name == "quick")
    assert run._asked_for(run._arguments_of(quick)).blocks < load_experiment("quick", {}).blocks


def test_an_unknown_profile_is_refused():
    with pytest.raises(SpecError, match=r"profile of full 'shrot' is unknown \(did you mean 'short'\?\)"):
        suite.load_suite("full", "shrot")


def test_what_has_ended_is_not_run_again_and_the_last_part_finishes_it(tmp_path: Path):
    record = suite.begin(tmp_path, "full", "Title", None, PARTS, "then")
    suite.ended(tmp_path, record, 0, "later")
    again = suite.read(tmp_path)
    assert [each["finished"] for each in again["parts"]] == ["later", None]
    suite.ended(tmp_path, again, 1, "last", left_out="no browser")
    with pytest.raises(SetupError, match="is finished"):
        suite.read(tmp_path)


def test_the_profile_of_an_experiment_does_nothing_and_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert run.main(["--profile", "short", "--results", str(tmp_path)]) == 2
    assert "PROFILE does nothing here" in capsys.readouterr().err


def test_a_suite_takes_no_other_knob(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert run.main(["--experiment", "full", "--blocks", "3", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith("without: blocks\n")
