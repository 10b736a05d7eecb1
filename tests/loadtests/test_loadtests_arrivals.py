"""The arrival process is Poisson, and the same seed makes the same one."""

import itertools

import numpy as np
import pytest
from scipy import stats

from loadtests.arrivals import PROCESSES, Process, burst, poisson, uniform


def test_gaps_are_exponential_with_the_mean_of_the_rate():
    due = np.array(list(itertools.islice(poisson(50.0, "seed", 0), 5000)))
    gaps = np.diff(due, prepend=0.0)
    assert gaps.min() > 0
    assert stats.kstest(gaps, "expon", args=(0, 1 / 50)).pvalue > 0.01


def test_many_users_together_are_one_poisson_process():
    users = [itertools.takewhile(lambda due: due < 100, poisson(2.0, "seed", number)) for number in range(50)]
    due = np.sort(np.concatenate([list(user) for user in users]))
    gaps = np.diff(due)
    assert abs(len(due) - 100 * 100) < 4 * 100  # four standard deviations of the count
    assert stats.kstest(gaps, "expon", args=(0, gaps.mean())).pvalue > 0.01
    # and counts per second scatter as a Poisson count does: variance over mean is 1
    counts = np.bincount(due.astype(int), minlength=100)
    assert 0.6 < counts.var() / counts.mean() < 1.5


def _first(name: str, seed: str, user: int, count: int = 10) -> list[float]:
    return list(itertools.islice(PROCESSES[name](5.0, seed, user), count))


@pytest.mark.parametrize("name", PROCESSES)
def test_a_seed_makes_the_same_arrivals_again_and_another_seed_others(name: str):
    assert _first(name, "a", 1) == _first(name, "a", 1)
    assert _first(name, "a", 1) != _first(name, "b", 1)


@pytest.mark.parametrize("process", [uniform, burst])
def test_gaps_are_equal_and_the_rate_is_kept(process: Process):
    due = np.array(list(itertools.islice(process(5.0, "seed", 3), 100)))
    assert 0 <= due[0] < 0.2
    assert np.allclose(np.diff(due), 0.2)


def test_users_start_apart_with_uniform_and_together_with_burst():
    assert len({_first("uniform", "seed", user, 1)[0] for user in range(20)}) == 20
    assert len({_first("burst", "seed", user, 1)[0] for user in range(20)}) == 1
