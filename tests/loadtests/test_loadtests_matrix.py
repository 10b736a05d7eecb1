"""From an experiment's file and the command line to cells: right ones, and a clear word on wrong ones."""

import collections
from pathlib import Path
from typing import Any

import pytest

from loadtests import matrix
from loadtests.command_line import _parser
from loadtests.experiment import Experiment
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


def test_hash_costs_and_threads_are_axes_that_ids_tell_where_they_are_unusual():
    asked = {"schemes": ["token"], "replicas": [1], "threads": [4, 16]}
    asked |= {"options": {"hash_cost": ["fast", "t=2,m=64,p=1"]}}
    experiment = load_experiment("quick", asked)
    ids = {cell.id for cell in experiment.cells if not cell.duplicate_of}
    plain = "token-none-1r-roundrobin"
    slow = ".hash_cost-t2m64p1"
    assert ids == {plain, plain + slow, f"{plain}.threads-16", f"{plain}.threads-16{slow}"}
    assert experiment.settings["hash_cost"] == "fast t=2,m=64,p=1"
    assert Experiment.from_dict(experiment.as_dict()) == experiment


def test_the_command_line_reads_hash_costs_with_commas_of_their_own():
    options = vars(_parser().parse_args(["--hash-cost", "fast,t=2,m=19456,p=1,owasp", "--threads", "4,16"]))
    assert options["option hash_cost"] == ["fast", "t=2,m=19456,p=1", "owasp"]
    assert options["threads"] == [4, 16]


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
        ({"policies": ["random"]}, r"policy 'random' is unknown; there are: roundrobin, sticky, leastconn"),
        ({"policies": ["stiky"]}, r"policy 'stiky' is unknown \(did you mean 'sticky'\?\)"),
        ({"options": {"balancer": ["ngnix"]}}, "balancer 'ngnix' is unknown; there are: haproxy, nginx"),
        ({"replicas": [0]}, "replicas must lie between 1 and 64, not 0"),
        ({"replicas": []}, "replicas: at least one value is needed"),
        ({"replicas": [1, 1]}, "replicas: 1 stands there more than once"),
        ({"schemes": []}, "schemes: at least one value"),
        (
            {"scenario": "brows"},
            r"scenario 'brows' is unknown \(did you mean 'browse'\?\); there are: browse, churn, counter, ",
        ),
        ({"rate_rps": 0.0}, "rate must be above 0"),
        ({"rate_rps": float("nan")}, "rate must be above 0"),
        ({"duration_s": -1.0}, "duration must be above 0"),
        ({"warm_up_s": -1.0}, "warmup must lie between 0"),
        ({"blocks": 0}, "blocks must lie between 1"),
        ({"users": 200, "accounts": 100}, r"users \(200\) must not exceed accounts \(100\)"),
        ({"hash_cost": "cheap"}, "hash_cost: 'cheap' is no cost: fast, owasp, or t="),
        ({"arrivals": "poison"}, r"arrivals 'poison' is unknown .did you mean 'poisson'"),
        ({"threads": 0}, "threads must lie between 1"),
        ({"threads": [4, 4]}, "threads: 4 stands there more than once"),
        ({"threads": ["four"]}, "threads: 'four' is not a whole number"),
        ({"options": {"hash_cost": ["cheap"]}}, "hash_cost: 'cheap' is no cost: fast, owasp, or t="),
        ({"options": {"work_ms": ["1001"]}}, "work_ms must be a whole number from 0 to 1000, not '1001'"),
        ({"model": "close"}, r"model 'close' is unknown .did you mean 'closed'"),
        (
            {"model": "closed", "rate_rps": 100.0},
            "^rate has no meaning in a closed loop: leave it out; USERS and THINK",
        ),
        ({"model": "closed", "ramp_to_rps": 100.0}, "ramp-to has no meaning in a closed loop"),
        ({"model": "closed", "max_in_flight": 3}, "max-in-flight has no meaning in a closed loop"),
        ({"model": "closed", "arrivals": "burst"}, "arrivals has no meaning in a closed loop"),
        ({"model": "closed", "think_s": -1.0}, "think must lie between 0"),
        ({"think_s": 0.1}, "think has no meaning in an open loop: leave it out; RATE makes its load"),
        ({"steps": 4}, "steps lead somewhere: name the rate of the last one with RAMP_TO"),
        ({"steps": 1, "ramp_to_rps": 400.0}, "steps must lie between 2"),
        ({"ramp_to_rps": -5.0}, "ramp-to must lie between 0"),
        ({"max_in_flight": -1}, "max-in-flight must lie between 0"),
        ({"warm_up_s": 2.0, "warm_up_max_s": 1.0}, "warmup-max .1 s. must not be less than one round of warm-up"),
    ],
)
def test_a_wrong_value_is_refused_and_the_right_ones_are_named(changes: dict[str, Any], said: str):
    with pytest.raises(ExperimentError, match=said):
        load_experiment("quick", changes)


def test_the_load_of_each_model_has_what_the_model_takes():
    asked = {"model": "closed", "users": 20, "think_s": 0.1}
    closed = load_experiment("quick", asked).load
    assert (closed.model, closed.rate_rps, closed.think_s, closed.users) == ("closed", 0.0, 0.1, 20)
    stairs = load_experiment("quick", {"ramp_to_rps": 400.0, "steps": 4, "max_in_flight": 9}).load
    assert (stairs.ramp_to_rps, stairs.steps, stairs.max_in_flight) == (400.0, 4, 9)
    # half of the phase at a mean of 325 requests/s, and the warm-up at 250, are what the disk must hold
    assert stairs.most_requests == pytest.approx(325 * stairs.duration_s + 250 * 3.0 + stairs.users)
    assert closed.most_requests > closed.users / 0.1 * closed.duration_s


@pytest.mark.parametrize(("warm_up_s", "budget_s"), [(0.4, 3.0), (5.0, 5.0), (0.0, 0.0)])
def test_a_warm_up_has_three_seconds_or_one_round_if_nothing_else_is_said(warm_up_s: float, budget_s: float):
    assert load_experiment("quick", {"warm_up_s": warm_up_s}).load.warm_up_max_s == budget_s


def test_a_run_from_before_there_were_other_loads_still_reads():
    record = load_experiment("quick", {}).as_dict()
    for name in ("max_in_flight", "ramp_to_rps", "steps", "think_s", "warm_up_max_s"):
        del record["load"][name]
    load = Experiment.from_dict(record).load
    assert (load.model, load.ramp_to_rps, load.think_s, load.warm_up_max_s) == ("open", 0.0, 0.0, 0.0)


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
