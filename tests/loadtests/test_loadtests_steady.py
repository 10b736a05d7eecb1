"""MSER-5 on series whose truth is known: a transient is cut, white noise is steady, what still changes is not."""

import numpy as np
import pytest

from loadtests import steady

_SERIES = 400


def _white(chance: np.random.Generator, count: int) -> np.ndarray:
    """Response times as they are: scattering by factors, one in thirty ten times as long."""
    return np.exp(chance.normal(0, 0.4, count)) * np.where(chance.random(count) < 0.03, 10, 1)


def _judged(times: np.ndarray) -> steady.Truncation:
    found = steady.truncation(list(times))
    assert found is not None
    return found


@pytest.mark.parametrize("count", [100, 200, 750])
def test_white_noise_is_steady(count: int):
    chance = np.random.default_rng(1)
    assert np.mean([_judged(_white(chance, count)).steady for _ in range(_SERIES)]) >= 0.95


@pytest.mark.parametrize(("factor", "transient"), [(5.0, 50), (20.0, 100), (3.0, 30)])
def test_a_transient_in_the_first_half_is_cut_and_little_more(factor: float, transient: int):
    chance = np.random.default_rng(2)
    found = []
    for _ in range(100):
        times = _white(chance, 300)
        times[:transient] *= factor
        found.append(_judged(times))
    assert np.mean([each.steady for each in found]) >= 0.95
    cut = np.array([each.at for each in found])
    assert np.mean(cut >= transient - steady.BATCH) >= 0.9
    assert np.median(cut) <= transient + 2 * steady.BATCH


def test_a_transient_that_decays_is_cut_when_the_series_is_long_enough():
    chance = np.random.default_rng(3)
    decay = np.exp(2.5 * np.exp(-np.arange(600) / 60))
    calm = np.exp(chance.normal(0, 0.1, 600))
    assert not _judged((calm * decay)[:80]).steady
    found = _judged(calm * decay)
    assert found.steady
    assert 100 <= found.at <= 300


@pytest.mark.parametrize("count", [200, 400, 2000])
def test_a_ramp_is_never_steady(count: int):
    chance = np.random.default_rng(4)
    ramp = np.exp(np.linspace(0, np.log(10), count))
    for way in (ramp, ramp[::-1]):
        assert not _judged(way).steady
        assert not any(_judged(way * np.exp(chance.normal(0, 0.1, count))).steady for _ in range(50))


def test_a_transient_of_more_than_half_is_not_mistaken_for_the_steady_state():
    chance = np.random.default_rng(6)
    found = []
    for _ in range(100):
        times = _white(chance, 300)
        times[:190] *= 5
        found.append(_judged(times).steady)
    assert np.mean(found) <= 0.05


def test_a_constant_series_is_kept_whole():
    assert _judged(np.full(100, 7.0)) == steady.Truncation(0, steady=True)


def test_it_is_the_minimum_of_the_formula():
    times = _white(np.random.default_rng(5), 203)
    batches = np.log(times)[:200].reshape(40, 5).mean(axis=1)
    errors = [np.var(batches[start:]) / (40 - start) for start in range(21)]
    assert _judged(times).at == 5 * int(np.argmin(errors))


def test_of_too_few_nothing_is_said():
    assert steady.truncation([1.0] * (steady.FEWEST - 1)) is None
