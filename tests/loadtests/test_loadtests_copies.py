"""Several duplicates of one cell: distinct, reversible, and no other experiment has more than one."""

import pytest

from loadtests.experiment import Experiment
from loadtests.matrix import ExperimentError, load_experiment


def test_duplicates_are_numbered_and_come_back_from_run_json():
    made = load_experiment("aa", {})
    ids = [cell.id for cell in made.cells]
    assert len(set(ids)) == 40
    assert ids[:3] == ["control-none-1r-roundrobin", "control-none-1r-roundrobin.aa", "control-none-1r-roundrobin.aa2"]
    assert all(cell.topology == made.cells[0].topology for cell in made.cells)
    assert Experiment.from_dict(made.as_dict()) == made


def test_one_duplicate_where_nothing_is_said():
    assert sum(cell.duplicate_of is not None for cell in load_experiment("quick", {}).cells) == 1


@pytest.mark.parametrize("copies", [0, 200])
def test_a_number_out_of_range_is_refused(copies: int):
    with pytest.raises(ExperimentError, match="copies must lie between 1 and 199"):
        load_experiment("quick", {"copies": copies})
