"""The capacity search, against servers whose capacity is known and whose outcomes are noisy by a seeded coin."""

import math
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from loadtests.capacity_search import MET, MISSED, MOST_RPS, UNJUDGED, Seen, search
from loadtests.experiment import Experiment
from loadtests.limits import ALL_SERVERS, busy, limit, others_share
from loadtests.matrix import ExperimentError, load_experiment
from loadtests.probe import is_clear, unjudged
from loadtests.samples import SCHEMA, write
from loadtests.slo import Slo
from loadtests.studies.capacity import told


@dataclass
class Servers:
    """Meet the objective up to `capacity`; a longer stage up to `sustained`; the generator manages `generator`."""

    capacity: float
    sustained: float = math.inf
    generator: float = math.inf
    noise: float = 0.0  # of the logarithm of the capacity, from probe to probe
    clear: bool = True
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    probed: list[float] = field(default_factory=list)

    def __call__(self, rate: float, confirm: bool) -> Seen:  # noqa: FBT001 - the search's seam
        self.probed.append(rate)
        if rate > self.generator:
            return Seen(UNJUDGED)
        limit = min(self.capacity, self.sustained if confirm else math.inf)
        return Seen(MET if rate <= limit * math.exp(self.chance.gauss(0, self.noise)) else MISSED, clear=self.clear)


@pytest.mark.parametrize("capacity", [7.0, 130.0, 199.9, 200.0, 333.0, 4321.0])
@pytest.mark.parametrize("start", [10.0, 200.0, 3000.0])
def test_what_is_found_is_the_capacity_from_below_within_the_resolution(start: float, capacity: float):
    servers = Servers(capacity)
    found = search(start, 0.05, servers)
    assert found.capacity_rps is not None
    assert capacity / 1.05 <= found.capacity_rps <= capacity
    assert found.missed_rps is not None
    assert capacity < found.missed_rps <= found.capacity_rps * 1.05
    assert not found.at_least
    # doubling or halving, five steps from a factor of two to 5 %, and the confirmation
    assert len(servers.probed) <= abs(math.log2(capacity / start)) + 2 + 5 + 1


def test_a_rate_that_is_not_clear_is_decided_by_two_probes_of_three():
    script = iter([MET, MISSED, MET, MET, MISSED])

    def probe(rate: float, confirm: bool) -> Seen:  # noqa: FBT001 - the search's seam
        if rate == 100:
            return Seen(MET, clear=True)
        return Seen(next(script), clear=confirm) if rate == 200 else Seen(MISSED, clear=True)

    found = search(100, 0.5, probe)
    assert found.decided[200] == MET
    assert found.capacity_rps == 200
    assert list(script) == [MISSED]  # three to decide and one to confirm


def test_under_noise_the_majority_is_nearer_than_single_probes():
    def errors(*, clear: bool) -> list[float]:
        found = [
            search(100, 0.05, Servers(1000, noise=0.1, clear=clear, chance=random.Random(seed))).capacity_rps
            for seed in range(300)
        ]
        assert None not in found
        return [abs(math.log((each or 1) / 1000)) for each in found]

    majority, single = errors(clear=False), errors(clear=True)
    assert np.mean(majority) < np.mean(single)
    assert np.mean(majority) < 0.1


def test_what_a_longer_stage_does_not_confirm_is_not_the_capacity():
    found = search(100, 0.05, Servers(1000, sustained=930))
    assert found.capacity_rps is not None
    assert 930 / 1.05 <= found.capacity_rps <= 930
    assert found.missed_rps == pytest.approx(found.capacity_rps * 1.05)
    assert search(100, 0.05, Servers(1000, sustained=500)).capacity_rps is None


def test_where_the_generator_gives_up_first_it_is_at_least():
    found = search(100, 0.05, Servers(5000, generator=1000))
    assert found.at_least
    assert found.ended == "unjudged"
    assert found.capacity_rps is not None
    assert 1000 / 1.05 <= found.capacity_rps <= 1000


def test_servers_without_an_end_and_servers_that_never_meet_it():
    found = search(1000, 0.05, Servers(math.inf))
    assert (found.ended, found.missed_rps, found.at_least) == ("limit", None, True)
    assert found.capacity_rps is not None
    assert MOST_RPS / 2 < found.capacity_rps <= MOST_RPS
    assert search(64, 0.05, Servers(0)).capacity_rps is None


@pytest.mark.parametrize(
    ("text", "slo"),
    [
        ("p99<50ms", Slo("p99", 50)),
        (" mean < 2.5 ms ", Slo("mean", 2.5)),
        ("p50 <1ms", Slo("p50", 1)),
        ("p90< 7 ms", Slo("p90", 7)),
    ],
)
def test_an_objective_reads_as_it_is_written(text: str, slo: Slo):
    assert Slo.parse(text) == slo
    assert Slo.parse(str(slo)) == slo


@pytest.mark.parametrize(
    "text", ["", "p99", "p99<50", "p99<50s", "p95<50ms", "p99>50ms", "p99<-1ms", "p99<0ms", "p99<=5ms"]
)
def test_what_is_no_objective_is_refused_with_one_that_is(text: str):
    with pytest.raises(ExperimentError, match=r"slo: .* is no objective; one is such as"):
        load_experiment("capacity", {"study": {"slo": text}})


