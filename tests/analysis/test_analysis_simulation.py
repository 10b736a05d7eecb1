"""The simulation against queues whose answer is known: within its own interval, widened, and the same for one seed."""

from __future__ import annotations

import math

import pytest

from analysis import mva
from analysis.open_network import erlang_c, station_response_s
from analysis.simulation import Cores, System, simulate_closed, simulate_open
from analysis.stations import Station

PLENTY = 10_000  # threads that nobody waits for


def _queue(**changes: float) -> System:
    """One queue alone: all work is the balancer's, in bursts of 10 ms."""
    return System(**{"replicas": 1, "threads": PLENTY, "replica_s": 0.0, "balancer_s": 0.01, "store_s": 0.0} | changes)


def test_mm1_has_its_mean_and_its_percentiles():
    seen = simulate_open(_queue(), 50, seed=1)
    # the response is exponential with mean D / (1 - U): A. K. Erlang, 1909
    assert seen.mean_ms.value == pytest.approx(20, rel=0.05)
    assert seen.p50_ms.value == pytest.approx(20 * math.log(2), rel=0.05)
    assert seen.p99_ms.value == pytest.approx(20 * math.log(100), rel=0.10)
    assert seen.throughput_rps == pytest.approx(50, rel=0.03)
    assert seen.mean_ms.low < 20 < seen.mean_ms.high


def test_mmc_waits_as_erlang_says():
    seen = simulate_open(_queue(shared_cores=4), 300, seed=2)
    assert seen.mean_ms.value == pytest.approx(10 + 10 * erlang_c(4, 0.75) / (4 * 0.25), rel=0.04)


def test_md1_waits_half_as_long_as_mm1():
    # constant bursts, 5 ms in each of two visits with nothing in between: Pollaczek and Khinchine
    seen = simulate_open(_queue(balancer_s=0.0, replica_s=0.01, scv=0.0, threads=1), 50, seed=3)
    assert seen.mean_ms.value == pytest.approx(15, rel=0.03)


def test_one_thread_is_one_server_and_holds_while_the_store_answers():
    seen = simulate_open(_queue(balancer_s=0.0, store_s=0.01, threads=1), 50, seed=4)
    assert seen.mean_ms.value == pytest.approx(20, rel=0.05)


def test_a_closed_network_with_random_replicas_is_what_mean_values_say():
    system = System(2, PLENTY, 0.004, 0.001, 0.002, in_turn=False)
    stations = (Station("replicas", 0.004, copies=2), Station("balancer", 0.001), Station("store", 0.002))
    seen, exact = simulate_closed(system, 10, 0.02, seed=5), mva.solve(stations, 10, think_s=0.02)
    assert seen.throughput_rps == pytest.approx(exact.throughput_rps, rel=0.03)
    assert seen.mean_ms.value == pytest.approx(1e3 * exact.response_s, rel=0.04)
    in_turn = simulate_closed(System(2, PLENTY, 0.004, 0.001, 0.002), 10, 0.02, seed=5)
    assert in_turn.mean_ms.value < seen.mean_ms.value  # round robin evens out what chance does not


def test_a_quota_stops_what_has_used_its_share_and_lets_the_rest_run_at_full_speed():
    # by hand: 2.5 ms in every 10 ms. A burst of 2 ms, one of 1 ms at 5 ms: half of it runs, half in the next period
    core = Cores(1, quota=0.25, period_s=0.01)
    assert core.wait(0.0, 0.002) == pytest.approx(0.002)
    assert core.wait(0.005, 0.001) == pytest.approx(0.0055)
    # 0.5 ms of that period are used: 2 ms at once, 2.5 in the next from 20 ms on, 2 in the one from 30 ms on
    assert core.wait(0.011, 0.0065) == pytest.approx(0.021)
    seen = simulate_open(_queue(balancer_s=0.0, replica_s=0.0005, replica_quota=0.25), 100, seed=8, requests=4000)
    assert seen.p50_ms.value < 1  # at full speed
    assert seen.throughput_rps == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("quota", [0.1, 0.25])
def test_the_approximation_of_a_stop_is_of_the_right_size(quota: float):
    station = Station("replicas", 0.0006, quota=quota, period_s=0.01)
    rate = 0.4 * station.capacity_rps
    system = _queue(balancer_s=0.0, replica_s=0.0006, scv=0.0, replica_quota=quota, threads=1)
    seen, said = simulate_open(system, rate, seed=9), station_response_s(station, rate)
    assert said == pytest.approx(seen.mean_ms.value / 1e3, rel=0.5)
    assert said > 0.0006


@pytest.mark.parametrize("replicas", [10, 1000])
def test_a_thousand_replicas_take_the_rate_of_a_thousand(replicas: int):
    system = System(replicas, 4, 0.0005, 0.00002, 0.00002, (0.001,), balancers=replicas, shards=replicas)
    seen = simulate_open(system, 1000 * replicas, seed=6, requests=5000)
    assert seen.throughput_rps == pytest.approx(1000 * replicas, rel=0.1)
    assert 1.4 < seen.p50_ms.value < 1.7
    assert seen.p99_ms.value > 2


def test_the_delay_is_drawn_from_what_it_is_given():
    seen = simulate_open(_queue(balancer_s=0.0, replica_s=0.0), 100, seed=7, requests=2000)
    assert seen.p99_ms.value == 0
    seen = simulate_open(System(1, 4, 0.0, 0.0, 0.0, (0.001, 0.003)), 100, seed=7, requests=2000)
    assert seen.mean_ms.value == pytest.approx(2, rel=0.05)
    assert seen.p99_ms.value == pytest.approx(3)


def test_one_seed_gives_one_answer():
    seen = [simulate_open(_queue(), 50, seed=seed, requests=1000) for seed in (8, 8, 9)]
    assert seen[0] == seen[1] != seen[2]
