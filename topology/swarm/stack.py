"""One stack: deployed, waited for, updated while it serves, and taken away with its secrets and volumes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from topology.process import ComponentError
from topology.swarm.engine import ROOT, docker

FILES = ("docker-compose.yml", "deploy/swarm.yml")
_START_S, _UPDATE_S, _END_S = 180.0, 600.0, 90.0
_POLL_S = 0.5


@dataclass(frozen=True)
class Update:
    """A rolling update.

    It began and ended at these ns of time.monotonic_ns; `state` is how, as the swarm calls it; the tasks are those that
    ran before and after it.
    """

    began_ns: int
    ended_ns: int
    state: str
    before: frozenset[str]
    after: frozenset[str]

    @property
    def replaced(self) -> int:
        """How many of the tasks that serve now are new."""
        return len(self.after - self.before)


class Stack:
    """A context manager that leaves nothing behind."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self.name = name
        self._environment = {**environment, "SECRETS": name}

    def __enter__(self) -> Self:
        try:
            self._make_secrets()
            files = [word for file in FILES for word in ("-c", file)]
            # by name as they are here: no registry is asked
            docker("stack", "deploy", "--resolve-image", "never", *files, self.name, environment=self._environment)
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def wait_for(self, service: str, count: int) -> None:
        """Return once so many tasks run, healthy where they have a health check. Raises ComponentError."""
        self._until(
            lambda: len(self.tasks(service)) == count, _START_S, f"{service} did not reach {count} replicas", service
        )

    def tasks(self, service: str) -> frozenset[str]:
        """The ids of those that run. Raises ComponentError."""
        lines = docker(
            "service", "ps", "--no-trunc", "--filter", "desired-state=running", "--format",
            "{{.ID}} {{.CurrentState}}", self._service(service),
        ).splitlines()  # fmt: skip
        return frozenset(line.split()[0] for line in lines if line.split()[1] == "Running")

    def update(self, service: str) -> Update:
        """Replace every task of a service, as its update_config says. Raises ComponentError when it does not end."""
        before, began_ns = self.tasks(service), time.monotonic_ns()
        docker("service", "update", "--force", "--detach", "--quiet", self._service(service))

        def state() -> str:
            told = json.loads(
                docker("service", "inspect", "--format", "{{json .UpdateStatus}}", self._service(service))
            )
            return str(told["State"]) if told else ""

        self._until(
            lambda: state() not in ("", "updating", "rollback_started"), _UPDATE_S, "the update did not end", service
        )
        return Update(began_ns, time.monotonic_ns(), state(), before, self.tasks(service))

    def container(self, service: str) -> dict[str, Any]:
        """Everything the engine knows of a container of the service. Raises ComponentError."""
        label = f"label=com.docker.swarm.service.name={self._service(service)}"
        ids = docker("ps", "--quiet", "--filter", label).split()
        if not ids:
            raise ComponentError(f"{service} has no container")
        found: list[dict[str, Any]] = json.loads(docker("inspect", ids[0]))
        return found[0]

    def remove(self) -> None:
        """Take away the stack, its secrets and its volumes, and wait until they are gone. Raises ComponentError."""
        docker("stack", "rm", self.name)
        mine = f"label=com.docker.stack.namespace={self.name}"
        self._until(
            lambda: (
                not docker("ps", "--all", "--quiet", "--filter", mine).split()
                and not docker("network", "ls", "--quiet", "--filter", mine).split()
            ),
            _END_S,
            "the stack did not go",
        )
        secrets = docker("secret", "ls", "--format", "{{.Name}}").split()
        for kind, names in (
            ("secret", [name for name in secrets if name.startswith(f"{self.name}-")]),
            ("volume", docker("volume", "ls", "--quiet", "--filter", mine).split()),
        ):
            if names:
                docker(kind, "rm", *names)

    def _make_secrets(self) -> None:
        run = [str(ROOT / "deploy/make-secrets"), "swarm", self.name]
        environment = {"PYTHON": sys.executable, **self._environment}
        done = subprocess.run(run, capture_output=True, text=True, check=False, env={**os.environ, **environment})
        if done.returncode != 0:
            raise ComponentError(f"deploy/make-secrets failed:\n  {done.stderr.strip()}")

    def _service(self, service: str) -> str:
        return f"{self.name}_{service}"

    def _until(self, met: Callable[[], bool], within_s: float, otherwise: str, service: str | None = None) -> None:
        deadline = time.monotonic() + within_s
        while not met():
            if time.monotonic() > deadline:
                raise ComponentError(f"{otherwise} within {within_s:g} s{self._told(service) if service else ''}")
            time.sleep(_POLL_S)

    def _told(self, service: str) -> str:
        shown = "{{.Name}}: {{.CurrentState}} {{.Error}}"
        lines = docker("service", "ps", "--no-trunc", "--format", shown, self._service(service)).splitlines()
        return "; its tasks:\n  " + "\n  ".join(lines[:8])
