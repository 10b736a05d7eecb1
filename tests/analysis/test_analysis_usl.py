"""The scalability law and the bounds on data of known truth: recovered, covered, and silent where nothing is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.bounds import REPLICAS, SHARED_CORES, Basis, Demand, bend, hinge, predict
from analysis.usl import Coefficients, fit, fit_block

COUNTS = (1, 2, 3, 4, 6, 8)
TRUTH = Coefficients(150.0, 0.03, 0.004)


def _blocks(truth: Coefficients, blocks: int, rng: np.random.Generator, noise: float = 0.02) -> list[dict[int, float]]:
    """Blocks whose machine differs (one factor a block), and each of whose trials scatters."""
    return [
        {n: truth.throughput(n) * scale * float(np.exp(rng.normal(0, noise))) for n in COUNTS}
        for scale in np.exp(rng.normal(0, 0.1, blocks))
    ]


def test_without_noise_the_coefficients_are_those_that_made_the_curve():
    found = fit_block({n: TRUTH.throughput(n) for n in COUNTS})
    assert (found.gamma, found.sigma, found.kappa) == pytest.approx((150.0, 0.03, 0.004))
    superlinear = Coefficients(100.0, -0.02, 0.0)
    assert fit_block({n: superlinear.throughput(n) for n in COUNTS}).sigma == pytest.approx(-0.02)


@pytest.mark.parametrize("truth", [TRUTH, Coefficients(150.0, 0.0, 0.0), Coefficients(80.0, 0.2, 0.0)])
def test_intervals_cover_what_is_true_and_a_percentile_bootstrap_would_not(truth: Coefficients):
    rng = np.random.default_rng(1)
    experiments, blocks = 600, 4
    covered = {"gamma": 0, "sigma": 0, "kappa": 0, "bootstrap": 0}
    picks = rng.integers(0, blocks, (400, blocks))
    for _ in range(experiments):
        found = fit(_blocks(truth, blocks, rng))
        assert found is not None
        for name in ("gamma", "sigma", "kappa"):
            figure = getattr(found, name)
            covered[name] += figure.low <= getattr(truth, name) <= figure.high
        means = np.array([each.sigma for each in found.blocks])[picks].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        covered["bootstrap"] += bool(low <= truth.sigma <= high)
    for name in ("gamma", "sigma", "kappa"):
        assert 0.925 <= covered[name] / experiments <= 0.975, covered
    assert covered["bootstrap"] / experiments < 0.88, covered


def test_a_peak_is_claimed_only_where_coherence_is_above_zero_for_certain():
    rng = np.random.default_rng(2)
    strong = Coefficients(150.0, 0.05, 0.02)
    found = fit(_blocks(strong, 5, rng))
    assert found is not None
    assert found.peak == pytest.approx(math.sqrt(0.95 / 0.02), rel=0.2)
    none = [fit(_blocks(Coefficients(150.0, 0.05, 0.0), 4, rng)) for _ in range(200)]
    claimed = sum(each is not None and each.peak is not None for each in none)
    assert claimed <= 200 * 0.06  # one side of a 95 % interval, and chance


def test_three_numbers_of_replicas_or_one_block_are_no_fit():
    blocks = [{n: TRUTH.throughput(n) for n in (1, 2, 3)}] * 3
    assert fit(blocks) is None
    with pytest.raises(ValueError, match="do not identify"):
        fit_block(blocks[0])
    whole = {n: TRUTH.throughput(n) for n in COUNTS}
    assert fit([whole]) is None
    assert fit([whole, blocks[0]]) is None  # a block that lost trials does not count
    assert fit([]) is None


BASIS = Basis(
    one_replica_rps=100.0,
    shared=(Demand("balancer", 100e-6, 1.0), Demand("store", 40e-6, 0.02)),
    all_cpu_s=640e-6,
    server_cores=1,
)


def test_what_is_predicted_is_the_least_of_the_bounds_and_names_it():
    assert (predict(BASIS, 3).rps, predict(BASIS, 3).limit) == (300.0, REPLICAS)
    assert (predict(BASIS, 8).rps, predict(BASIS, 8).limit) == (pytest.approx(500.0), "store")
    assert bend(BASIS) == (pytest.approx(5.0), "store")
    no_store = Basis(100.0, BASIS.shared[:1], 600e-6, 1)
    assert predict(no_store, 40).limit == SHARED_CORES
    assert predict(no_store, 40).rps == pytest.approx(1 / 600e-6)
    assert bend(Basis(100.0, BASIS.shared[:1], 600e-6, 0)) == (pytest.approx(100.0), "balancer")
    assert predict(Basis(100.0, (Demand("store", 0.0, 1.0),), 1e-4, 0), 8).rps == 800.0


@pytest.mark.parametrize("at", [1.5, 3.5, 5.0, 6.7])
def test_the_bend_of_a_curve_is_found_under_noise(at: float):
    rng = np.random.default_rng(3)
    found = [hinge({n: 100 * min(n, at) * float(np.exp(rng.normal(0, 0.02))) for n in COUNTS}) for _ in range(200)]
    assert float(np.median(found)) == pytest.approx(at, rel=0.05)


def test_a_straight_line_has_no_bend():
    assert hinge({n: 100.0 * n for n in COUNTS}) == math.inf
    assert hinge({1: 100.0}) == math.inf
