"""Which cells the studies of revocation and of sessions have."""

import pytest

from loadtests.matrix import load_experiment
from loadtests.studies import revocation, sessions
from loadtests.study import Study, resolve
from topology.spec import SpecError, Topology


def test_revocation_has_sessions_on_every_kind_of_store_and_each_way_to_end_a_token():
    cells = load_experiment("revocation", {}).cells
    kept = {each.topology.store for each in cells if each.topology.scheme == "session"}
    assert {"memory", "redis", "redis-cluster", "postgres", "replicated"} <= kept
    tokens = [
        {name: value for name, value in each.topology.unusual.items() if name != "hash_cost"}
        for each in cells
        if each.topology.scheme == "token"
    ]
    for how in ({"token_ttl_s": "2"}, {"revocation": "denylist"}, {"revocation": "epoch"}):
        assert how in tokens
        assert {**how, "verify_cache": "on"} in tokens
    lives = {each.topology.option("access_ttl_s") for each in cells if each.topology.scheme == "hybrid"}
    assert len(lives) > 1
    assert max(map(int, lives)) <= float(load_experiment("revocation", {}).study["observe_s"])
    assert {each.topology.store for each in cells if each.topology.scheme != "session"} == {"none", "redis"}


def test_schemes_other_than_session_are_asked_where_the_setting_says():
    study = resolve({"kind": "revocation"}, {"others_on": "redis"})
    assert revocation.cases(study, Topology("hybrid", "redis", 2)) == ("",)
    assert revocation.cases(study, Topology("hybrid", "postgres", 2)) == ()
    assert revocation.cases(study, Topology("session", "postgres", 2)) == ("",)
    assert revocation.cases(study, Topology("token", "none", 2)) == ("",)
    assert revocation.cases(resolve({"kind": "revocation"}, {}), Topology("hybrid", "postgres", 2)) == ("",)
    assert revocation.cases(study, Topology("control", "none", 2)) == ()


def test_sessions_grow_everywhere_and_expire_where_there_are_any():
    study = Study("sessions", {})
    assert sessions.cases(study, Topology("session", "file", 1)) == ("growth", "expiry")
    assert sessions.cases(study, Topology("token", "none", 1)) == ("growth",)
    assert sessions.cases(study, Topology("control", "none", 1)) == ()


@pytest.mark.parametrize("counts", ["", "0,10", "10", "10,10", "1e3,1e4", "10,2000000"])
def test_numbers_of_sessions_that_make_no_line_are_refused(counts: str):
    with pytest.raises(SpecError, match="counts"):
        resolve({"kind": "sessions"}, {"counts": counts})


def test_hybrid_has_several_lives_and_something_to_hold_against_them():
    experiment = load_experiment("hybrid", {})
    lives = {int(each.topology.option("access_ttl_s") or 0) for each in experiment.cells} - {0}
    renewed = {life for life in lives if life < experiment.load.duration_s}
    assert len(renewed) >= 3
    assert max(renewed) * 2 < experiment.load.duration_s  # two renewals at least, so that one more or less is a part
    assert {"session", "token"} <= {each.topology.scheme for each in experiment.cells}
