import threading
from pathlib import Path

import pyarrow as pa
import pytest

from loadtests import samples
from loadtests.fault_cases import FAULTS, Step, asked_for, cases_of
from loadtests.fault_end import left_broken
from loadtests.fault_gates import before_the_fault, reasons_against
from loadtests.fault_script import Done, Script
from loadtests.gates import Sent
from loadtests.matrix import ExperimentError, load_experiment
from topology.process import ComponentError
from topology.spec import Topology

REDIS, MEMORY, TOKEN = Topology("session", "redis", 3), Topology("session", "memory", 3), Topology("token", "none", 3)


def _asked(schemes: list[str], stores: list[str], **changes):
    study = {name: changes.pop(name) for name in ("faults", "fault_at", "fault_for") if name in changes}
    axes = {"schemes": schemes, "stores": stores, "policies": ["roundrobin"]}
    return load_experiment("faults", {**axes, "study": study, **changes})


@pytest.mark.parametrize(
    ("topology", "cases"),
    [
        (REDIS, {"kill-replica", "restart-replica", "rolling-restart", "restart-store", "freeze-store"}),
        (
            Topology("session", "redis", 3, options={"store_rtt_ms": "0.5"}),
            {"kill-replica", "restart-replica", "rolling-restart", "restart-store", "freeze-store", "partition"},
        ),
        (MEMORY, {"kill-replica", "restart-replica", "rolling-restart"}),
        (TOKEN, {"kill-replica", "restart-replica", "rolling-restart"}),
        (Topology("session", "sqlite", 1), {"restart-replica", "rolling-restart"}),
        (
            Topology("session", "redis-cluster", 2, options={"cluster_copies": "1"}),
            {"kill-replica", "restart-replica", "rolling-restart", "restart-store", "freeze-store", "kill-primary"},
        ),
    ],
)
def test_a_cell_has_every_fault_that_it_can_have(topology: Topology, cases: set[str]):
    assert set(cases_of(asked_for("all"), topology)) == cases


def test_a_typo_is_refused_with_the_nearest():
    with pytest.raises(ExperimentError, match=r"faults: fault 'kil-replica' is unknown \(did you mean 'kill-replica'"):
        _asked(["session"], ["redis"], faults="kil-replica")


@pytest.mark.parametrize(
    ("schemes", "stores", "fault", "reason"),
    [
        (["token"], ["redis"], "restart-store", "not possible on token-none-3r-roundrobin: token has no store"),
        (["session"], ["memory"], "freeze-store", "the store memory has no server of its own"),
        (["session"], ["file"], "partition", "the store file has no server of its own"),
        (["session"], ["redis"], "kill-primary", "only redis-cluster has primaries"),
        (["token", "session"], ["redis"], "kill-replica,kill-primary", "kill-primary is not possible"),
    ],
)  # fmt: skip
def test_a_fault_that_was_named_and_cannot_be_had_is_refused_with_the_reason(schemes, stores, fault, reason):
    with pytest.raises(ExperimentError, match=reason.replace("(", r"\(")):
        _asked(schemes, stores, faults=fault)


def test_a_primary_without_a_copy_is_not_killed():
    with pytest.raises(ExperimentError, match="CLUSTER_COPIES=1 gives each one"):
        _asked(["session"], ["redis-cluster"], faults="kill-primary", options={"cluster_copies": ["0"]})


def test_a_replica_without_a_link_is_not_cut_off():
    with pytest.raises(ExperimentError, match=r"STORE_RTT_MS=0\.5 gives each replica one"):
        _asked(["session"], ["redis"], faults="partition", options={"store_rtt_ms": ["0"]})


def test_the_default_experiment_has_every_fault_and_fits_into_ten_minutes():
    experiment = load_experiment("faults", {})
    assert {cell.case for cell in experiment.cells} == set(FAULTS)
    trial_s = experiment.load.duration_s + experiment.load.warm_up_s + 4
    assert len(experiment.cells) * experiment.blocks * trial_s < 600


