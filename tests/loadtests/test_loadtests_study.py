import pytest

from loadtests.experiment import Experiment
from loadtests.matrix import ExperimentError, load_experiment
from loadtests.study import Study, resolve
from topology.spec import SpecError


def test_an_experiment_without_a_study_is_the_usual_one():
    experiment = load_experiment("quick", {})
    assert experiment.study == Study("load", {})
    assert Experiment.from_dict(experiment.as_dict()).study == experiment.study


def test_a_setting_of_another_study_is_refused_and_not_ignored():
    with pytest.raises(ExperimentError, match="slo does nothing here"):
        load_experiment("quick", {"study": {"slo": "p99<50ms"}})


def test_an_unknown_study_is_refused():
    with pytest.raises(SpecError, match="study 'lod' is unknown"):
        resolve({"kind": "lod"}, {})
