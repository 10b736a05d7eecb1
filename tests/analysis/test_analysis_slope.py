import pytest
from scipy import stats

from analysis.slope import least_squares, over_blocks

X = [0, 1000, 3000, 10000, 30000]
Y = [50.0, 420_100.0, 1_262_000.0, 4_190_000.0, 12_630_000.0]


def test_a_straight_line_is_found_exactly():
    line = least_squares(X, [100 + 420 * x for x in X])
    assert line.slope.value == pytest.approx(420)
    assert line.slope.low == pytest.approx(420)
    assert line.intercept.value == pytest.approx(100)


def test_it_is_what_scipy_finds():
    line, known = least_squares(X, Y), stats.linregress(X, Y)
    reach = stats.t.ppf(0.975, len(X) - 2)
    assert line.slope.value == pytest.approx(known.slope)
    assert line.slope.high == pytest.approx(known.slope + reach * known.stderr)
    assert line.intercept.low == pytest.approx(known.intercept - reach * known.intercept_stderr)


def test_two_points_have_no_interval():
    assert least_squares([0, 1], [1, 3]).slope.low is None


def test_a_line_at_one_place_is_none():
    with pytest.raises(ValueError, match="two places"):
        least_squares([5, 5], [1, 2])


def test_of_several_blocks_the_interval_is_over_their_slopes():
    made = [least_squares([0, 1, 2], [0, slope, 2 * slope]) for slope in (90.0, 100.0, 110.0)]
    line = over_blocks(made)
    assert line.over_blocks
    assert line.slope.value == pytest.approx(100)
    assert line.slope.high == pytest.approx(100 + 4.3027 * 10 / 3**0.5, rel=1e-4)
    assert over_blocks(made[:1]) == made[0]
