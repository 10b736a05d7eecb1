"""The compose launcher where there is no engine: what it refuses, and what it says that is missing, before anything."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from loadtests import run
from topology.compose import engine
from topology.compose.container import _folder, _groups
from topology.compose.engine import Engine, Project
from topology.compose.launcher import refuse
from topology.spec import SpecError, Topology

ROOT = Path(__file__).parents[2]
DOCKER_ANSWERS = 'echo "24.0.7|Debian GNU/Linux 12"'


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, for tools that answer as a test wants."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    engine.find.cache_clear()
    yield folder
    engine.find.cache_clear()


def _tool(path: Path, name: str, script: str) -> None:
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


CASES = {
    "no docker": ({}, "there is no docker on PATH: install Docker Engine 20.10 or newer"),
    "no answer": (
        {"docker": 'echo "Client:"; echo "Cannot connect to the Docker daemon" >&2; exit 1'},
        "no container engine answers (docker: Cannot connect to the Docker daemon): start it, or install",
    ),
    "not allowed": (
        {"docker": 'echo "permission denied while trying to connect" >&2; exit 1'},
        "no container engine answers (docker: permission denied while trying to connect): start it",
    ),
    "old engine": (
        {"docker": 'echo "19.03.12|Ubuntu 18.04"'},
        "the container engine is version 19.03.12, too old: install Docker Engine 20.10",
    ),
    "another machine's": (
        {"docker": 'echo "27.1.1|Docker Desktop"'},
        "the engine runs in a virtual machine (Docker Desktop)",
    ),
    "no compose": (
        {"docker": f'[ "$1" = info ] || exit 1; {DOCKER_ANSWERS}'},
        "neither `docker compose` nor docker-compose is there: install",
    ),
    "old compose": (
        {"docker": f'[ "$1" = info ] || exit 1; {DOCKER_ANSWERS}', "docker-compose": "echo 1.25.0"},
        "`docker-compose` is version 1.25.0, too old: install",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_missing_is_told_in_a_line_with_what_to_do(
    case: str, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tools, said = CASES[case]
    for name, script in tools.items():
        _tool(path, name, script)
    assert run.main(["--launcher", "compose", "--results", str(tmp_path / "results")]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"authscale: {said}")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert not (tmp_path / "results").exists(), "a run was begun that cannot be run"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--launcher", "swarm"], "launcher 'swarm' is unknown; there are: local, compose"),
        (["--launcher", "compose", "--stores", "sqlite"], "store sqlite does not run in containers"),
        (["--launcher", "compose", "--policies", "sticky"], "policy sticky does not run in containers"),
        (["--launcher", "compose", "--tls", "on"], "tls on does not run in containers"),
        (["--launcher", "compose", "--stores", "redis", "--store-rtt-ms", "1"], "store_rtt_ms 1 does not run"),
        (["--launcher", "compose", "--stores", "redis", "--persistence", "aof"], "persistence aof does not run"),
        (["--launcher", "compose", "--experiment", "sessions"], "the study sessions does not run in containers, but:"),
    ],
)
def test_what_containers_cannot_do_is_refused_before_an_engine_is_asked(
    arguments: list[str], said: str, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del path  # empty
    assert run.main([*arguments, "--results", str(tmp_path / "results")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("authscale: ")
    assert said in err
    assert err.count("\n") == 1


def test_what_runs_in_containers_is_not_refused() -> None:
    for topology in (
        Topology("control", "none", 1),
        Topology("session", "redis", 4, policy="leastconn"),
        Topology("session", "memory", 4),
        Topology("session", "postgres", 1, options={"replica_cpus": "0.1"}),
        Topology("token", "none", 1, options={"algorithm": "RS256"}),
    ):
        refuse(topology)
    with pytest.raises(SpecError, match=r"session-redis-1r-roundrobin\.tls-on"):
        refuse(Topology("session", "redis", 1, options={"tls": "on"}))


def test_make_passes_the_launcher_and_the_knobs_on() -> None:
    said = subprocess.run(
        ["make", "-n", "compose-bench", "REPLICAS=1,4", "STORES=redis,postgres"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    line = next(line for line in said.splitlines() if "loadtests.run" in line)
    for words in ("--launcher compose", "--replicas '1,4'", "--stores 'redis,postgres'"):
        assert words in line


def test_all_of_a_project_is_taken_away_by_its_name(tmp_path: Path) -> None:
    project = Project(Engine("24.0", ("docker", "compose"), "2.26"), "authscale-1", tmp_path / "layer.json", {})
    down = project.down()
    assert down[:4] == ("docker", "compose", "-p", "authscale-1")
    files = [Path(down[place + 1]) for place, word in enumerate(down) if word == "-f"]
    assert files == [ROOT / "docker-compose.yml", ROOT / "docker-compose.override.yml", tmp_path / "layer.json"]
    assert {"--volumes", "--remove-orphans"} < set(down[down.index("down") :])
    # of a profile that is not named nothing would be taken away
    named = {down[place + 1] for place, word in enumerate(down) if word == "--profile"}
    assert named == {"postgres", "memcached"}


def test_a_container_is_known_by_its_control_group() -> None:
    with pytest.raises(OSError, match=f"process {os.getpid()} is not of container 0123456789abcdef"):
        _groups(os.getpid(), "0123456789abcdef")


@pytest.mark.parametrize(
    ("groups", "folder"),
    [
        ({"cpuset": "/docker/1", "cpu,cpuacct": "/docker/2", "": "/"}, "/sys/fs/cgroup/cpu/docker/2"),
        ({"": "/system.slice/docker-1.scope"}, "/sys/fs/cgroup/system.slice/docker-1.scope"),
    ],
    ids=["version 1", "version 2"],
)
def test_where_the_kernel_counts_stops(groups: dict[str, Any], folder: str) -> None:
    assert _folder(groups) == Path(folder)
