"""When a user turns to its next request: its think time, and the cap on what is in flight."""

import itertools

import numpy as np
from scipy import stats

from loadtests.pacing import InFlight, think_times


def test_think_times_are_exponential_of_their_mean_and_a_users_own():
    first, again, other = (list(itertools.islice(think_times(0.2, "seed", user), 3000)) for user in (1, 1, 2))
    assert first == again
    assert first != other
    assert stats.kstest(first, "expon", args=(0, 0.2)).pvalue > 0.01
    assert set(itertools.islice(think_times(0.0, "seed", 1), 10)) == {0.0}
    assert np.mean(first) > 0


def test_what_falls_due_while_the_cap_is_reached_is_refused_then_and_later():
    flight = InFlight(2)
    flight.begin(100)
    assert not flight.refuses(150)
    flight.begin(200)
    assert flight.refuses(250)
    assert flight.refuses(150)  # due before, but its turn is now, and the cap holds
    flight.end(300)
    assert [flight.refuses(due) for due in (199, 200, 299, 300)] == [False, True, True, False]
    flight.begin(400)
    flight.end(500)
    flight.end(600)
    assert [flight.refuses(due) for due in (250, 350, 450, 550)] == [True, False, True, False]


def test_without_a_cap_nothing_is_refused():
    flight = InFlight(0)
    for at_ns in range(5):
        flight.begin(at_ns)
    assert not flight.refuses(3)
    flight.end(9)
    assert not flight.refuses(3)
