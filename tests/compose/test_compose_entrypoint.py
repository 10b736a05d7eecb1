"""deploy/entrypoint.sh: what a container of the image finds out by itself before it becomes what it was told to run."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

ENTRYPOINT = Path(__file__).parents[2] / "deploy/entrypoint.sh"


def _start(argv: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["sh", str(ENTRYPOINT), *argv], env={"PATH": os.environ["PATH"], "HOSTNAME": "c0ffee", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _environment(**environment: str) -> dict[str, str]:
    out, err = _start(["env"], **environment).communicate(timeout=10)
    assert not err
    return dict(line.split("=", 1) for line in out.splitlines())


def test_a_replica_is_named_after_its_container_unless_it_has_a_name() -> None:
    assert _environment(AUTH_SCHEME="token", STORE="memory")["REPLICA_NAME"] == "c0ffee"
    assert _environment(AUTH_SCHEME="token", STORE="memory", REPLICA_NAME="replica-3")["REPLICA_NAME"] == "replica-3"


def test_what_is_no_replica_is_left_alone() -> None:
    assert not {"REPLICA_NAME", "STORE_URL"} & _environment().keys()


@pytest.mark.parametrize(
    ("store", "url"),
    [
        ("redis", "redis://valkey:6379/0"),
        ("memcached", "memcached://memcached:11211"),
        ("memory", "memory://"),
        ("postgres", "postgresql://authscale:s3same@postgres:5432/postgres"),
    ],
)
def test_the_store_is_found_by_its_name(store: str, url: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3same")
    found = _environment(AUTH_SCHEME="session", STORE=store, PASSWORD_FILE=str(tmp_path / "password"))
    assert found["STORE_URL"] == url
    given = _environment(AUTH_SCHEME="session", STORE=store, STORE_URL="redis://elsewhere:1/0")
    assert given["STORE_URL"] == "redis://elsewhere:1/0"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"STORE": "mongo"}, "STORE='mongo' is unknown; there are: redis,"),
        ({"STORE": "postgres"}, "a password in PASSWORD_FILE, and it cannot be read: it is not set"),
        ({"STORE": "postgres", "PASSWORD_FILE": "/nowhere"}, "cannot be read: /nowhere"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(wrong: dict[str, str], said: str) -> None:
    process = _start(["env"], AUTH_SCHEME="session", **wrong)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 2
    assert not out
    assert err.startswith("authscale container: ")
    assert err.count("\n") == 1
    assert said in err


def test_a_replica_that_drains_serves_on_before_it_ends() -> None:
    serve = "trap 'echo told; exit 7' TERM; echo serving; while :; do sleep 0.05; done"
    process = _start(["sh", "-c", serve], DRAIN_SECONDS="1")
    assert process.stdout is not None
    assert process.stdout.readline() == "serving\n"
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (7, "told\n", "")
