"""The analytic truth against a simulation that knows nothing of it; the server and the generator against each other."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from loadtests import arrivals, calibration
from loadtests.calibration_laws import (
    BY_NAME,
    DECK,
    LAWS,
    STALL_OFFSET_S,
    responses_ns,
    service_start_ns,
    service_times_ns,
)  # fmt: skip
from loadtests.calibration_truth import QUANTILES, true_quantiles_ms
from loadtests.samples import MEASURED
from topology.cpu import divide_cores
from topology.reaper import Reaper

# standard errors of the quantiles of 400,000 dependent requests are some 1 to 2 % at p99.9
_NEAR = {0.5: 0.01, 0.9: 0.03, 0.99: 0.02, 0.999: 0.04}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_the_truth_is_that_of_a_simulation(law):
    chance = np.random.default_rng(29)
    count = 400_000
    due = np.cumsum(chance.exponential(1e9 / law.user_rate_rps, count)).astype(np.int64)
    if law.atoms is None:
        services_ms = np.exp(chance.normal(np.log(law.median_ms), law.sigma, count))
    else:
        services_ms = chance.choice(list(law.atoms), count, p=list(law.atoms.values()))
    services = (services_ms * 1e6).astype(np.int64)
    found = np.fromiter(responses_ns(law, due.tolist(), services.tolist(), 0), dtype=np.int64) / 1e6
    for share, true_ms in zip(QUANTILES, true_quantiles_ms(law), strict=True):
        assert np.quantile(found, share) == pytest.approx(true_ms, rel=_NEAR[share]), share


def test_the_truth_of_constant_service_is_crommelins():
    # P(wait = 0) is 1 - rho; P(wait <= service) is (1 - rho) exp(rho): Erlang's first terms
    law = replace(BY_NAME["constant"], utilisation=0.4)
    just_above = (1 - 0.4) * np.exp(0.4)
    assert true_quantiles_ms(law, [0.599]) == [5.0]
    assert true_quantiles_ms(law, [just_above])[0] == pytest.approx(10.0, abs=0.03)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_deck_holds_the_law_exactly_whatever_its_order(law):
    draws = service_times_ns(law, "user-00001")
    decks = [[next(draws) for _ in range(DECK)] for _ in range(2)]
    assert Counter(decks[0]) == Counter(decks[1])
    assert np.mean(decks[0]) / 1e6 == pytest.approx(law.mean_ms, rel=2e-3)
    if len(set(decks[0])) > 1:
        assert decks[0] != decks[1]


def test_a_request_in_a_stall_begins_at_its_end():
    law = BY_NAME["stalls"]
    second = 1_000_000_000
    for ready_s, begins_s in ((0.9, 0.9), (1.0, 1.5), (1.2, 1.5), (1.5, 1.5), (4.0, 4.0), (6.1, 6.5)):
        assert service_start_ns(law, round(ready_s * second), second) == round(begins_s * second), ready_s


@pytest.mark.bench
def test_the_generator_meets_the_server_as_foretold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calibration, "CANDIDATES", 4)
    law, duration_s = BY_NAME["stalls"], 5.0
    with Reaper() as reaper:
        calibration.calibrate(law, duration_s, tmp_path / "law", reaper, divide_cores())
    told = json.loads((tmp_path / "law" / "calibration.json").read_text())
    samples = pq.read_table(tmp_path / "law" / "samples.parquet").to_pandas()
    measured = samples[samples["phase"] == MEASURED]
    assert set(measured["outcome"]) == {"ok"}
    assert told["server"]["requests"] == len(measured)
    # the stall is there, and only the time since the request was due shows how long users waited for it
    service_ms = (measured["ended_ns"] - measured["started_ns"]) / 1e6
    since_due_ms = (measured["ended_ns"] - measured["due_ns"]) / 1e6
    assert 450 < service_ms.max() < 700
    assert (since_due_ms > 100).mean() > 3 * (service_ms > 100).mean()
    # the schedule is the one that was looked at beforehand: the same number of requests, and as typical
    schedule = calibration.typical_seed(law, duration_s, told["truth_ms"])
    assert [repr(schedule[0]), schedule[1]] == [told["seed"], told["schedule_ms"]]
    first_due_s = measured.groupby("user")["due_ns"].min().sort_index() / 1e9
    foretold = [
        next(iter(arrivals.poisson(law.user_rate_rps, (told["seed"], MEASURED), user))) for user in range(law.users)
    ]
    apart = first_due_s.to_numpy() - np.asarray(foretold)
    assert np.ptp(apart) < 1e-6
    # and the stall comes when it was foretold: the first who are answered after it have waited for its end
    answered_s = measured["ended_ns"][service_ms > 100].min() / 1e9 - apart[0]
    assert answered_s == pytest.approx(STALL_OFFSET_S + law.stall_s + 0.01, abs=0.05)
