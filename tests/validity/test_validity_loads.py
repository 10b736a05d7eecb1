"""The generator against a server whose behaviour is known: closed loops, the cap in flight, a warm-up that is found."""

import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

from loadtests import control
from loadtests.experiment import Load
from loadtests.generator import Generator
from loadtests.pacing import schedule
from loadtests.rates import Rate
from topology.reaper import Reaper

pytestmark = pytest.mark.bench
LOAD = Load(scenario="browse", rate_rps=100, users=10, warm_up_s=0, duration_s=1.0)


class Server(ThreadingHTTPServer):
    """Answers a sign-in at once and a read after `delay_s`, told the seconds since the first read."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, delay_s: Callable[[float], float]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.delay_s = delay_s
        self._since: float | None = None

    def wait(self) -> None:
        now = time.monotonic()
        self._since = self._since or now
        time.sleep(self.delay_s(now - self._since))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    server: Server

    def do_GET(self) -> None:
        self.server.wait()
        self._answer(b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b'{"credential": {"kind": "none"}}')

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@dataclass(frozen=True)
class Driven:
    """What the generator recorded: all samples, and what it told of its phases."""

    samples: pd.DataFrame
    told: dict[str, Any]

    @property
    def measured(self) -> pd.DataFrame:
        return self.samples[self.samples["phase"] == "measured"].sort_values("due_ns")


@pytest.fixture
def drive(tmp_path: Path) -> Callable[..., Driven]:
    def run(load: Load, delay_s: Callable[[float], float], warmed: Callable[[], None] = lambda: None) -> Driven:
        server = Server(delay_s)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            with Reaper() as reaper, Generator(
                load, seed=1, accounts=100, folder=tmp_path, environment=reaper.environment, cores=frozenset(),
                runtime=reaper.folder / "control",
            ) as generator:  # fmt: skip
                address = f"http://127.0.0.1:{server.server_address[1]}"
                generator.step(control.LOG_IN, address, control.LOGGED_IN, within_s=10, check=lambda: None)
                generator.step(control.WARM_UP, "", control.WARMED_UP, within_s=20, check=lambda: None)
                warmed()
                generator.step(control.MEASURE, "", control.MEASURED, within_s=20, check=lambda: None)
                told = generator.finish()
        finally:
            server.shutdown()
            serving.join()
            server.server_close()
        return Driven(pq.read_table(generator.samples).to_pandas(), told)

    return run


def test_in_a_closed_loop_each_user_goes_on_when_it_is_answered(drive: Callable[..., Driven]):
    driven = drive(replace(LOAD, model="closed", rate_rps=0, users=5), lambda _: 0.01)
    measured = driven.measured
    assert not measured["user_was_busy"].any()
    assert set(measured["outcome"]) == {"ok"}
    assert 5 * 50 < len(measured) <= 5 * 100  # a little over 10 ms each
    for _, own in measured.groupby("user"):
        waits_ns = own["due_ns"].to_numpy()[1:] - own["ended_ns"].to_numpy()[:-1]
        assert waits_ns.min() >= 0
        assert np.median(waits_ns) < 2_000_000
    assert measured["due_ns"].max() < driven.told["measured_from_ns"] + 1e9


def test_think_times_are_those_asked_for_and_a_slow_server_slows_the_load(drive: Callable[..., Driven]):
    load = replace(LOAD, model="closed", rate_rps=0, users=10, think_s=0.04, duration_s=2.0)
    measured = drive(load, lambda _: 0.01).measured
    # interactive response time law (Denning and Buzen 1978): N = X (Z + R)
    law_rps = 10 / (0.04 + 0.0105)
    assert abs(len(measured) / 2.0 - law_rps) < 0.15 * law_rps
    thought_s = np.concatenate(
        [
            own["due_ns"].to_numpy()[1:] / 1e9 - own["ended_ns"].to_numpy()[:-1] / 1e9
            for _, own in measured.groupby("user")
        ]
    )
    assert stats.kstest(thought_s, "expon", args=(0, 0.04)).pvalue > 0.001


def test_never_more_than_the_cap_are_in_flight_and_what_falls_due_beyond_it_is_dropped(drive: Callable[..., Driven]):
    driven = drive(replace(LOAD, max_in_flight=3), lambda _: 0.1)
    measured = driven.measured
    dropped = measured[measured["outcome"] == "dropped"]
    sent = measured[measured["outcome"] != "dropped"]
    assert len(dropped) > 20
    assert len(sent) > 15  # three at a time, a tenth of a second each
    changes = np.concatenate([np.stack([sent["started_ns"], np.ones(len(sent))]), np.stack([sent["ended_ns"], -np.ones(len(sent))])], axis=1)  # fmt: skip  # noqa: E501
    assert changes[1][np.lexsort((changes[1], changes[0]))].cumsum().max() == 3
    for due_ns in dropped["due_ns"]:
        in_flight = ((sent["due_ns"] <= due_ns) & (sent["ended_ns"] + 2_000_000 > due_ns)).sum()
        assert in_flight >= 3
    # whatever is sent or dropped, together it is the schedule
    due_s = np.sort((measured["due_ns"] - driven.told["measured_from_ns"]) / 1e9)
    asked = [schedule("poisson", Rate(100), 10, ("1", "measured"), user) for user in range(10)]
    expected = sorted(itertools.chain(*(itertools.takewhile(lambda due: due < 1.0, each) for each in asked)))
    assert due_s == pytest.approx(expected, abs=1e-6)


def test_a_steady_server_is_measured_after_one_round_whatever_it_does_then(drive: Callable[..., Driven]):
    measuring = threading.Event()
    load = replace(LOAD, rate_rps=250, users=20, warm_up_s=0.8, warm_up_max_s=3.0)
    driven = drive(load, lambda since_s: 0.004 * (1 + 8 * since_s * measuring.is_set()), measuring.set)
    assert driven.told["warm_up"]["steady"] is True
    assert driven.told["warm_up"]["rounds"] <= 2
    warm_up = driven.samples[driven.samples["phase"] == "warm-up"]
    assert abs(len(warm_up) - 250 * driven.told["warm_up"]["seconds"]) < 80


def test_a_server_whose_first_second_is_slow_is_warmed_up_until_that_can_be_cut(drive: Callable[..., Driven]):
    load = replace(LOAD, rate_rps=150, users=20, warm_up_s=1.6, warm_up_max_s=6.4)
    driven = drive(load, lambda since_s: 0.06 if since_s < 1.0 else 0.002)
    told = driven.told["warm_up"]
    assert told["steady"] is True
    assert told["rounds"] >= 2
    assert told["truncated"] >= 130
    assert driven.measured["ended_ns"].sub(driven.measured["started_ns"]).quantile(0.9) < 10_000_000


def test_a_server_that_gets_slower_and_slower_is_never_steady(drive: Callable[..., Driven]):
    load = replace(LOAD, rate_rps=150, users=40, warm_up_s=0.7, warm_up_max_s=2.1, duration_s=0.2)
    told = drive(load, lambda since_s: min(0.5, 0.002 * np.exp(3 * since_s))).told["warm_up"]
    assert told == {"seconds": pytest.approx(2.1), "rounds": 3, "steady": False, "truncated": told["truncated"]}


def test_without_a_warm_up_nothing_is_judged(drive: Callable[..., Driven]):
    driven = drive(replace(LOAD, warm_up_max_s=3.0, duration_s=0.3), lambda _: 0.001)
    assert driven.told["warm_up"] == {"seconds": 0, "rounds": 0, "steady": None, "truncated": 0}
    assert set(driven.samples["phase"]) == {"login", "measured"}
    assert json.dumps(driven.told)


@pytest.mark.parametrize(("ramp_to_rps", "steps"), [(200.0, 0), (200.0, 4)], ids=["ramp", "steps"])
def test_what_was_sent_climbs_as_the_rate_does(ramp_to_rps: float, steps: int, drive: Callable[..., Driven]):
    load = replace(LOAD, rate_rps=40, users=20, ramp_to_rps=ramp_to_rps, steps=steps, duration_s=3.0)
    driven = drive(load, lambda _: 0.001)
    rate = Rate(40, ramp_to_rps, 3.0, steps)
    started_s = (driven.measured["started_ns"].to_numpy() - driven.told["measured_from_ns"]) / 1e9
    expected = rate.cumulative(3.0)
    assert abs(len(started_s) - expected) < 4 * np.sqrt(expected)
    # given their number, arrivals are spread as the cumulative rate is
    assert stats.kstest([rate.cumulative(each) / expected for each in started_s], "uniform").pvalue > 0.001
    counts = np.histogram(started_s, bins=[0, 0.75, 1.5, 2.25, 3.1])[0]
    shares = np.array([piece.requests for piece in rate.split()]) / expected
    assert stats.chisquare(counts, shares * counts.sum()).pvalue > 0.001
    # and not as a constant rate would be
    assert stats.kstest(started_s / 3.0, "uniform").pvalue < 0.001
