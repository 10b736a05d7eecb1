"""Containers for real, where an engine answers that has the images or can fetch them; elsewhere this says why not."""

import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.load import load_run, read_samples
from servers.users import PASSWORD, user_name
from topology.binaries import BinaryError
from topology.compose import engine
from topology.ports import free_ports
from topology.process import ComponentError

pytestmark = pytest.mark.bench
ROOT = Path(__file__).parents[2]
ACCOUNTS = 200
BASE = "python:3.13-slim"


@pytest.fixture(scope="module", autouse=True)
def docker() -> engine.Engine:
    engine.find.cache_clear()
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    try:
        found = engine.find()
        for image in (BASE, services["balancer"]["image"], services["valkey"]["image"]):
            try:
                found.inspect(image)
            except ComponentError:
                found.pull(image)
    except (BinaryError, ComponentError) as error:
        pytest.skip(" ".join(str(error).split()))
    return found


def _left(docker: engine.Engine) -> set[str]:
    """Every container, network and volume of a project of ours that is still there."""
    asked = (("ps", "--all", "--format={{.Names}}"), ("network", "ls", "--format={{.Name}}"))
    names = [name for each in (*asked, ("volume", "ls", "--format={{.Name}}")) for name in docker.docker(*each).split()]
    return {name for name in names if re.match(r"authscale-(test-)?[0-9a-f]{8}[-_]", name)}


@pytest.fixture
def unchanged(docker: engine.Engine) -> Iterator[None]:
    """Nothing of what a test starts is left; what others run is none of ours."""
    before = _left(docker)
    yield
    assert not _left(docker) - before


@pytest.fixture
def by_hand(docker: engine.Engine, unchanged: None) -> Iterator[tuple[engine.Project, int]]:
    """The files as they are, four replicas; what a reader of docker-compose.yml types."""
    del unchanged
    (port,) = free_ports(1)
    settings = {"PORT": str(port), "ACCOUNTS": str(ACCOUNTS)}
    project = engine.Project(docker, f"authscale-test-{secrets.token_hex(4)}", None, settings)
    try:
        project.build()
        project._do(("up", "-d", "--scale", "replica=4"), 300)
        yield project, port
    finally:
        project.end()


def _ask(port: int, method: str, path: str, cookie: str = "", body: str | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Cookie": cookie, "Content-Type": "application/json"}
    connection.request(method, path, body, {name: value for name, value in headers.items() if value})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_four_replicas_share_a_session_and_answer_in_turn(
    by_hand: tuple[engine.Project, int], docker: engine.Engine, until: Any
) -> None:
    project, port = by_hand
    # each asked twice: once all four are found, none is left out
    until(lambda: len({_replica(_ask(port, "GET", "/healthz")) for _ in range(8)}) == 4)
    body = json.dumps({"username": user_name(7, ACCOUNTS), "password": PASSWORD})
    cookie = _ask(port, "POST", "/login", body=body).headers["Set-Cookie"].split(";")[0]
    answers = [_ask(port, "GET", "/me", cookie) for _ in range(8)]
    assert [answer.status for answer in answers] == [200] * 8
    assert Counter(map(_replica, answers)) == {f"replica-{number}": 2 for number in range(4)}
    for replica in project.containers("replica"):
        assert docker.docker("exec", replica["Id"], "id", "-u").strip() == "10001"
        assert not any(replica["NetworkSettings"]["Ports"].values()), "a replica's port is published"
        assert not [line for line in replica["Config"]["Env"] if line.startswith(("SECRET=", "STORE_URL="))]
    (balancer,) = project.containers("balancer")
    bound = [each for ports in balancer["NetworkSettings"]["Ports"].values() for each in ports or ()]
    assert [each["HostIp"] for each in bound] == ["127.0.0.1"]


def _replica(answer: http.client.HTTPResponse) -> str:
    timing = answer.headers.get("Server-Timing", "")
    return timing.split('"')[1] if '"' in timing else ""


SMALL = [
    *("--schemes", "session,token", "--stores", "redis", "--replicas", "1,4", "--blocks", "1", "--duration", "1"),
    *("--warmup", "0.3", "--rate", "120", "--users", "12", "--accounts", str(ACCOUNTS), "--replica-cpus", "0.4"),
]


def _run(results: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "loadtests.run", "--results", str(results), *SMALL, *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_a_run_in_containers_counts_what_a_local_run_counts(tmp_path: Path, unchanged: None) -> None:
    del unchanged
    runs = {}
    for launcher in ("local", "compose"):
        process = _run(tmp_path / launcher, "--launcher", launcher)
        out, err = process.communicate(timeout=400)
        assert process.returncode == 0, out + err
        runs[launcher] = load_run((tmp_path / launcher / "latest").resolve())
    local, ours = runs["local"].document, runs["compose"].document
    assert ours["launcher"] == "compose"
    assert local["launcher"] == "local"
    assert [cell["id"] for cell in ours["cells"]] == [cell["id"] for cell in local["cells"]]
    assert set(ours["software"]["images"]) == {"replica", "balancer", "valkey"}
    assert _counted(runs["compose"]) == _counted(runs["local"])
    for trial in runs["compose"].trials:
        requests = trial.balancer["requests"]
        assert len(requests) == int(trial.cell.split("-")[2].removesuffix("r"))
        assert max(requests.values()) - min(requests.values()) <= 1, "not in turn"
        replicas = [part for name, part in trial.components.items() if name.startswith("replica-")]
        assert all(part["cpu_ns"] > 0 and part["rss_bytes"] > 0 for part in replicas)
        assert all(part["quota_cpus"] == 0.4 and part["periods"] > 0 for part in replicas), "no quota held"


def _counted(run: Any) -> dict[str, Any]:
    """What noise spares, of each trial: commands for each request, and octets of the credential where one was sent."""
    found = {}
    for trial in run.trials:
        asked = {name: count / trial.sent for name, count in (trial.store or {"commands": {}})["commands"].items()}
        samples = read_samples(trial).to_pandas()
        measured = samples[samples["phase"] == "measured"]
        found[trial.cell] = (asked, set(measured["credential_bytes"]) - {0})
    return found


@pytest.fixture
def heeding() -> Iterator[None]:
    """Ctrl-C as a terminal's programs have it: a shell's background jobs, such as pytest may be, ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_is_ended(
    number: signal.Signals, docker: engine.Engine, tmp_path: Path, until: Any
) -> None:
    before = _left(docker)

    def left() -> set[str]:
        return _left(docker) - before

    process = _run(tmp_path, "--launcher", "compose", "--blocks", "9")
    try:
        until(lambda: any((tmp_path / "latest").glob("trials/1/*/trial.json")), 200)
        until(lambda: any("replica" in name for name in left()), 60)
    finally:
        os.kill(process.pid, number)
    out, err = process.communicate(timeout=240)
    assert process.returncode == (130 if number == signal.SIGINT else -number), out + err
    assert "Traceback" not in err
    until(lambda: not left(), 120)
    assert any((tmp_path / "latest").glob("trials/1/*/trial.json")), "what was measured is lost"