def test_the_default_experiment_can_be_narrowed_to_a_scheme_without_options_of_a_store():
    assert {cell.case for cell in load_experiment("faults", {"schemes": ["token"]}).cells} == {"kill-replica"}


def test_one_replica_is_never_killed_for_good():
    with pytest.raises(ExperimentError, match="it has one replica"):
        _asked(["session"], ["redis"], faults="kill-replica", replicas=[1])


def test_what_was_not_named_is_left_out_where_it_cannot_be():
    cells = {cell.id for cell in _asked(["session", "token"], ["redis"], faults="all").cells}
    assert "session-redis-3r-roundrobin~freeze-store" in cells
    assert not any(cell.startswith("token") and "store" in cell.partition("~")[2] for cell in cells)
    assert len([cell for cell in cells if cell.startswith("token")]) == 3


def test_a_named_fault_is_left_out_of_the_cells_that_cannot_have_it():
    cells = [cell.id for cell in _asked(["session", "token"], ["redis"], faults="freeze-store").cells]
    redis = "session-redis-3r-roundrobin"
    assert cells == [
        f"{redis}~freeze-store",
        f"{redis}.persistence-aof~freeze-store",
        f"{redis}.store_rtt_ms-0.5~freeze-store",
    ]


def test_a_pattern_chooses_cells():
    asked = asked_for("kill-replica@token-*, restart-store@*-redis-*")
    assert cases_of(asked, TOKEN) == ("kill-replica",)
    assert cases_of(asked, REDIS) == ("restart-store",)
    assert cases_of(asked, MEMORY) == ()


def test_a_trial_that_ends_before_the_fault_is_refused():
    with pytest.raises(ExperimentError, match="8 s end before the fault has; with fault_at 6 and fault_for 2"):
        _asked(["session"], ["redis"], faults="kill-replica", fault_at="6")


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan", "61"])
def test_a_length_that_is_none_is_refused(text: str):
    with pytest.raises(ExperimentError, match="fault_for"):
        _asked(["session"], ["redis"], faults="kill-replica", fault_for=text)


def test_users_who_would_not_sign_in_again_are_refused():
    with pytest.raises(ExperimentError, match="only the users of counter sign in again"):
        _asked(["session"], ["redis"], faults="kill-replica", scenario="browse")


def test_every_reason_is_told():
    with pytest.raises(ExperimentError, match=r"memory has no server.*; session-redis.*STORE_RTT_MS"):
        _asked(["session"], ["memory", "redis"], faults="partition", options={"store_rtt_ms": ["0"]})


def test_a_closed_loop_is_refused():
    with pytest.raises(ExperimentError, match="faults take the open model"):
        _asked(["session"], ["redis"], faults="kill-replica", model="closed", rate_rps=None)


def test_rolling_restart_takes_each_replica_in_order():
    steps = FAULTS["rolling-restart"].steps(["replica-0", "replica-1"], [], 2, 1)
    verbs = [(step.verb, step.component) for step in steps]
    assert verbs == [(verb, name) for name in ("replica-0", "replica-1") for verb in ("stop", "restart")]


class _Servers:
    def __init__(self, failing: str = "") -> None:
        self.did: list[tuple[str, str]] = []
        self.failing = failing

    def __getattr__(self, verb: str):
        def do(name: str) -> None:
            if verb == self.failing:
                raise ComponentError("it does not come back")
            self.did.append((verb, name))

        return do


def test_a_script_takes_its_steps_in_order_and_writes_them_down():
    servers = _Servers()
    with Script([Step(0, "kill", "a"), Step(0.02, "restart", "a")], servers) as script:
        script.wait()
    assert servers.did == [("kill", "a"), ("restart", "a")]
    first, second = script.done
    assert (first.verb, second.verb) == ("kill", "restart")
    assert first.began_ns <= first.done_ns <= second.began_ns <= second.done_ns
    assert second.began_ns - first.began_ns >= 15_000_000


