"""Queueing laws against what is known by other ways: closed forms, and the product form summed state by state."""

from __future__ import annotations

import itertools
import math

import pytest

from analysis import closed_bounds as bounds
from analysis import mva, open_network
from analysis.stations import Station, bottleneck

WEB = (Station("replicas", 0.004, copies=2), Station("balancer", 0.001), Station("store", 0.002))


def _by_summation(queues: list[tuple[float, int]], users: int, think_s: float) -> tuple[float, float]:
    """Throughput and response time from the sum over all states; a queue is its demand and its servers."""

    def weight(state: tuple[int, ...]) -> float:
        thinking = users_now - sum(state)
        product = think_s**thinking / math.factorial(thinking)
        for (demand, servers), n in zip(queues, state, strict=True):
            rate = math.prod(min(k, servers) for k in range(1, n + 1))
            product *= demand**n / rate
        return product

    constants = []
    for users_now in (users - 1, users):
        states = itertools.product(range(users_now + 1), repeat=len(queues))
        constants.append(sum(weight(state) for state in states if sum(state) <= users_now))
    throughput = constants[0] / constants[1]
    return throughput, users / throughput - think_s


@pytest.mark.parametrize("users", [1, 2, 5, 9])
@pytest.mark.parametrize("think_s", [0.0, 0.02])
def test_mean_values_are_those_of_the_product_form(users: int, think_s: float):
    solved = mva.solve(WEB, users, think_s=think_s)
    # two replicas are two queues, each visited by every other request
    throughput, response = _by_summation([(0.002, 1), (0.002, 1), (0.001, 1), (0.002, 1)], users, think_s)
    assert solved.throughput_rps == pytest.approx(throughput, rel=1e-9)
    assert solved.response_s == pytest.approx(response, rel=1e-9)


@pytest.mark.parametrize("users", [1, 3, 6, 9])
def test_several_servers_of_one_queue_are_those_of_the_product_form(users: int):
    solved = mva.solve((Station("cores", 0.03, servers=3), Station("store", 0.005)), users, think_s=0.02)
    throughput, response = _by_summation([(0.03, 3), (0.005, 1)], users, 0.02)
    assert solved.throughput_rps == pytest.approx(throughput, rel=1e-9)
    assert solved.response_s == pytest.approx(response, rel=1e-9)


def test_two_balanced_stations_by_hand():
    solved = mva.solve((Station("a", 1.0), Station("b", 1.0)), 2)
    assert (solved.throughput_rps, solved.response_s) == pytest.approx((2 / 3, 3.0))
    assert solved.queue == pytest.approx({"a": 1.0, "b": 1.0})


def test_the_queues_hold_every_user_who_does_not_think():
    solved = mva.solve(WEB, 40, think_s=0.1, delay_s=0.01)
    inside = sum(solved.queue.values()) + 0.01 * solved.throughput_rps
    assert inside + 0.1 * solved.throughput_rps == pytest.approx(40)
    assert mva.solve(WEB, 400).throughput_rps == pytest.approx(500, rel=0.01)  # what the slowest can do


def test_no_users_is_refused():
    with pytest.raises(ValueError, match="needs a user"):
        mva.solve(WEB, 0)


@pytest.mark.parametrize("users", [1, 4, 30, 200])
@pytest.mark.parametrize("think_s", [0.0, 0.05])
def test_the_exact_solution_lies_within_the_bounds(users: int, think_s: float):
    exact = mva.solve(WEB, users, think_s=think_s, delay_s=0.003)
    wide = bounds.asymptotic(WEB, users, think_s=think_s, delay_s=0.003)
    tight = bounds.balanced_job(WEB, users, think_s=think_s, delay_s=0.003)
    slack = 1 + 1e-9
    for each in (wide, tight):
        assert each.least_rps <= exact.throughput_rps * slack
        assert exact.throughput_rps <= each.most_rps * slack
        assert each.least_response_s <= exact.response_s * slack
        assert exact.response_s <= each.most_response_s * slack
    assert wide.least_rps <= tight.least_rps * slack
    assert tight.most_rps <= wide.most_rps * slack


def test_the_bounds_by_hand():
    # one station of 1 s and one of 2 s, three users: at most 1/2 a second, at least a user at a time
    wide = bounds.asymptotic((Station("a", 1.0), Station("b", 2.0)), 3)
    assert (wide.least_rps, wide.most_rps, wide.least_response_s, wide.most_response_s) == pytest.approx(
        (1 / 3, 0.5, 6, 9)
    )
    # Lazowska et al., table 5.1: 3 / (3 + 2 x 2) and min(1/2, 3 / (3 + 2 x 1.5))
    tight = bounds.balanced_job((Station("a", 1.0), Station("b", 2.0)), 3)
    assert (tight.least_rps, tight.most_rps) == pytest.approx((3 / 7, 0.5))
    cores = (Station("cores", 1.0, servers=2),)
    assert bounds.balanced_job(cores, 3) == bounds.asymptotic(cores, 3)


def test_the_bottleneck_is_what_has_the_least_capacity():
    assert bottleneck(WEB).capacity_rps == pytest.approx(500)
    assert bottleneck((*WEB[:2], Station("store", 0.0021))).name == "store"
    assert WEB[0].utilisation(250) == pytest.approx(0.5)
    assert Station("nothing", 0.0).capacity_rps == math.inf


def test_an_open_queue_is_mm1_and_several_servers_are_mmc():
    assert open_network.station_response_s(Station("one", 0.01), 50) == pytest.approx(0.02)
    # M/M/2 at utilisation 0.75: the chance to wait is 9/14, the response D / (1 - U^2)
    assert open_network.erlang_c(2, 0.75) == pytest.approx(9 / 14)
    assert open_network.station_response_s(Station("two", 0.01, servers=2), 150) == pytest.approx(0.01 / (1 - 0.75**2))
    assert open_network.station_response_s(Station("one", 0.01), 100) == math.inf
    assert open_network.response_s(WEB, 100, delay_s=0.5) == pytest.approx(0.5 + 0.005 + 0.001 / 0.9 + 0.002 / 0.8)
