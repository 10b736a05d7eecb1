"""Which launchers a run may be started with, and what each says of its software."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from loadtests import provenance
from loadtests.experiment import Experiment
from loadtests.run_folder import SetupError
from loadtests.study import USUAL
from servers import stores
from topology import compose, compose_images, engine, local
from topology.backing import binary_names
from topology.running_topology import RunningTopology
from topology.spec import NO_STORE, SpecError

LOCAL, COMPOSE = "local", "compose"
# Those that ask a running topology for no more than containers can tell; others reach into its processes and folders.
_STUDIES_IN_CONTAINERS = (USUAL, "capacity")


@dataclass(frozen=True)
class Launcher:
    """How topologies are started.

    Attributes:
        name: as run.json has it.
        running: as `topology.local.running`.
        software: run.json's `software` of an experiment; makes ready what has to be made once, such as an image. Raises
            SetupError, BinaryError or ComponentError before anything starts.

    """

    name: str
    running: Callable[..., AbstractContextManager[RunningTopology]]
    software: Callable[[Experiment], dict[str, Any]]


def launcher(name: str) -> Launcher:
    """The launcher of that name. Raises SetupError."""
    if name == LOCAL:
        return Launcher(LOCAL, local.running, lambda experiment: provenance.software(binaries_of(experiment)))
    if name == COMPOSE:
        return Launcher(COMPOSE, compose.running, _in_containers)
    raise SetupError(f"launcher {name!r} is unknown; there are: {LOCAL}, {COMPOSE}")


def binaries_of(experiment: Experiment) -> list[str]:
    """Every binary that some cell runs as a process."""
    used = {cell.topology.store for cell in experiment.cells} - {NO_STORE}
    needs = {stores.facts()[store].needs for store in used} - {None}
    balancers = {cell.topology.balancer for cell in experiment.cells}
    return sorted({*balancers, *(name for each in needs if each for name in binary_names(each))})


def _in_containers(experiment: Experiment) -> dict[str, Any]:
    if experiment.study.kind not in _STUDIES_IN_CONTAINERS:
        raise SetupError(
            f"the study {experiment.study.kind} does not run in containers, but: {', '.join(_STUDIES_IN_CONTAINERS)}; "
            "run it with `make bench`"
        )
    try:
        for cell in experiment.cells:
            compose.refuse(cell.topology)
    except SpecError as error:
        raise SetupError(str(error)) from error
    found = engine.find()
    images = compose_images.made_ready(found, [cell.topology for cell in experiment.cells])
    return {**provenance.software(()), **found.as_dict(), "images": images}
