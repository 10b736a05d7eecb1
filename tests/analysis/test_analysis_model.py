"""The model on runs whose truth is a queue: valid where it holds, and said not to be where it does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import mva, open_network
from analysis.demands import Demands, Processors, network
from analysis.estimates import Estimate, estimate_run
from analysis.load import load_run
from analysis.model import NOT_VALID, UNCHECKED, UNDECIDED, VALID, HeldOut, models, predict, split
from analysis.percentiles import check
from analysis.section import sections_of
from analysis.stations import Station

QUOTA = Processors(replica=0.25, store=0.0, cores=2)
OURS = Demands(replica_s=200e-6, balancer_s=30e-6, store_s=25e-6)
DELAY_MS = 0.4
Build = Callable[..., Path]


@pytest.fixture
def queueing_run(build_run: Build) -> Callable[..., Path]:
    """A run of sessions on Redis with a quota, whose response times are a network's, times `wrong` at 4 replicas."""

    def build(wrong: float = 1.0, **changes: Any) -> Path:
        plan = {"blocks": 4, "requests": 400, "replicas": (1, 2, 4), "series": (("control", "none"),)} | changes
        folder = build_run(**plan, extra=(("session", "redis", {"replica_cpus": "0.25"}),))
        document = json.loads((folder / "run.json").read_text())
        for path in folder.glob("trials/*/session-*/trial.json"):
            _make_true(path, document["load"], wrong)
        return folder

    return build


def _make_true(path: Path, load: Mapping[str, Any], wrong: float) -> None:
    trial = json.loads(path.read_text())
    replicas = sum(part["kind"] == "replica" for part in trial["components"].values())
    for part in trial["components"].values():
        per_request = {"replica": 1e9 * OURS.replica_s / replicas, "balancer": 30_000, "store": 25_000}[part["kind"]]
        part["cpu_ns"] = int(per_request * trial["sent"])
    path.write_text(json.dumps(trial))
    stations = network(OURS, replicas, QUOTA)
    mean_ms = DELAY_MS + 1e3 * open_network.response_s(stations, load["rate_rps"])
    mean_ms *= wrong if replicas == 4 else 1.0
    samples = path.with_name("samples.parquet")
    table = pq.read_table(samples)
    took = np.random.default_rng(trial["block"]).gamma(4.0, mean_ms / 4.0, table.num_rows)
    started = np.asarray(table["started_ns"])
    idle = pa.array(np.zeros(table.num_rows, bool))
    for name, values in (("ended_ns", pa.array(started + (1e6 * took).astype(np.int64))), ("user_was_busy", idle)):
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
    pq.write_table(table, samples)


def _of(folder: Path) -> Any:
    run = load_run(folder)
    return next(each for each in models(run, estimate_run(run)) if each.fitted[0].cell.scheme == "session")


def test_what_is_a_queue_is_found_valid_on_cells_it_did_not_see(queueing_run: Callable[..., Path]):
    made = _of(queueing_run())
    assert [each.cell.replicas for each in made.fitted] == [1, 2]
    (held,) = made.held_out
    assert held.result.cell.replicas == 4
    assert abs(held.response_error.value) < 0.10
    assert held.response_error.low < held.response_error.value < held.response_error.high
    assert held.throughput_error.value == pytest.approx(0, abs=1e-9)
    assert held.verdict in (VALID, UNDECIDED)
    assert held.bounds is None
    assert made.verdict == held.verdict
    # 200 us on a quarter of a core is 0.8 ms; four such replicas take 5,000 requests/s
    assert held.saturates == "replicas"
    assert held.utilisation == pytest.approx(200 * 0.0008 / 4)
    first = next(iter(made.by_block.values()))
    assert first.replica_s == pytest.approx(OURS.replica_s, rel=1e-3)
    assert first.delay_s == pytest.approx(DELAY_MS / 1e3, rel=0.3)


@pytest.mark.parametrize(
    ("response", "throughput", "verdict"),
    [
        ((-0.05, -0.14, 0.06), (0.01, 0.0, 0.02), VALID),
        ((-0.05, -0.16, 0.06), (0.01, 0.0, 0.02), UNDECIDED),
        ((-0.05, None, None), (0.01, 0.0, 0.02), UNDECIDED),
        ((-0.16, -0.17, -0.14), (0.01, 0.0, 0.02), NOT_VALID),
        ((0.0, -0.01, 0.01), (0.11, 0.1, 0.12), NOT_VALID),
        ((None, None, None), (0.0, 0.0, 0.0), NOT_VALID),
    ],
)
def test_the_verdict_needs_the_whole_interval(response: Any, throughput: Any, verdict: str, quick_run: Path):
    result = estimate_run(load_run(quick_run))[0]
    nothing = Estimate(1.0, 1.0, 1.0, 4)
    errors = Estimate(*response, 4), Estimate(*throughput, 4)
    assert HeldOut(result, nothing, nothing, *errors, utilisation=0.1, saturates="cores").verdict == verdict


def test_what_is_no_queue_is_said_to_be_invalid(queueing_run: Callable[..., Path]):
    folder = queueing_run(wrong=1.6)
    assert _of(folder).verdict == NOT_VALID
    run = load_run(folder)
    section = next(each for each in sections_of(run, estimate_run(run), ()) if each.id == "model")
    (finding,) = section.findings
    assert finding.kind == "caution"
    assert "session" in finding.text
    said = next(each for each in section.document["series"] if each["fitted"][0].startswith("session"))
    assert said["verdict"] == "not valid here"
    assert said["held_out"][0]["response_error"]["value"] < -0.15
    json.dumps(section.document, allow_nan=False)


