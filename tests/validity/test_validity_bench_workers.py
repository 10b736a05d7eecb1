"""`make bench-workers`, as small as it gets: real workers against the real instant server."""

import json
from pathlib import Path

import pytest

from loadtests import bench_workers
from loadtests.bench_workers import Window

pytestmark = pytest.mark.bench


def test_the_smallest_run_has_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "bench-workers.json"
    small = [
        "--clients",
        "lean",
        "--counts",
        "2",
        "--rounds",
        "1",
        "--seconds",
        "0.2",
        "--users",
        "4",
        "--out",
        str(out),
    ]
    assert bench_workers.main(small) == 0
    record = json.loads(out.read_text())
    figures, window = record["clients"]["lean"]["2"], record["rounds"][0]["lean-2"]
    for name in ("rps", "cpu_us_per_request", "computed_per_s"):
        assert figures[name]["value"] == pytest.approx(window[name])
        assert figures[name]["ratio"]["value"] == 1
    assert window["requests"] > 0
    assert window["rps"] == pytest.approx(window["requests"] / 0.2)
    assert window["cpu_us_per_request"] > 10
    assert "the machine's cores" in figures["limited_by"]
    assert "\nlean         2 " in capsys.readouterr().out


def test_ratios_are_of_the_same_round():
    def window(rps: float, cpu_us: float, computed: float) -> Window:
        return Window(rps, 1, cpu_us, 8, 0.98, 0.2, 0.7, 0.6, computed)

    two, one = [window(190, 11, 10), window(95, 22, 10)], [window(100, 10, 5), window(50, 20, 5)]
    found = bench_workers.figures(two, one)
    assert found["rps"]["ratio"]["value"] == pytest.approx(1.9)
    assert found["rps"]["ratio"]["high"] - found["rps"]["ratio"]["low"] < 1e-9  # both rounds agree
    assert found["cpu_us_per_request"]["ratio"]["value"] == pytest.approx(1.1)
    assert found["computed_per_s"]["ratio"]["value"] == pytest.approx(2)
    assert found["limited_by"].startswith("the core of a worker (")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--counts", "1,4", "--users", "2"], "users as many as workers"),
        (["--clients", "lena"], "there is no client lena, but: lean, fasthttp, http"),
    ],
)
def test_what_cannot_be_measured_is_refused(asked: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert bench_workers.main(asked) == 2
    assert said in capsys.readouterr().err
