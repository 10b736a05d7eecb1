"""`make bench-workers`, as small as it gets: real workers against the real instant server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench
ROOT = Path(__file__).parents[2]


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "loadtests.bench_workers", *arguments]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_the_smallest_run_has_every_figure(tmp_path: Path):
    out = tmp_path / "bench-workers.json"
    done = _bench("--counts", "1,2", "--rounds", "1", "--seconds", "0.4", "--users", "4", "--out", str(out))
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert record["workers"]["1"]["over_1"]["value"] == 1
    assert record["workers"]["2"]["over_1"]["value"] > 0
    (windows,) = record["rounds"]
    for count in ("1", "2"):
        assert windows[count]["requests"] > 0
        assert windows[count]["rps"] == pytest.approx(windows[count]["requests"] / 0.4)
        assert "the machine's cores" in record["workers"][count]["limited_by"]
        assert f"\n{count:>7} " in done.stdout


def test_fewer_users_than_workers_are_refused():
    done = _bench("--counts", "1,4", "--users", "2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "users as many as workers" in done.stderr
