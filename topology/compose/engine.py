"""A container engine and the Compose tool that goes with it, asked over their command lines alone.

Compose v2 (`docker compose`) or the older tool (`docker-compose`): whichever is there and new enough.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from topology.binaries import BinaryError
from topology.process import ComponentError

_ROOT = Path(__file__).parents[2]
_INSTALL = (
    "install Docker Engine 20.10 or newer and Compose v2 (or docker-compose 1.29), and see that `docker info` works"
)
_OLDEST_ENGINE, _OLDEST_COMPOSE = (20, 10), (1, 29)
_ASK_S, _DO_S, _FETCH_S = 20, 120, 1800
_END_TRIES, _END_AGAIN_S = 4, 2.0
_LAST_LINES = 8
# in whose virtual machine processes cannot be seen, so that their CPU time cannot be read
_ELSEWHERE = ("Docker Desktop", "OrbStack", "Colima")


@dataclass(frozen=True)
class Engine:
    """An engine that answered: its version, and the argv and version of its Compose tool."""

    version: str
    compose: tuple[str, ...]
    compose_version: str

    def as_dict(self) -> dict[str, str]:
        """For run.json."""
        return {"engine": self.version, "compose": self.compose_version}

    def docker(self, *arguments: str) -> str:
        """What `docker` says to it. Raises ComponentError."""
        return _done(("docker", *arguments), _DO_S)

    def pull(self, image: str) -> None:
        """Fetch an image. Raises ComponentError."""
        _done(("docker", "pull", "--quiet", image), _FETCH_S)

    def logs(self, container: str, *which: str) -> str:
        """What a container wrote to either stream. Raises ComponentError."""
        return _done(("docker", "logs", *which, container), _DO_S, both=True)

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        """Everything the engine knows of these containers or images. Raises ComponentError."""
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *names))
        return found


@functools.cache
def find() -> Engine:
    """The engine of this machine. Raises BinaryError: what is missing or too old, and what to do."""
    if shutil.which("docker") is None:
        raise BinaryError(f"there is no docker on PATH: {_INSTALL}")
    asked, said = _ask(("docker", "info", "--format", "{{.ServerVersion}}|{{.OperatingSystem}}"))
    version, _, system = asked.partition("|")
    if not version:
        raise BinaryError(f"no container engine answers (docker: {said}): start it, or {_INSTALL}")
    if _numbers(version) < _OLDEST_ENGINE:
        raise BinaryError(f"the container engine is version {version}, too old: {_INSTALL}")
    if system in _ELSEWHERE:
        raise BinaryError(
            f"the engine runs in a virtual machine ({system}), where the CPU time of containers cannot be read: "
            "run it on Linux itself, or run `make bench`, which needs no engine"
        )
    return Engine(version, *_compose())


def _compose() -> tuple[tuple[str, ...], str]:
    old = []
    for argv in (("docker", "compose"), ("docker-compose",)):
        version = _ask((*argv, "version", "--short"))[0] if shutil.which(argv[0]) else ""
        if _numbers(version) >= _OLDEST_COMPOSE:
            return argv, version
        old += [f"`{' '.join(argv)}` is version {version}, too old"] if version else []
    found = " and ".join(old) or "neither `docker compose` nor docker-compose is there"
    raise BinaryError(f"{found}: {_INSTALL}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", version)[:2])


class Project:
    """One project of Compose: the repository's own files with `layer` laid over them."""

    def __init__(self, engine: Engine, name: str, layer: Path | None, environment: Mapping[str, str]) -> None:
        self.engine, self.name = engine, name
        files = [_ROOT / "docker-compose.yml", _ROOT / "docker-compose.override.yml", *([layer] if layer else [])]
        named = [word for file in files for word in ("-f", str(file))]
        # every profile: what is started is named, and what is taken away is all of it
        profiles = ("--profile", "postgres", "--profile", "memcached")
        self.argv = (*engine.compose, "-p", name, *named, *profiles)
        self._environment = environment

    def up(self, *arguments: str) -> None:
        """Make and start containers, those named and no others. Raises ComponentError."""
        self._do(("up", "-d", "--no-deps", "--no-build", *arguments), _DO_S)

    def build(self) -> None:
        """Make the image of ours as the files here are now. Raises ComponentError."""
        self._do(("build", "seed"), _FETCH_S)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Everything known of a service's containers, by their number. Raises ComponentError."""
        labels = {"com.docker.compose.project": self.name, "com.docker.compose.service": service}
        asked = [f"--filter=label={name}={value}" for name, value in labels.items()]
        ids = self.engine.docker("ps", "--all", "--quiet", *asked).split()
        found = self.engine.inspect(*ids) if ids else []
        return sorted(found, key=number)

    def wait_done(self, service: str) -> None:
        """Return once the service's one container has ended well. Raises ComponentError."""
        (found,) = self.containers(service)
        status = self.engine.docker("wait", found["Id"]).strip()
        if status != "0":
            said = self.engine.logs(found["Id"], f"--tail={_LAST_LINES}").strip()
            raise ComponentError(f"{service} failed (exit status {status}); its last log lines:\n  {said}")

    def images(self) -> dict[str, str]:
        """The image of each service. Raises ComponentError."""
        document = yaml.safe_load(self._do(("config",), _DO_S))
        return {name: service["image"] for name, service in document["services"].items()}

    def down(self) -> tuple[str, ...]:
        """The argv that takes everything of it away."""
        return (*self.argv, "down", "--volumes", "--remove-orphans", "--timeout", "3")

    def end(self) -> None:
        """Take everything of it away. Raises ComponentError.

        Once more where something is in the way: what the engine was still starting when a Compose was interrupted is
        there a moment after it was listed.
        """
        for tries_left in reversed(range(_END_TRIES)):
            try:
                self._do(self.down()[len(self.argv) :], _DO_S)
            except ComponentError:
                if not tries_left:
                    raise
                time.sleep(_END_AGAIN_S)
            else:
                return

    def _do(self, arguments: Sequence[str], within_s: int) -> str:
        return _done((*self.argv, *arguments), within_s, self._environment)


def number(container: Mapping[str, Any]) -> int:
    """Of a container in its service, from 1."""
    return int(container["Config"]["Labels"]["com.docker.compose.container-number"])


def _ask(argv: tuple[str, ...]) -> tuple[str, str]:
    """What a tool answers, nothing where it fails, and the last line of its complaint."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return "", str(error)
    complaint = done.stderr.strip().splitlines() or ["it says nothing"]
    return (done.stdout.strip() if done.returncode == 0 else ""), complaint[-1]


def _done(
    argv: tuple[str, ...], within_s: int, environment: Mapping[str, str] | None = None, *, both: bool = False
) -> str:
    """What a command says that ends well. Raises ComponentError."""
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_ROOT,
            env={**os.environ, **(environment or {})},
            # a Ctrl-C at the terminal reaches the harness alone, which stops all in order
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise ComponentError(f"{argv[0]} cannot be run: {error}") from error
    with process:
        try:
            out, complaint = process.communicate(timeout=within_s)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ComponentError(f"{_short(argv)} did not end within {within_s} s") from error
            raise
    if process.returncode != 0:
        said = "\n  ".join((out + complaint).strip().splitlines()[-_LAST_LINES:])
        raise ComponentError(f"{_short(argv)} failed; its last lines:\n  {said}")
    return out + complaint if both else out


def _short(argv: tuple[str, ...]) -> str:
    words = [word for word in argv if not word.startswith(("-", "/"))]
    return f"`{' '.join(words[:6])}`"
