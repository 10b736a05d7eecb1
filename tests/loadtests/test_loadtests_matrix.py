"""From an experiment's file and the command line to cells: right ones, and a clear word on wrong ones."""

import collections
from pathlib import Path
from typing import Any

import pytest

from loadtests import matrix
from loadtests.matrix import ExperimentError, load_experiment


def test_quick_is_what_the_readme_says():
    experiment = load_experiment("quick", {})
    assert [cell.id for cell in experiment.cells] == [
        "control-none-1r-roundrobin",
        "control-none-4r-roundrobin",
        "session-memory-1r-roundrobin",
        "session-memory-4r-roundrobin",
        "session-redis-1r-roundrobin",
        "session-redis-4r-roundrobin",
        "token-none-1r-roundrobin",
        "token-none-4r-roundrobin",
        "control-none-1r-roundrobin.aa",
    ]
    assert experiment.blocks >= 3
    assert experiment.baseline.id == "control-none-1r-roundrobin"


def test_changes_lie_over_the_file():
    changes = {
        "schemes": ["session", "token"],
        "stores": ["redis"],
        "replicas": [1, 2, 8],
        "rate_rps": 300.0,
        "blocks": 5,
    }
    experiment = load_experiment("quick", changes)
    assert len(experiment.cells) == 7
    assert experiment.load.rate_rps == 300
    assert experiment.blocks == 5
    assert experiment.baseline.id == "session-redis-1r-roundrobin"


def test_each_block_holds_every_cell_once_in_an_order_of_its_own():
    experiment = load_experiment("quick", {"blocks": 20})
    orders = [[cell.id for cell in block] for block in experiment.order()]
    for order in orders:
        assert collections.Counter(order) == collections.Counter(cell.id for cell in experiment.cells)
    assert len({tuple(order) for order in orders}) == 20
    assert orders == [[cell.id for cell in block] for block in experiment.order()]
    other = load_experiment("quick", {"blocks": 20, "seed": 2})
    assert orders != [[cell.id for cell in block] for block in other.order()]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"schemes": ["sesion"]},
            r"scheme 'sesion' is unknown \(did you mean 'session'\?\); there are: control, session, token",
        ),
        ({"stores": ["rediss"]}, r"store 'rediss' is unknown \(did you mean 'redis'\?\); there are: .*memory"),
        ({"policies": ["random"]}, r"policy 'random' is unknown; there are: roundrobin"),
        ({"replicas": [0]}, "replicas must lie between 1 and 64, not 0"),
        ({"replicas": []}, "replicas: at least one value is needed"),
        ({"replicas": [1, 1]}, "replicas: 1 stands there more than once"),
        ({"schemes": []}, "schemes: at least one value"),
        ({"scenario": "brows"}, r"scenario 'brows' is unknown \(did you mean 'browse'\?\); there are: browse, mixed"),
        ({"rate_rps": 0.0}, "rate must be above 0"),
        ({"rate_rps": float("nan")}, "rate must be above 0"),
        ({"duration_s": -1.0}, "duration must be above 0"),
        ({"warm_up_s": -1.0}, "warmup must lie between 0"),
        ({"blocks": 0}, "blocks must lie between 1"),
        ({"users": 200, "accounts": 100}, r"users \(200\) must not exceed accounts \(100\)"),
        ({"hash_cost": "cheap"}, "hash_cost: 'cheap' is no cost: fast, owasp, or t="),
        ({"arrivals": "poison"}, r"arrivals 'poison' is unknown .did you mean 'poisson'"),
        ({"threads": 0}, "threads must lie between 1"),
    ],
)
def test_a_wrong_value_is_refused_and_the_right_ones_are_named(changes: dict[str, Any], said: str):
    with pytest.raises(ExperimentError, match=said):
        load_experiment("quick", changes)


def ids(**changes: Any) -> list[str]:
    return [cell.id for cell in load_experiment("quick", {"stores": ["redis"], "replicas": [1], **changes}).cells]


def test_options_multiply_the_cells_that_have_them_and_leave_the_others_alone():
    assert ids(options={"touch": ["always", "never"]}) == [
        "control-none-1r-roundrobin",
        "session-redis-1r-roundrobin",
        "session-redis-1r-roundrobin.touch-never",
        "token-none-1r-roundrobin",
        "control-none-1r-roundrobin.aa",
    ]


def test_variants_of_a_file_with_an_option_of_the_command_line_laid_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    text = (matrix.EXPERIMENTS / "quick.toml").read_text()
    variants = 'variants = [{}, {touch = "never"}]\n'
    (tmp_path / "mine.toml").write_text(text.replace("[axes]\n", f"[axes]\n{variants}", 1))
    monkeypatch.setattr(matrix, "EXPERIMENTS", tmp_path)
    changes: dict[str, Any] = {"schemes": ["session"], "stores": ["redis"], "replicas": [1]}
    plain = load_experiment("mine", changes)
    assert [cell.topology.unusual for cell in plain.cells[:-1]] == [{}, {"touch": "never"}]
    encrypted = load_experiment("mine", {**changes, "options": {"tls": ["on"]}})
    assert [cell.topology.unusual for cell in encrypted.cells[:-1]] == [{"tls": "on"}, {"touch": "never", "tls": "on"}]
    overridden = load_experiment("mine", {**changes, "options": {"touch": ["interval"]}})
    assert [cell.topology.unusual for cell in overridden.cells[:-1]] == [{"touch": "interval"}]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"touch": ["nevr"]}, "touch 'nevr' is unknown; there are: always, interval, never"),
        ({"tuch": ["never"]}, r"option 'tuch' is unknown .did you mean 'touch'"),
        ({"touch": []}, "an option without a value"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, list[str]], said: str):
    with pytest.raises(ExperimentError, match=said):
        ids(options=options)


def test_an_option_that_nothing_here_has_is_refused():
    with pytest.raises(ExperimentError, match="touch changes nothing here"):
        ids(schemes=["control"], options={"touch": ["never"]})


def test_an_unknown_experiment_names_those_there_are():
    with pytest.raises(
        ExperimentError, match=r"experiment 'quik' is unknown \(did you mean 'quick'\?\); there are: .*quick"
    ):
        load_experiment("quik", {})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rate_rps", "rate_rsp", r"mine.toml \[load\]: 'rate_rsp' is unknown \(did you mean 'rate_rps'\?\)"),
        ("[plan]", "[plans]", "mine.toml: 'plans' is unknown .did you mean 'plan'"),
        ("users = 50", 'users = "50"', r"mine.toml \[load\]: users has the wrong type: '50'"),
        ("users = 50\n", "", r"mine.toml \[load\]: 'users' is missing"),
        ("seed = 1", "seed = ", "mine.toml: Invalid value"),
    ],
)
def test_a_typo_in_a_file_is_an_error_that_names_it(
    old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    text = (matrix.EXPERIMENTS / "quick.toml").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
    monkeypatch.setattr(matrix, "EXPERIMENTS", tmp_path)
    with pytest.raises(ExperimentError, match=said):
        load_experiment("mine", {})
