"""Real log-outs and real sessions, few: what holds of a scheme and a store whatever the machine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.bench


def _run(bench: Any, *arguments: str) -> dict[str, Any]:
    """Run and report; returns the run's summary."""
    done = bench.run(*arguments, "--blocks", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = (bench.results / "latest").resolve()
    subprocess.run([sys.executable, "-m", "analysis.report", "--run", str(folder)], check=True, capture_output=True)
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    assert all(json.loads(path.read_text())["valid"] for path in folder.glob("trials/*/*/trial.json"))
    return summary


def _of(cells: list[dict[str, Any]], scheme: str, store: str, **also: str) -> dict[str, Any]:
    (found,) = [
        each
        for each in cells
        if (each["scheme"], each["store"]) == (scheme, store)
        and all(each[name] == value for name, value in also.items())
    ]
    return found


def test_a_session_ends_with_its_log_out_and_a_token_with_its_life(bench: Any):
    few = ("--log-outs", "16", "--log-outs-within-s", "1", "--observe-s", "2.5", "--replicas", "2")
    short = ("--token-ttl-s", "1", "--access-ttl-s", "1", "--revocation", "none", "--verify-cache", "off")
    schemes = ("--schemes", "session,token,hybrid", "--stores", "redis,memory")
    summary = _run(bench, "--experiment", "revocation", *few, *short, *schemes)
    cells = summary["sections"]["revocation"]["cells"]
    for way in ("logout", "logout-all"):
        session = _of(cells, "session", "redis", way=way)
        assert session["known_by"] == [2, 2]
        assert session["still_accepted"]["count"] == session["unended"] == 0
        assert session["max_ms"] < 1000
    for scheme, store in (("token", "none"), ("hybrid", "redis")):
        token = _of(cells, scheme, store, way="logout")
        assert token["ends_with_its_life"]
        assert token["still_accepted"]["count"] == token["log_outs"] > 1
        assert -50 < token["over_remaining_ms"]["min"] <= token["over_remaining_ms"]["max"] < 1000
        assert token["max_ms"] < 2000  # a life of one second, and what asking may take on a busy machine
    everywhere = _of(cells, "token", "none", way="logout-all")
    assert (everywhere["supported"], everywhere["status"]) == (False, 404)
    # another replica's own memory is not reached
    assert _of(cells, "session", "memory", way="logout")["known_by"] == [1, 1]
    assert _of(cells, "session", "memory", way="logout-all")["unended"] > 0


def test_sessions_occupy_what_they_are_stored_in_and_expire(bench: Any):
    few = ("--counts", "40,200", "--lookups", "20", "--idle-s", "1", "--expiring", "30")
    summary = _run(bench, "--experiment", "sessions", *few, "--stores", "redis,file", "--accounts", "200")
    cells, expiry = (summary["sections"]["memory"][name] for name in ("cells", "expiry"))
    redis, files, token = _of(cells, "session", "redis"), _of(cells, "session", "file"), _of(cells, "token", "none")
    assert 200 < redis["per_session"]["store_bytes"]["value"] < 2000
    assert files["per_session"]["files"]["value"] == 2  # a record, and a place in the index of its user
    assert files["per_session"]["disk_bytes"]["value"] > 100
    assert "store_bytes" not in token["per_session"]
    assert "disk_bytes" not in token["per_session"]
    assert [each["refused"] for each in cells] == [0, 0, 0]
    assert {each["store"]: each["refused"]["count"] for each in expiry} == {"redis": 30, "file": 30}
    (kept,) = [each["records"] for each in expiry if each["store"] == "redis"]
    assert kept["signed_in"] - kept["without_a_request"] == 30


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--experiment", "sessions", "--counts", "10,five"), "counts: '10,five' is not a list of numbers"),
        (("--experiment", "sessions", "--counts", "100,10"), "each larger than the last"),
        (("--experiment", "revocation", "--others-on", "rediss"), "others_on: rediss is no store; there are: memory"),
        (("--experiment", "revocation", "--observe-s", "0"), "observe_s: '0' is not a number above 0"),
        (("--experiment", "quick", "--counts", "1,2"), "counts does nothing here"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_anything_starts(bench: Any, arguments: tuple[str, ...], told: str):
    process = bench.start_plain(*arguments)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert told in err
    assert err.count("\n") == 1
    assert not Path(bench.results).exists(), out
