"""`make up` and `make down`, as typed."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest


def _up(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "topology.up", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path):
    yield tmp_path
    assert _up(tmp_path, "down").returncode == 0


def test_up_prints_commands_that_work_and_down_ends_it(folder: Path):
    out = _up(folder, "up", "--scheme", "session", "--store", "redis", "--replicas", "3")
    assert out.returncode == 0, out.stderr
    state = json.loads((folder / ".up" / "state.json").read_text())
    assert state["url"] in out.stdout
    assert len(state["replicas"]) == 3
    login, then = (out.stdout.split(word)[1].split("\nthen:")[0].split("\nend it")[0] for word in ("log in:", "then:"))
    shown = subprocess.run(f"{login}\n{then}", shell=True, cwd=folder, capture_output=True, text=True, check=True)  # noqa: S602
    assert shown.stdout.count('"user":"user-00000"') == 2

    again = _up(folder, "up")
    assert again.returncode == 1
    assert (
        again.stderr
        == f"authscale: already up at {state['url']} (session-redis-3r-roundrobin.tls-on); end it with: make down\n"
    )

    owner = psutil.Process(state["pid"])
    family = [owner, *owner.children(recursive=True)]
    assert len(family) >= 9  # the owner, its reaper, store, balancer, three times two
    assert _up(folder, "down").stdout == "down\n"
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(state["url"], timeout=2)
    assert _up(folder, "down").stdout == "nothing is up\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scheme", "sesion"), "scheme 'sesion' is unknown (did you mean 'session'?)"),
        (("--scheme", "token", "--store", "redis"), "scheme token uses no store"),
        (("--replicas", "0"), "replicas must lie between 1 and 64, not 0"),
    ],
)
def test_what_cannot_be_is_one_line(folder: Path, arguments: tuple[str, ...], said: str):
    out = _up(folder, "up", *arguments)
    assert out.returncode == 2
    assert out.stderr.startswith(f"authscale: {said}")
    assert out.stderr.count("\n") == 1
    assert out.stdout == ""
