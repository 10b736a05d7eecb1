import random

import pytest

from analysis.order_statistics import quantile, share


def test_the_median_of_an_odd_number_is_its_middle_one():
    assert quantile([3, 1, 2], (), 0.5).value == 2


def test_the_ranks_of_the_median_of_a_hundred_are_those_of_the_tables():
    found = quantile(list(range(1, 101)), (), 0.5)
    assert (found.value, found.low, found.high) == (50, 40, 61)


@pytest.mark.parametrize(("count", "has_end"), [(367, False), (368, True)])
def test_a_p99_has_an_upper_end_from_368_observations_on(count: int, *, has_end: bool):
    assert (quantile(list(range(count)), (), 0.99).high is not None) is has_end


def test_the_interval_covers():
    chance = random.Random(3)
    hits = sum(
        found.low <= 0.9 and (found.high is None or found.high >= 0.9)
        for found in (quantile([chance.random() for _ in range(80)], (), 0.9) for _ in range(1000))
    )
    assert hits >= 935  # 95 % at least, less two standard errors


def test_what_is_censored_is_larger_than_all_that_is_not():
    found = quantile([1.0, 2.0], [0.5, 5.0, 5.0], 0.5)
    assert (found.value, found.at_least) == (0.5, True)
    assert quantile([1.0, 2.0, 3.0], [5.0, 5.0], 0.5).value == 3.0
    assert quantile([1.0] * 50, [5.0] * 50, 0.9).high is None


def test_nothing_has_no_quantile():
    assert quantile((), (), 0.5).value is None


def test_shares_have_the_interval_of_clopper_and_pearson():
    none, some, every = share(0, 100), share(10, 100), share(100, 100)
    assert (none.value, none.low, round(none.high, 4)) == (0, 0, 0.0362)
    assert (round(some.low, 4), round(some.high, 4)) == (0.0490, 0.1762)
    assert (round(every.low, 4), every.high) == (0.9638, 1)
