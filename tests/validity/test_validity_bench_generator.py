"""`make bench-generator`, as small as it gets: real processes against the real instant server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench
ROOT = Path(__file__).parents[2]


def _bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadtests.bench_generator", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def test_the_smallest_run_has_every_figure(tmp_path: Path):
    out = tmp_path / "made" / "bench-generator.json"
    done = _bench("--rounds", "1", "--seconds", "0.3", "--rate", "200", "--users", "4", "--out", str(out))
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert record["format"] == 1
    headline = ["rps_vs_fasthttpuser", "floor_p50_vs_fasthttpuser", "floor_p50_ms", "floor_p99_ms"]
    assert all(record[name] > 0 for name in headline)
    assert set(headline) <= set(record["intervals"])
    assert record["rps_vs_fasthttpuser"] > 1  # 5 on a quiet machine
    assert record["floor_p50_ms"] <= record["floor_p99_ms"]
    for name in ("lean", "fasthttp", "http"):
        closed, opened = (record["contestants"][name][model] for model in ("closed", "open"))
        assert closed["rps_per_core"]["value"] > closed["rps"]["value"] / 2 > 0  # 2: the clocks of so short a window
        assert opened["p50_ms"]["value"] <= opened["p99_ms"]["value"]
        assert opened["rps"]["value"] == pytest.approx(200, rel=0.5)
        assert opened["lateness_p99_ms"]["value"] >= 0
    assert {each["name"] for each in record["requirements"]} == set(headline[:2])
    assert {"not_installed", "versions", "machine", "plan", "ratios", "parquet_write_us_per_sample"} <= set(record)
    assert {"locust", "gevent", "geventhttpclient", "requests"} <= set(record["versions"]["packages"])
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    for tool in ("wrk", "wrk2"):
        assert (tool in record["contestants"]) != (tool in record["not_installed"])
    assert not list(out.parent.glob("*.tmp"))


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--rounds", "0"], {}, "must be above 0"),
        (["--rounds", "many"], {}, "invalid int value"),
        ([], {"AUTHSCALE_HAPROXY": "/nowhere"}, "AUTHSCALE_HAPROXY=/nowhere is not an executable file"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, environment, said, tmp_path: Path):
    done = _bench(*arguments, "--out", str(tmp_path / "x.json"), **environment)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("authscale: ")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert not list(tmp_path.iterdir())
