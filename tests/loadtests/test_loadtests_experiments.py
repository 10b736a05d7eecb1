"""The experiments of many stores and of many options: which cells they are, and that they end in time."""

import pytest

from loadtests.matrix import experiment_names, load_experiment
from topology.spec import store_names

_START_AND_STOP_S = 2.5  # of a cell, on two idle cores; the slowest stores take a second more, the quickest one less
_LONGEST_S = 15 * 60


@pytest.mark.parametrize("name", experiment_names())
def test_it_ends_in_time(name: str):
    experiment = load_experiment(name, {})
    trials = experiment.blocks * len(experiment.cells)
    assert trials * (experiment.load.warm_up_s + experiment.load.duration_s + _START_AND_STOP_S) < _LONGEST_S
    # two give an interval that says nothing; what is counted and not timed needs none
    assert experiment.blocks >= 3 or not experiment.study.loads


def test_stores_has_every_store_at_1_and_4_replicas_with_and_without_sliding():
    cells = load_experiment("stores", {}).cells
    sessions = {(each.topology.store, each.topology.replicas, *each.topology.unusual) for each in cells}
    for store in store_names():
        for replicas in (1, 4):
            assert {(store, replicas), (store, replicas, "touch")} <= sessions
    said = {cell.topology.store: cell.as_dict() for cell in cells}
    assert {store for store, each in said.items() if not each["shared"]} == {"memory", "file", "sqlite"}
    assert {store for store, each in said.items() if each["lags"]} == {"replicated"}


def test_tokens_changes_one_option_at_a_time_and_has_something_to_compare_with():
    cells = [each for each in load_experiment("tokens", {}).cells if not each.duplicate_of]
    assert {"control", "session", "token"} == {each.topology.scheme for each in cells}
    tokens = [each.topology.unusual for each in cells if each.topology.scheme == "token"]
    assert {} in tokens
    changed = {name for options in tokens for name in options}
    assert {"algorithm", "carrier", "claims_bytes", "verify_cache", "revocation", "tls"} <= changed
    for options in tokens:
        without = [other for other in tokens if other.items() < options.items() and len(other) == len(options) - 1]
        assert without or not options


def test_work_asks_the_same_of_every_scheme_at_each_amount():
    cells = [each for each in load_experiment("work", {}).cells if not each.duplicate_of]
    amounts = ("0", "1", "10", "50")
    assert {(each.scheme, each.options.get("work_ms", "0")) for each in cells} == {
        (scheme, amount) for scheme in ("control", "session", "token") for amount in amounts
    }
    load = load_experiment("work", {}).load
    under_way = load.rate_rps * 0.05
    assert under_way <= min(each.threads for each in cells) / 3  # neither threads nor users queue
    assert under_way <= load.users / 10


def test_login_has_a_control_at_each_hash_cost_and_churn_who_can_and_who_cannot_end_a_sign_in():
    login = load_experiment("login", {})
    controls = [each.options.get("hash_cost", "fast") for each in login.cells if each.scheme == "control"]
    assert set(controls) == {"fast", "owasp"}
    assert {each.threads for each in login.cells} == {login.load.users}
    churn = load_experiment("churn", {}).cells
    assert {each.topology.ends_at_once for each in churn} == {True, False}
    assert {each.options["life_s"] for each in churn} == {"3"}


@pytest.mark.parametrize(("name", "threads"), [("crossover", {4}), ("crossover-closed", {4, 16})])
def test_the_crossover_meets_every_round_trip_with_every_algorithm(name: str, threads: set[int]):
    experiment = load_experiment(name, {})
    cells = [each for each in experiment.cells if not each.duplicate_of]
    of = {scheme: [each for each in cells if each.scheme == scheme] for scheme in ("session", "token")}
    redis = {(each.options.get("store_rtt_ms", "0"), each.threads) for each in of["session"] if each.store == "redis"}
    assert redis == {(rtt, count) for rtt in ("0", "1", "5") for count in threads}
    assert {(each.options.get("algorithm", "HS256"), each.threads) for each in of["token"]} == {
        (algorithm, count) for algorithm in ("HS256", "RS256", "ES256", "EdDSA") for count in threads
    }
    length_s = experiment.load.warm_up_s + experiment.load.duration_s + _START_AND_STOP_S
    assert experiment.blocks * len(experiment.cells) * length_s < 5 * 60


def test_capacity_ends_in_time_though_each_trial_is_a_search():
    experiment = load_experiment("capacity", {})
    # three to double, four to bisect and half of those twice, one more for luck; a generator takes a second to start
    probes_s = 10 * (1.0 + experiment.load.warm_up_s + experiment.load.duration_s)
    search_s = _START_AND_STOP_S + probes_s + float(experiment.study["confirm_s"])
    assert experiment.blocks * len(experiment.cells) * search_s < _LONGEST_S


@pytest.mark.parametrize("name", ["scaling", "saturation"])
def test_scale_out_has_one_load_for_six_numbers_of_replicas_under_a_quota(name: str):
    experiment = load_experiment(name, {})
    cells = [each for each in experiment.cells if not each.duplicate_of]
    assert {each.replicas for each in cells} == {1, 2, 3, 4, 6, 8}
    assert all("replica_cpus" in each.options for each in cells)
    assert {each.scheme for each in cells if "store_cpus" in each.options} == (
        {"session"} if name == "saturation" else set()
    )
    assert experiment.load.model == "closed"
    assert experiment.load.users >= 8 * 8  # eight for each replica, so that none runs dry
    assert experiment.blocks >= 4
