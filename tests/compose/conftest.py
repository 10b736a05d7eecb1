"""What the tests of the container files share: the tool, and the files as the tool reads them."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", params=["docker compose", "docker-compose"])
def tool(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The argv of Compose; each that is here."""
    argv: tuple[str, ...] = tuple(request.param.split())
    asked = [*argv, "version"]
    if shutil.which(argv[0]) is None or subprocess.run(asked, capture_output=True, check=False).returncode != 0:
        # continuous integration installs the older tool itself
        assert request.param != "docker-compose" or not os.environ.get("AUTHSCALE_CI"), f"{request.param} is not here"
        pytest.skip(f"{request.param} is not here")
    return argv


Configure = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def configured(tool: tuple[str, ...]) -> Configure:
    """Reads the files as Compose does, with every profile: `configured(*more files, NAME=value)`."""

    def read(*more: Path, **environment: str) -> dict[str, Any]:
        files = [ROOT / "docker-compose.yml", ROOT / "docker-compose.override.yml", *more]
        argv = [*tool, "-p", "x", *(word for file in files for word in ("-f", str(file)))]
        # no variable of the caller's shell may stand in for one of the file's
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_CONFIG") if name in os.environ}
        done = subprocess.run(
            [*argv, "--profile", "postgres", "--profile", "memcached", "config"],
            env=kept | environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = yaml.safe_load(done.stdout)
        return document

    return read


@pytest.fixture(scope="session")
def files(configured: Configure) -> dict[str, Any]:
    """docker-compose.yml with docker-compose.override.yml, as `docker compose up` reads them."""
    return configured()


def published(service: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Address, port and port in the container, however the tool writes them; no address is every one."""
    found = []
    for port in service.get("ports", []):
        if isinstance(port, str):
            *outside, inside = port.removesuffix("/tcp").split(":")
            found.append((outside[0] if len(outside) > 1 else "", outside[-1] if outside else "", int(inside)))
        else:
            found.append((port.get("host_ip", ""), port.get("published", ""), int(port["target"])))
    return found


@pytest.fixture(scope="session")
def ports() -> Callable[[dict[str, Any]], list[tuple[str, str, int]]]:
    return published


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits until something is so; an answer that does not come yet is a no."""

    def wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                if condition():
                    return
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.02)  # polls a condition, up to a deadline

    return wait
