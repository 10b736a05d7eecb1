import numpy as np
import pytest

from analysis.recovery import WINDOW_S, recovery

RATE_RPS, BEFORE_S, UNTIL_S = 120, 2.0, 6.0


def _requests(seed: int = 1):
    rng = np.random.default_rng(seed)
    due = np.sort(rng.uniform(-BEFORE_S, UNTIL_S, round(RATE_RPS * (BEFORE_S + UNTIL_S))))
    return due, np.exp(rng.normal(0.5, 0.3, due.size)), np.ones(due.size, dtype=bool), rng


def _judge(due, good, response_ms, *, failed=None, **more):
    failed = ~good if failed is None else failed
    settings = {"until_s": UNTIL_S, "last_broken_s": 0, **more}
    return recovery(due, due + response_ms / 1e3, good, failed, response_ms, **settings)


def test_nothing_happened():
    due, response_ms, good, _ = _requests()
    found = _judge(due, good, response_ms)
    assert (found.recovered_s, found.unavailable_s) == (0, 0)
    assert found.degraded_s <= 2 * WINDOW_S  # 1 % of 24 windows


@pytest.mark.parametrize("planted_s", [0.5, 1.75, 3.2])
def test_everything_fails_for_a_while(planted_s: float):
    due, response_ms, good, _ = _requests()
    good &= (due < 0) | (due >= planted_s)
    found = _judge(due, good, response_ms)
    assert found.recovered_s == pytest.approx(planted_s, abs=WINDOW_S)
    assert found.unavailable_s == pytest.approx(planted_s, abs=WINDOW_S)


def test_one_request_in_three_fails_and_somebody_is_always_served():
    due, response_ms, good, rng = _requests()
    good &= (due < 0) | (due >= 2.5) | (rng.random(due.size) > 1 / 3)
    found = _judge(due, good, response_ms)
    assert found.recovered_s == pytest.approx(2.5, abs=WINDOW_S)
    assert found.degraded_s == pytest.approx(2.5, abs=2 * WINDOW_S)
    assert found.unavailable_s == 0


def test_latency_alone_counts_as_well():
    due, response_ms, good, _ = _requests()
    response_ms[(due >= 0) & (due < 2)] *= 20
    assert _judge(due, good, response_ms).recovered_s == pytest.approx(2, abs=WINDOW_S)


def test_answers_that_wait_for_the_thaw_come_in_no_window_before_it():
    due, response_ms, good, _ = _requests()
    frozen = (due >= 0) & (due < 2)
    response_ms[frozen] = 1e3 * (2.01 - due[frozen])
    found = _judge(due, good, response_ms)
    assert found.unavailable_s == pytest.approx(2, abs=WINDOW_S)
    assert found.recovered_s == pytest.approx(2, abs=WINDOW_S)


def test_what_does_not_recover_has_no_time():
    due, response_ms, good, _ = _requests()
    good &= due < 0
    found = _judge(due, good, response_ms)
    assert (found.recovered_s, found.unavailable_s) == (None, UNTIL_S)


def test_a_calm_shorter_than_a_second_is_no_recovery():
    due, response_ms, good, _ = _requests()
    calm_s = 0.75
    good &= (due < 0) | ((due >= 1) & (due < 1 + calm_s)) | (due >= 3)
    assert _judge(due, good, response_ms).recovered_s == pytest.approx(3, abs=WINDOW_S)


def test_a_fault_of_several_steps_is_over_after_the_last():
    due, response_ms, good, _ = _requests()
    good &= (due < 0) | ((due >= 0.5) & (due < 3)) | (due >= 3.5)
    assert _judge(due, good, response_ms).recovered_s == pytest.approx(0.5, abs=WINDOW_S)
    assert _judge(due, good, response_ms, last_broken_s=3).recovered_s == pytest.approx(3.5, abs=WINDOW_S)


def test_a_service_that_always_refused_two_in_three_is_itself_again_when_it_does_again():
    due, response_ms, good, rng = _requests()
    good &= rng.random(due.size) < 1 / 3
    broken = (due >= 0) & (due < 2)
    good &= ~broken
    assert _judge(due, good, response_ms, failed=broken).recovered_s == pytest.approx(2, abs=WINDOW_S)


def test_failures_show_where_two_in_three_were_refused_all_along():
    due, response_ms, good, rng = _requests()
    good &= rng.random(due.size) < 1 / 3
    failed = ~good & (due >= 0) & (due < 2) & (rng.random(due.size) < 1 / 2)
    assert _judge(due, good, response_ms, failed=failed).recovered_s == pytest.approx(2, abs=WINDOW_S)
    assert _judge(due, good, response_ms, failed=good & False).recovered_s == 0


def test_false_alarms_are_as_rare_as_the_band_says():
    alarms = sum(_judge(due, good, ms).recovered_s > 0 for due, ms, good, _ in map(_requests, range(200)))
    assert alarms <= 20  # of the first four windows 1 % each would be 8


def test_nothing_before_the_fault_says_nothing():
    due, response_ms, good, _ = _requests()
    with pytest.raises(ValueError, match="before the fault"):
        _judge(due, good & (due >= 0), response_ms)