def test_the_figure_counts_right_answers_of_the_measured_phase_from_when_they_were_due(tmp_path: Path):
    rows = {name: [0, 0, 0, 0] for name in SCHEMA.names} | {
        "due_ns": [0, 0, 0, 0],
        "started_ns": [3_000_000, 3_000_000, 0, 0],
        "ended_ns": [5_000_000, 5_000_000, 90_000_000, 90_000_000],
        "user_was_busy": [False, True, False, False],
        "phase": ["measured", "measured", "warm-up", "measured"],
        "outcome": ["ok", "ok", "ok", "error"],
        "operation": ["me"] * 4,
        "replica": ["replica-0"] * 4,
        "connection_reused": [True] * 4,
    }
    write(tmp_path / "samples.parquet", [pa.table(rows).cast(SCHEMA)])
    assert Slo("mean", 50).reads(tmp_path / "samples.parquet") == pytest.approx((2 + 5) / 2)
    assert Slo("p99", 50).reads(tmp_path / "samples.parquet") == pytest.approx(2 + 0.99 * 3)


def _record(**changes: object) -> dict[str, object]:
    usual = {"outcome": MET, "confirms": False, "figure_ms": 10.0}
    facts = {"generator": {"cpu_share": 0.2, "lateness_p99_ms": 0.4}, "machine": {"steal_share": 0.0}}
    return {**usual, **facts, **changes}


def test_one_probe_is_clear_only_far_from_the_limit_or_as_a_confirmation():
    slo = Slo("p99", 50)
    assert is_clear(_record(figure_ms=24.0), slo)
    assert not is_clear(_record(figure_ms=26.0), slo)
    assert not is_clear(_record(figure_ms=99.0), slo)
    assert is_clear(_record(figure_ms=101.0), slo)
    assert is_clear(_record(figure_ms=None, outcome=MISSED), slo)
    assert is_clear(_record(figure_ms=51.0, confirms=True), slo)
    assert not is_clear(_record(figure_ms=900.0, outcome=UNJUDGED), slo)


def test_a_generator_that_is_late_by_a_tenth_of_the_limit_or_busy_says_nothing_of_the_servers():
    slo = Slo("p99", 50)
    assert unjudged(_record(), slo) is None
    assert "late" in str(unjudged(_record(generator={"cpu_share": 0.2, "lateness_p99_ms": 5.1}), slo))
    assert unjudged(_record(generator={"cpu_share": 0.2, "lateness_p99_ms": 4.9}), slo) is None
    assert "used 71%" in str(unjudged(_record(generator={"cpu_share": 0.71, "lateness_p99_ms": 0}), slo))
    assert "steal" in str(unjudged(_record(machine={"steal_share": 0.03}), slo))


def test_the_limit_is_what_was_full_of_what_it_may_use():
    parts = {
        "replica-0": {"kind": "replica", "cpu_ns": 90_000_000, "quota_cpus": 0.05, "throttled_share": 0.8},
        "replica-1": {"kind": "replica", "cpu_ns": 96_000_000, "quota_cpus": 0.05, "throttled_share": 0.9},
        "haproxy": {"kind": "balancer", "cpu_ns": 500_000_000},
    }
    found = busy(parts, 2.0, 1)
    assert [each.kind for each in found] == ["replica", ALL_SERVERS, "balancer"]
    assert found[0].share == pytest.approx(0.96)
    assert (found[0].of, found[0].throttled) == ("quota 0.05", 0.9)
    assert found[1].share == pytest.approx(0.343)
    assert limit(found) == found[0]
    assert limit(found[1:]) is None


def test_what_neither_servers_nor_generator_took_is_others():
    parts = {"replica-0": {"kind": "replica", "cpu_ns": 600_000_000}}
    record = {"components": parts, "generator": {"cpu_share": 0.3}, "machine": {"busy_share": 0.8}}
    assert others_share(record, 1.0, 2) == pytest.approx(0.8 - 0.45)
    assert others_share(record | {"machine": {"busy_share": 0.4}}, 1.0, 2) == 0


def test_a_search_takes_an_open_loop_of_one_rate_and_is_run_again_as_it_was():
    experiment = load_experiment("capacity", {"study": {"slo": "p50 < 20 ms"}, "replicas": [1]})
    assert Experiment.from_dict(experiment.as_dict()) == experiment
    assert not experiment.as_dict()["study_loads"]
    for changes, said in (
        ({"model": "closed"}, "leave out MODEL=closed"),
        ({"ramp_to_rps": 500}, "RAMP_TO has no meaning"),
        ({"max_in_flight": 5}, "MAX_IN_FLIGHT has no meaning"),
        ({"warm_up_max_s": 3.0}, "WARMUP_MAX has no meaning"),
        ({"study": {"resolution": "0"}}, "resolution: '0' must lie"),
        ({"study": {"confirm_s": "x"}}, "confirm_s: "),
        ({"schemes": ["session"], "stores": ["memory"], "replicas": [2]}, "nothing to do"),
    ):
        with pytest.raises(ExperimentError, match=said):
            load_experiment("capacity", changes)


def test_the_progress_line_says_at_least_where_the_servers_were_not_the_limit():
    full = {
        "kind": "generator",
        "share": 0.8,
        "of": "a core",
        "throttled": None,
        "because": "generator used 80% of its core",
    }
    found = {"capacity_rps": 900.0, "slo": "p99 < 50 ms", "at_least": True, "limit": full}
    assert told(found) == "at least 900 requests/s, generator used 80% of its core"
    found |= {"at_least": False, "limit": None, "others_share": 0.02}
    assert told(found) == "900 requests/s, by latency"
    beside = "900 requests/s, by latency while other programs took 40% of the machine"
    assert told(found | {"others_share": 0.4}) == beside
    assert told(found | {"capacity_rps": None}) == "no rate met p99 < 50 ms"
