"""The container engine of this machine as a swarm of one node, asked over its command line alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from topology.binaries import BinaryError
from topology.process import ComponentError

ROOT = Path(__file__).parents[2]
_INSTALL = "install Docker Engine 20.10 or newer, and see that `docker info` works"
_DO_S = 120
_LAST_LINES = 8
_LEAVE_TRIES = 3
ROLES = ("replicas", "backing", "load")
"""What a node's labels may say that it is for: `authscale.replicas=true` and so on."""
# RFC 2544 sets it apart for benchmarks: no network of anybody's is in the way
_POOL = ("--default-addr-pool", "198.19.128.0/17", "--default-addr-pool-mask-length", "24")


def docker(
    *arguments: str, within_s: int = _DO_S, environment: Mapping[str, str] | None = None, both: bool = False
) -> str:
    """What `docker` says, its complaints with it if `both`. Raises ComponentError, with its last lines."""
    what = f"`docker {' '.join(arguments[:3])}`"
    try:
        done = subprocess.run(
            ("docker", *arguments), capture_output=True, text=True, timeout=within_s, check=False, cwd=ROOT,
            env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ComponentError(f"{what} did not end within {within_s} s") from error
    except OSError as error:
        raise ComponentError(f"docker cannot be run: {error}") from error
    if done.returncode != 0:
        said = "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
        raise ComponentError(f"{what} failed; its last lines:\n  {said}")
    return done.stdout + done.stderr if both else done.stdout


@contextlib.contextmanager
def one_node() -> Iterator[str]:
    """The id of this machine's node, on which everything of ours may run, for as long as the context lasts.

    An engine that is in no swarm makes one and leaves it in the end; one that is the only node of its swarm is used.

    Raises:
        BinaryError: there is no engine, or it is in a swarm of several: says what to do.
        ComponentError: it does not do as it is told.

    """
    made = _state() == "inactive"
    if made:
        docker("swarm", "init", "--advertise-addr", "127.0.0.1", *_POOL)
    try:
        nodes = docker("node", "ls", "--format", "{{.ID}}").split()
        if len(nodes) != 1:
            raise BinaryError(
                f"this swarm has {len(nodes)} nodes, and the check is for one: docs/cluster.md has the rest"
            )
        with _labelled(nodes[0]):
            yield nodes[0]
    finally:
        if made:
            _leave()


def _leave() -> None:
    """End the swarm that we made. An engine may need longer for it than it gives itself; asked again it has done it."""
    for _ in range(_LEAVE_TRIES - 1):
        with contextlib.suppress(ComponentError):
            docker("swarm", "leave", "--force")
            return
    docker("swarm", "leave", "--force")


def _state() -> str:
    """`inactive`, or that this engine may steer its swarm. Raises BinaryError."""
    if shutil.which("docker") is None:
        raise BinaryError(f"there is no docker on PATH: {_INSTALL}")
    try:
        said = docker("info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}").split()
    except ComponentError as error:
        why = str(error).splitlines()[-1].strip()
        raise BinaryError(f"no container engine answers (docker: {why}): start it, or {_INSTALL}") from error
    if said not in (["inactive", "false"], ["active", "true"]):
        raise BinaryError(f"this engine is in a swarm that it cannot steer ({' '.join(said)}): ask at a manager")
    return said[0]


@contextlib.contextmanager
def _labelled(node: str) -> Iterator[None]:
    """Give the node the labels that it lacks, and take those away again."""
    has = docker("node", "inspect", "--format", "{{json .Spec.Labels}}", node)
    lacks = [f"authscale.{role}" for role in ROLES if f'"authscale.{role}":"true"' not in has]
    docker("node", "update", *(f"--label-add={label}=true" for label in lacks), node)
    try:
        yield
    finally:
        docker("node", "update", *(f"--label-rm={label}" for label in lacks), node)