def test_percentiles_are_simulated_where_cells_ran(queueing_run: Callable[..., Path]):
    folder = queueing_run()
    run = load_run(folder)
    (checked,) = check(run, _of(folder), seed=1)
    assert checked.result.cell.replicas == 4
    assert checked.p50_ms.value == pytest.approx(checked.result.value("response_p50_ms") * (1 + checked.p50_error))
    assert abs(checked.p50_error) < 0.5  # the shape of the delay is not this network's


def test_cells_without_a_common_valid_block_check_nothing(build_run: Build):
    folder = build_run(blocks=2, requests=60, series=(("control", "none"),))
    for path in (*folder.glob("trials/1/*-4r-*/trial.json"), *folder.glob("trials/2/*-1r-roundrobin/trial.json")):
        trial = json.loads(path.read_text())
        path.write_text(json.dumps(trial | {"valid": False, "invalid_reasons": ["generator late"]}))
    run = load_run(folder)
    (made,) = models(run, estimate_run(run))
    assert (made.held_out, made.verdict) == ((), UNCHECKED)


def test_a_run_with_one_replica_count_and_one_load_has_nothing_to_check(build_run: Build):
    run = load_run(build_run(blocks=2, requests=60, replicas=(1,)))
    results = estimate_run(run)
    assert [each.verdict for each in models(run, results)] == [UNCHECKED] * 4
    assert not [each for each in sections_of(run, results, ()) if each.id == "model"]


def test_a_cell_that_refuses_users_is_never_modelled(quick_run: Path):
    run = load_run(quick_run)
    memory = next(each for each in models(run, estimate_run(run)) if each.fitted[0].cell.store == "memory")
    assert [each.cell.replicas for each in memory.fitted] == [1]
    assert memory.held_out == ()


@pytest.mark.parametrize(
    ("counts", "fitted"),
    [((1, 2, 3, 4, 8), [1, 2, 3]), ((1, 2, 3), [1, 2]), ((1, 2), [1]), ((4, 8), [4]), ((2, 16), [2])],
)
def test_up_to_three_replicas_are_fitted_and_one_cell_is_always_held(
    build_run: Build, counts: tuple[int, ...], fitted: list[int]
):
    run = load_run(build_run(blocks=1, requests=20, replicas=counts, series=(("control", "none"),)))
    chosen, held = split([each for each in estimate_run(run) if each.cell.duplicate_of is None])
    assert [each.cell.replicas for each in chosen] == fitted
    assert [each.cell.replicas for each in held] == [n for n in counts if n not in fitted]


def test_a_quota_makes_replicas_stations_and_without_one_they_share_cores():
    replicas, balancer, store = network(OURS, 4, QUOTA)
    assert replicas == Station("replicas", OURS.replica_s, copies=4, quota=0.25, period_s=0.01)
    assert (balancer.demand_s, store.demand_s, store.quota) == (30e-6, 25e-6, 1.0)
    assert replicas.capacity_rps == pytest.approx(4 * 0.25 / 200e-6)
    # a twentieth of a core in 10 ms would be less than the kernel takes
    assert network(OURS, 4, Processors(0.05, 0, 2))[0].period_s == pytest.approx(0.02)
    assert network(OURS, 4, Processors(0, 0, 2)) == (Station("cores", pytest.approx(255e-6), servers=2),)
    assert [each.name for each in network(OURS, 4, Processors(0, 0, 8))] == ["replicas", "balancer", "store"]
    assert network(OURS, 1, Processors(2.0, 0.5, 4))[0].demand_s == OURS.replica_s  # one thread at a time
    assert network(OURS, 1, Processors(2.0, 0.5, 4))[0].quota == 1.0
    assert network(OURS, 1, Processors(2.0, 0.5, 4))[2].capacity_rps == pytest.approx(0.5 / 25e-6)


def test_a_closed_loop_is_predicted_by_mean_values():
    stations = network(OURS, 2, QUOTA)
    said = predict(OURS, stations, {"model": "closed", "users": 12, "think_s": 0.01})
    exact = mva.solve(stations, 12, think_s=0.01)
    assert (said.response_ms, said.throughput_rps) == (1e3 * exact.response_s, exact.throughput_rps)
    # 200 users ask for more than two quarters of a core give: 2,500/s, and the rest of their time they wait
    full = predict(OURS, stations, {"model": "closed", "users": 200, "think_s": 0.01})
    assert full.throughput_rps == pytest.approx(2500)
    assert full.response_ms == pytest.approx(200 / 2.5 - 10)


def test_a_closed_loop_is_fitted_by_a_search_and_has_bounds(build_run: Build):
    folder = build_run(blocks=3, requests=200, series=(("control", "none"),))
    document = json.loads((folder / "run.json").read_text())
    document["load"] = {"model": "closed", "users": 8, "think_s": 0.02, "scenario": "browse"}
    (folder / "run.json").write_text(json.dumps(document))
    run = load_run(folder)
    (made,) = models(run, estimate_run(run))
    fitted = made.fitted[0]
    for block, demands in made.by_block.items():
        stations = network(demands, fitted.cell.replicas, Processors(0, 0, 2))
        said = predict(demands, stations, document["load"])
        assert said.response_ms == pytest.approx(fitted.by_block("response_mean_ms")[block], rel=1e-6)
    held = made.held_out[0]
    # the bounds are of the mean demands, the throughput is a mean over blocks
    assert 0.99 * held.bounds.least_rps <= held.throughput_rps.value <= 1.01 * held.bounds.most_rps


def test_an_open_loop_beyond_capacity_has_no_response_and_the_throughput_of_the_bottleneck():
    said = predict(OURS, network(OURS, 1, QUOTA), {"rate_rps": 2000})
    assert said.response_ms == float("inf")
    assert said.throughput_rps == pytest.approx(1250)
