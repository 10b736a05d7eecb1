"""`make bench-auth`, small: the contestants pass the harness's verification, and the figures come out."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KNOBS = {"BLOCKS": "1", "DURATION": "0.5", "WARMUP": "0.2", "RATE": "200", "USERS": "10", "ACCOUNTS": "50"}
SCHEMES = ("control", "session", "flask-session", "token", "flask-jwt-extended")


@pytest.mark.bench
def test_bench_auth_prints_and_writes_both_ratios(tmp_path: Path):
    done = subprocess.run(
        ["make", "bench-auth", f"RESULTS={tmp_path}", *(f"{name}={value}" for name, value in KNOBS.items())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verified = {}
    for path in tmp_path.glob("latest/trials/*/*/trial.json"):
        trial = json.loads(path.read_text())
        assert set(trial["outcomes"]) == {"ok"}
        verified[trial["cell"].partition("-1r")[0]] = trial["verified"]["store_commands_per_lookup"]
    assert verified["flask-session-redis"] == 2
    assert verified["session-redis"] == 1
    assert verified["flask-jwt-extended-none"] is None
    written = json.loads((tmp_path / "bench-auth.json").read_text())
    for name in ("session_vs_flask_session", "token_vs_flask_jwt_extended"):
        # a hundred requests under the load of a test suite give no figure worth a look, but they give one
        assert {"value", "low", "high"} <= written[name].keys()
        assert written[name]["value"] is not None
    assert written["replica_cpu_us_per_request"].keys() == set(SCHEMES)
    for scheme, parts in written["breakdown"]["schemes"].items():
        assert parts["whole_us"] == pytest.approx(sum(parts["parts_us"].values()) + parts["remainder_us"]), scheme
    assert "session / flask-session" in done.stdout
    assert "crypto: HMAC-SHA256" in done.stdout
    assert max(map(len, done.stdout[done.stdout.index("replica CPU per request") :].splitlines()[:-1])) <= 80
