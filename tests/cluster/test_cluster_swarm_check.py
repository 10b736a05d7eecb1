"""`make swarm-check`: that it finds what was lost, and one real rolling update where there is an engine for it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loadtests import samples, swarm_check
from loadtests.samples import FAILED, LOGIN, MEASURED, OK, OUTDATED, REFUSED, TIMEOUT
from topology.swarm.stack import Update

ROOT = Path(__file__).parents[2]
REPLICAS = 2
S = 1_000_000_000
UPDATE = Update(10 * S, 20 * S, "completed", frozenset("ab"), frozenset("cd"))


def made(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Samples with these rows, one second each; what a row does not say is 0, or right."""
    usual = {"phase": MEASURED, "outcome": OK, "replica": "replica-1", "operation": "me"}
    columns = {}
    for name, kind in zip(samples.SCHEMA.names, samples.SCHEMA.types, strict=True):
        columns[name] = pa.array([row.get(name, usual.get(name, 0)) for row in rows]).cast(kind)
    samples.write(path, [pa.table(columns, schema=samples.SCHEMA)])
    return path


def rows(*planted: dict[str, Any]) -> list[dict[str, Any]]:
    """Two users who sign in and are answered by two replicas for 30 s, and the planted ones."""
    login = [{"phase": LOGIN, "user": user, "started_ns": 0, "ended_ns": S} for user in (0, 1)]
    reads = [
        {
            "user": second % 2,
            "replica": f"replica-{1 + second % 2}",
            "started_ns": second * S,
            "ended_ns": second * S + S,
        }
        for second in range(1, 30)
    ]
    return [*login, *reads, *planted]


def test_nothing_lost_is_no_reason(tmp_path: Path) -> None:
    found = swarm_check.read(made(tmp_path / "s.parquet", rows()), "token", REPLICAS, UPDATE)
    assert found.reasons == []
    assert (found.sent, found.during_update, found.lost, found.answered_by, found.update_s) == (31, 10, 0, 2, 10.0)
    assert "none lost; of the update's requests at most 30.00% (95 %)" in swarm_check.table([found])


@pytest.mark.parametrize(
    ("planted", "field"),
    [
        ({"outcome": FAILED}, "failed"),
        ({"outcome": TIMEOUT}, "failed"),
        ({"outcome": "error"}, "failed"),
        ({"outcome": REFUSED}, "refused"),
        ({"outcome": OUTDATED}, "outdated"),
        ({"outcome": FAILED, "phase": LOGIN}, "failed_sign_ins"),
    ],
)
def test_one_request_that_was_lost_is_found(planted: dict[str, Any], field: str, tmp_path: Path) -> None:
    row = {"user": 7, "started_ns": 12 * S, "ended_ns": 13 * S, **planted}
    found = swarm_check.read(made(tmp_path / "s.parquet", rows(row)), "token", REPLICAS, UPDATE)
    assert (found.lost, getattr(found, field)) == (1, 1)
    assert found.users_signed_out == int(field == "refused")
    assert found.reasons == ["1 of 32 requests were lost"]
    assert "FAILED" in swarm_check.table([found])


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        (replace(UPDATE, began_ns=40 * S, ended_ns=50 * S), "0 requests fell in the update"),
        (replace(UPDATE, after=frozenset("bc")), "1 of 2 replicas were replaced"),
        (replace(UPDATE, state="rollback_completed"), "the update ended as rollback_completed"),
    ],
)
def test_an_update_that_was_none_shows_nothing(update: Update, reason: str, tmp_path: Path) -> None:
    found = swarm_check.read(made(tmp_path / "s.parquet", rows()), "token", REPLICAS, update)
    assert found.reasons == [reason]


def test_a_replica_that_never_answered_is_no_replica(tmp_path: Path) -> None:
    found = swarm_check.read(made(tmp_path / "s.parquet", rows()), "token", 4, UPDATE)
    assert "2 of 4 replicas answered" in found.reasons


def test_without_an_engine_it_says_in_one_line_what_to_do(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "DOCKER_HOST": "unix:///nowhere"}
    for there, says in ((False, "there is no docker on PATH"), (True, "no container engine answers")):
        if there:
            (tmp_path / "docker").write_text("#!/bin/sh\necho 'Cannot connect' >&2\nexit 1\n")
            (tmp_path / "docker").chmod(0o755)
        argv = [sys.executable, "-m", "loadtests.swarm_check"]
        done = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith(f"authscale: {says}")
        assert "install Docker Engine" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.bench
def test_a_rolling_update_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    _skip_without_engine()
    out = tmp_path / "out.json"
    argv = ["--cases", "session", "--replicas", "2", "--rate", "100", "--users", "20", "--out", str(out)]
    network = os.environ.get("BUILD_NETWORK", "default")
    assert swarm_check.main([*argv, "--network", network]) == 0
    (found,) = json.loads(out.read_text())["cases"]
    assert (found["lost"], found["replaced"], found["answered_by"]) == (0, 2, 2)
    assert found["during_update"] > 100
    for kind in (["container", "--all"], ["network"], ["volume"], ["secret"]):
        argv = ["docker", kind[0], "ls", *kind[1:]]
        listed = subprocess.run(argv, capture_output=True, text=True, check=False)  # no secrets outside a swarm
        assert "authscale-check-" not in listed.stdout


def _skip_without_engine() -> None:
    if shutil.which("docker") is None:
        pytest.skip("there is no docker on PATH")
    ask = ["docker", "info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.Nodes}}"]
    done = subprocess.run(ask, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("no container engine answers")
    if done.stdout.split()[0] != "inactive" and done.stdout.split() != ["active", "1"]:
        pytest.skip(f"this engine is in a swarm of several nodes, or cannot steer its own: {done.stdout.strip()}")
    base = subprocess.run(["docker", "image", "inspect", "haproxy:3.2"], capture_output=True, check=False)
    if base.returncode != 0:
        pytest.skip("the image haproxy:3.2 is not here, and a test fetches none")