def test_a_component_that_does_not_come_back_ends_the_script_and_is_told():
    with Script([Step(0, "kill", "a"), Step(0, "restart", "a"), Step(0, "kill", "b")], _Servers("restart")) as script:
        script.wait()
    assert [done.verb for done in script.done] == ["kill"]
    assert script.failure == "restart a: it does not come back"


def test_what_no_step_should_raise_reaches_who_waits():
    with Script([Step(0, "no such verb", "a")], object()) as script, pytest.raises(AttributeError):
        script.wait()


def test_a_script_that_is_left_takes_no_further_step():
    servers = _Servers()
    with Script([Step(60, "kill", "a")], servers):
        pass
    assert servers.did == []
    assert "faults" not in {thread.name for thread in threading.enumerate()}


def test_what_is_left_broken_is_known():
    did = [("kill", "a"), ("restart", "a"), ("kill", "b"), ("freeze", "c"), ("cut", "d"), ("heal", "d")]
    steps = left_broken([Done(verb, name, 0, 0) for verb, name in did])
    assert [(step.verb, step.component) for step in steps] == [("restart", "b"), ("thaw", "c")]


_FINE = Sent(
    scheduled=100, sent=100, dropped=0, late=0, recorded=150, failed_logins=0, outcomes={"ok": 60, "error": 40},
    lateness_p50_ms=0.1, lateness_p99_ms=1.0, response_p50_ms=1.0, response_p99_ms=500.0,
)  # fmt: skip


def _reasons(before: dict[str, int] | None = None, **changes):
    facts = {"generator_cpu_share": 0.2, "steal_share": 0.0, "refusals_expected": False, "locust": 150, "warm_up": {}}
    return reasons_against(_FINE, {"ok": 50} if before is None else before, **{**facts, **changes})


def test_what_fails_after_the_fault_is_no_reason_against_the_trial():
    assert _reasons() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"before": {"ok": 49, "error": 1}}, "wrong answers before the fault: 1 error"),
        ({"before": {"ok": 49, "refused": 1}}, "wrong answers before the fault: 1 refused"),
        ({"before": {}}, "nothing was answered before the fault"),
        ({"locust": 149}, "Locust counted 149 requests and 150 were recorded"),
        ({"steal_share": 0.05}, "the machine lost 5.0% to steal"),
        ({"generator_cpu_share": 0.9}, "generator used 90% of its core"),
        ({"warm_up": {"steady": False, "seconds": 3}}, "never steady"),
    ],
)
def test_the_other_gates_hold(changes, reason):
    (found,) = _reasons(**changes)
    assert found.startswith(reason)


def test_refusals_before_the_fault_are_expected_where_each_replica_has_its_own_store():
    assert _reasons({"ok": 40, "refused": 10}, refusals_expected=True) == []


def test_only_measured_requests_that_ended_before_the_fault_are_before_it(tmp_path: Path):
    rows = [("warm-up", "error", 1), ("measured", "ok", 2), ("measured", "error", 30), ("measured", "ok", 5)]
    columns = {}
    for field in samples.SCHEMA:
        named = {
            "phase": [row[0] for row in rows],
            "outcome": [row[1] for row in rows],
            "ended_ns": [r[2] for r in rows],
        }
        coded = pa.types.is_dictionary(field.type)
        nothing = "" if coded else pa.types.is_integer(field.type) and 0
        values = named.get(field.name, [nothing] * len(rows))
        made = pa.array(values, field.type.value_type if coded else field.type)
        columns[field.name] = made.dictionary_encode().cast(field.type) if coded else made
    samples.write(tmp_path / "samples.parquet", [pa.Table.from_arrays(list(columns.values()), schema=samples.SCHEMA)])
    assert before_the_fault(tmp_path / "samples.parquet", 10) == {"ok": 2}
