from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.compare import Comparison, compare_run, holm, noise_floor, paired_t_p, verdict
from analysis.estimates import estimate, estimate_run
from analysis.load import load_run

SIMULATIONS = 2000


@pytest.mark.parametrize("blocks", [3, 5, 10])
def test_the_interval_covers_what_it_claims(blocks: int) -> None:
    rng = np.random.default_rng(11)
    true = 1.7
    covered = 0
    for values in true * np.exp(rng.normal(0, 0.3, (SIMULATIONS, blocks))):
        found = estimate(values.tolist(), positive=True)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= true <= found.high
    assert 0.93 <= covered / SIMULATIONS <= 0.97


def test_times_get_a_geometric_mean_and_counts_an_arithmetic_one() -> None:
    assert estimate([1.0, 4.0], positive=True).value == pytest.approx(2.0)
    assert estimate([1.0, 4.0], positive=False).value == pytest.approx(2.5)
    assert estimate([0.0, 4.0], positive=True).value == pytest.approx(2.0)


def test_the_interval_is_that_of_students_t() -> None:
    values = [1.0, 2.0, 4.5, 3.0]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    found = estimate(values, positive=False)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_constants_are_exact_and_a_single_value_has_no_interval() -> None:
    assert estimate([0.1] * 3, positive=False) == replace(estimate([0.1] * 2, positive=False), blocks=3)
    assert estimate([338.0] * 3, positive=True).low == 338.0
    single = estimate([338.0], positive=True)
    assert (single.value, single.low, single.high, single.blocks) == (338.0, None, None, 1)
    assert estimate([], positive=True).value is None


def test_the_paired_test_is_scipys() -> None:
    differences = [0.2, 0.31, 0.05, 0.18]
    assert paired_t_p(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert paired_t_p([0.2]) is None
    assert paired_t_p([0.0, 0.0]) == 1.0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def comparison(ratio: float, low: float | None, high: float | None, p: float | None = 0.001) -> Comparison:
    return Comparison("response_p50_ms", "a", "b", ratio, low, high, p, p, "inconclusive", 5)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (comparison(0.80, 0.75, 0.85), "faster"),
        (comparison(1.30, 1.20, 1.40), "slower"),
        (comparison(0.98, 0.97, 0.99), "equivalent"),
        (comparison(1.00, 0.98, 1.03, p=0.8), "equivalent"),
        (comparison(0.90, 0.80, 1.01, p=0.06), "inconclusive"),
        (comparison(0.90, 0.82, 0.99, p=0.06), "inconclusive"),
        (comparison(0.50, None, None, p=None), "inconclusive"),
    ],
)
def test_verdicts_follow_their_rules(made: Comparison, said: str) -> None:
    assert verdict(made, None) == said


def test_a_false_difference_makes_what_it_could_explain_unstable() -> None:
    quiet, loud = comparison(1.06, 0.98, 1.14), comparison(1.15, 1.10, 1.20)
    assert verdict(comparison(0.90, 0.87, 0.93), quiet) == "faster"
    assert verdict(comparison(0.90, 0.87, 0.93), loud) == "unstable"
    assert verdict(comparison(1.00, 0.98, 1.02), loud) == "unstable"
    assert verdict(comparison(0.50, 0.45, 0.55), loud) == "faster"
    assert verdict(comparison(0.90, 0.70, 1.10, p=0.3), loud) == "inconclusive"


def test_a_planted_difference_is_found_and_none_where_there_is_none(build_run: Callable[..., Path]) -> None:
    same = {("control", "none"): 1.0, ("session", "redis"): 1.2, ("token", "none"): 1.0}
    folder = build_run(blocks=10, replicas=(1,), series=tuple(same), typical_ms=same, block_noise=0.01)
    results = estimate_run(load_run(folder))
    made = {
        (each.cell.split("-")[0], each.baseline.split("-")[0]): each
        for each in compare_run(results)
        if each.metric == "response_p50_ms"
    }
    assert made["session", "control"].verdict == "slower"
    assert made["session", "control"].ratio == pytest.approx(1.2, rel=0.05)
    assert made["token", "session"].verdict == "faster"
    assert made["token", "control"].verdict in ("equivalent", "inconclusive")
    floor = noise_floor(results)["response_p50_ms"]
    assert floor.verdict in ("equivalent", "inconclusive")
    assert floor.low is not None
    assert math.log(floor.low) < 0.05


def test_the_matrix_of_comparisons(quick_run: Path) -> None:
    made = compare_run(estimate_run(load_run(quick_run)))
    pairs = {(each.cell, each.baseline) for each in made}
    assert ("token-none-4r-roundrobin", "session-redis-4r-roundrobin") in pairs
    assert ("session-redis-1r-roundrobin", "control-none-1r-roundrobin") in pairs
    assert not [pair for pair in pairs if "session-memory-4r-roundrobin" in pair]
    assert not [pair for pair in pairs if any(cell.endswith(".aa") for cell in pair)]
    assert all(each.p is not None and each.p_holm is not None and each.p_holm >= each.p for each in made)
