"""The inverse of the cumulative rate: it is one, for every rate; and what comes out of it is the process asked for."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from loadtests.arrivals import PROCESSES
from loadtests.pacing import schedule
from loadtests.rates import Rate

_rps = some.floats(0.1, 5000)
_rates = some.builds(
    Rate, start_rps=_rps, end_rps=some.just(0.0) | _rps, length_s=some.floats(0.1, 3600),
    steps=some.just(0) | some.integers(2, 40),
)  # fmt: skip


@given(_rates, some.floats(0, 2))
def test_the_inverse_takes_back_the_cumulative_rate(rate: Rate, share: float):
    at_s = share * rate.length_s
    assert rate.inverse(rate.cumulative(at_s)) == pytest.approx(at_s, rel=1e-6, abs=1e-6)


@given(_rates, some.lists(some.floats(0, 1e6), min_size=2, max_size=20))
def test_later_units_are_due_later(rate: Rate, units: list[float]):
    due = [rate.inverse(unit) for unit in sorted(units)]
    assert due == sorted(due)
    assert due[0] >= 0


@given(_rates)
def test_the_pieces_hold_all_that_is_expected(rate: Rate):
    pieces = rate.pieces()
    assert sum(each.requests for each in pieces) == pytest.approx(rate.cumulative(rate.length_s), rel=1e-9)
    assert [each.from_s for each in pieces[1:]] == [each.to_s for each in pieces[:-1]]
    assert sum(each.requests for each in rate.split()) == pytest.approx(rate.cumulative(rate.length_s), rel=1e-9)
    mean_rps = (rate.start_rps + (rate.end_rps or rate.start_rps)) / 2
    assert rate.cumulative(rate.length_s) == pytest.approx(mean_rps * rate.length_s, rel=1e-9)


def test_a_staircase_goes_from_the_first_rate_to_the_last_in_equal_lengths():
    assert [(each.from_s, each.to_s, each.from_rps) for each in Rate(100, 400, 8.0, 4).pieces()] == [
        (0, 2, 100), (2, 4, 200), (4, 6, 300), (6, 8, 400),
    ]  # fmt: skip


def _due(process: str, rate: Rate, users: int = 20) -> np.ndarray:
    made = [
        list(itertools.takewhile(lambda due: due < rate.length_s, schedule(process, rate, users, "seed", user)))
        for user in range(users)
    ]
    return np.sort(np.concatenate(made))


@pytest.mark.parametrize(
    "rate", [Rate(50, 0, 40.0), Rate(20, 200, 40.0), Rate(200, 20, 40.0), Rate(30, 150, 40.0, 5)], ids=str
)
def test_poisson_arrivals_at_a_changing_rate_are_those_of_the_rate(rate: Rate):
    """Given their number, the arrivals of such a process are independent with the cumulative rate as distribution."""
    due = _due("poisson", rate)
    expected = rate.cumulative(rate.length_s)
    assert abs(len(due) - expected) < 4 * np.sqrt(expected)
    assert stats.kstest([rate.cumulative(each) / expected for each in due], "uniform").pvalue > 0.001
    gaps = np.diff([rate.cumulative(each) for each in due])  # in units of the process
    assert stats.kstest(gaps, "expon").pvalue > 0.001


def test_even_arrivals_are_as_many_in_every_step_as_its_rate_says():
    rate = Rate(100, 400, 8.0, 4)
    counts = np.histogram(_due("uniform", rate), bins=[0, 2, 4, 6, 8])[0]
    assert np.abs(counts - np.array([200, 400, 600, 800])).max() <= 20  # one a user
    bursts = np.unique(np.round(_due("burst", rate), 9), return_counts=True)
    assert set(bursts[1]) == {20}


@pytest.mark.parametrize("process", PROCESSES)
def test_a_constant_rate_is_the_process_itself(process: str):
    one = list(itertools.islice(schedule(process, Rate(100.0), 20, "seed", 3), 50))
    assert one == pytest.approx(list(itertools.islice(PROCESSES[process](5.0, "seed", 3), 50)))
