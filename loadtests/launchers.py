"""Which launchers a run may be started with, and what each says of its software."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from loadtests import provenance
from loadtests.experiment import Experiment
from loadtests.run_folder import SetupError
from loadtests.study import USUAL
from servers import stores
from topology import cgroups, local
from topology.backing import binary_names
from topology.compose import engine, images
from topology.compose import launcher as containers
from topology.running_topology import RunningTopology
from topology.spec import NO_STORE, SpecError

LOCAL, COMPOSE = "local", "compose"
# Those that ask a running topology for no more than containers can tell; others reach into processes or break them.
_STUDIES_IN_CONTAINERS = (USUAL, "capacity", "revocation")


@dataclass(frozen=True)
class Launcher:
    """How topologies are started.

    Attributes:
        name: as run.json has it.
        running: as `topology.local.running`.
        software: run.json's `software` of an experiment; makes ready what has to be made once, such as an image. Raises
            SetupError, BinaryError or ComponentError before anything starts.
        quota_method: what keeps a component to its quota, as run.json has it; `topology.cgroups.NO_METHOD` if nothing.

    """

    name: str
    running: Callable[..., AbstractContextManager[RunningTopology]]
    software: Callable[[Experiment], dict[str, Any]]
    quota_method: Callable[[], str]


def launcher(name: str) -> Launcher:
    """The launcher of that name. Raises SetupError."""
    if name == LOCAL:
        return Launcher(LOCAL, local.running, _of_processes, cgroups.method_name)
    if name == COMPOSE:
        return Launcher(COMPOSE, containers.running, _of_containers, lambda: "container engine")
    raise SetupError(f"launcher {name!r} is unknown; there are: {LOCAL}, {COMPOSE}")


def binaries_of(experiment: Experiment) -> list[str]:
    """Every binary that some cell runs as a process."""
    used = {cell.topology.store for cell in experiment.cells} - {NO_STORE}
    needs = {stores.facts()[store].needs for store in used} - {None}
    balancers = {cell.topology.balancer for cell in experiment.cells}
    return sorted({*balancers, *(name for each in needs if each for name in binary_names(each))})


def _of_processes(experiment: Experiment) -> dict[str, Any]:
    return provenance.software(binaries_of(experiment))


def _of_containers(experiment: Experiment) -> dict[str, Any]:
    if experiment.study.kind not in _STUDIES_IN_CONTAINERS:
        raise SetupError(
            f"the study {experiment.study.kind} does not run in containers, but: {', '.join(_STUDIES_IN_CONTAINERS)}; "
            "run it with `make bench`"
        )
    try:
        for cell in experiment.cells:
            containers.refuse(cell.topology)
    except SpecError as error:
        raise SetupError(str(error)) from error
    found = engine.find()
    sys.stdout.write("making the images ready, which takes minutes the first time\n")
    sys.stdout.flush()
    used = images.made_ready(found, [cell.topology for cell in experiment.cells])
    return {**provenance.software(()), **found.as_dict(), "images": used}
