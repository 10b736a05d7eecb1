"""`make bench-workers`, as small as it gets: real workers against the real instant server."""

import json
from pathlib import Path

import pytest

from loadtests import bench_workers
from loadtests.bench_workers import Window

pytestmark = pytest.mark.bench


def test_the_smallest_run_has_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "bench-workers.json"
    small = ["--counts", "2", "--rounds", "1", "--seconds", "0.2", "--users", "4", "--out", str(out)]
    assert bench_workers.main(small) == 0
    record = json.loads(out.read_text())
    figures, window = record["workers"]["2"], record["rounds"][0]["2"]
    for name in ("rps", "cpu_us_per_request", "computed_per_s"):
        assert figures[name]["value"] == pytest.approx(window[name])
        assert figures[name]["over_2"]["value"] == 1
    assert window["requests"] > 0
    assert window["rps"] == pytest.approx(window["requests"] / 0.2)
    assert window["cpu_us_per_request"] > 10
    assert "the machine's cores" in figures["limited_by"]
    assert "\n      2 " in capsys.readouterr().out


def test_ratios_are_of_the_same_round():
    def window(rps: float, cpu_us: float, computed: float) -> Window:
        return Window(rps, 1, cpu_us, 0.98, 1.2, 0.2, 0.7, 0.6, computed)

    rounds = [{1: window(100, 10, 5), 2: window(190, 11, 10)}, {1: window(50, 20, 5), 2: window(95, 22, 10)}]
    found = bench_workers.figures(2, 1, rounds)
    assert found["rps"]["over_1"]["value"] == pytest.approx(1.9)
    assert found["rps"]["over_1"]["high"] - found["rps"]["over_1"]["low"] < 1e-9  # both rounds agree
    assert found["cpu_us_per_request"]["over_1"]["value"] == pytest.approx(1.1)
    assert found["computed_per_s"]["over_1"]["value"] == pytest.approx(2)
    assert found["limited_by"].startswith("the core of a worker (")


def test_fewer_users_than_workers_are_refused(capsys: pytest.CaptureFixture[str]):
    assert bench_workers.main(["--counts", "1,4", "--users", "2"]) == 2
    assert "users as many as workers" in capsys.readouterr().err
