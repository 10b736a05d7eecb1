"""The arrival process is Poisson, and the same seed makes the same one."""

import itertools

import numpy as np
from scipy import stats

from loadtests.arrivals import poisson


def test_gaps_are_exponential_with_the_mean_of_the_rate():
    due = np.array(list(itertools.islice(poisson(50.0, "seed"), 5000)))
    gaps = np.diff(due, prepend=0.0)
    assert gaps.min() > 0
    assert stats.kstest(gaps, "expon", args=(0, 1 / 50)).pvalue > 0.01


def test_many_users_together_are_one_poisson_process():
    users = [itertools.takewhile(lambda due: due < 100, poisson(2.0, ("seed", number))) for number in range(50)]
    due = np.sort(np.concatenate([list(user) for user in users]))
    gaps = np.diff(due)
    assert abs(len(due) - 100 * 100) < 4 * 100  # four standard deviations of the count
    assert stats.kstest(gaps, "expon", args=(0, gaps.mean())).pvalue > 0.01
    # and counts per second scatter as a Poisson count does: variance over mean is 1
    counts = np.bincount(due.astype(int), minlength=100)
    assert 0.6 < counts.var() / counts.mean() < 1.5


def test_a_seed_makes_the_same_arrivals_again_and_another_seed_others():
    first, again, other = (list(itertools.islice(poisson(5.0, seed), 10)) for seed in (("a", 1), ("a", 1), ("a", 2)))
    assert first == again
    assert first != other
