"""Which launchers a run may be started with, and what each says of its software."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests import provenance
from loadtests.experiment import Cell, Experiment
from loadtests.run_folder import SetupError
from loadtests.study import USUAL
from loadtests.targets import running as services
from loadtests.targets.handing_over import hand_over
from loadtests.targets.sections import TARGET
from loadtests.targets.spec import Target, TargetError
from loadtests.targets.verifying import verify_target
from loadtests.verify import verify
from servers import stores
from topology import cgroup_ways, local
from topology.backing import binary_names
from topology.compose import engine, images
from topology.compose import launcher as containers
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
        verify: as `loadtests.verify.verify`.
        tell: what the generator's environment says of a cell besides; files that it names are written into the folder.
        quota_method: what keeps a component to its quota, for run.json; `topology.cgroup_ways.NO_METHOD` if nothing.

    """

    name: str
    running: Callable[..., AbstractContextManager[Any]]  # of a RunningTopology, or what a trial asks of one
    software: Callable[[Experiment], dict[str, Any]]
    quota_method: Callable[[], str]
    verify: Callable[[Any, int], dict[str, Any]] = verify
    tell: Callable[[Cell, Path], dict[str, str]] = lambda _cell, _folder: {}


def launcher(name: str) -> Launcher:
    """The launcher of that name. Raises SetupError."""
    if name == LOCAL:
        return Launcher(LOCAL, local.running, _of_processes, cgroup_ways.method_name)
    if name == COMPOSE:
        return Launcher(COMPOSE, containers.running, _of_containers, lambda: "container engine")
    if name == TARGET:
        return Launcher(
            TARGET, services.running, _of_services, lambda: cgroup_ways.NO_METHOD,
            verify=lambda running, _accounts: verify_target(running.target), tell=_hand_over,
        )  # fmt: skip
    raise SetupError(f"launcher {name!r} is unknown; there are: {LOCAL}, {COMPOSE}")


def chosen(experiment: Experiment, asked: str | None) -> str:
    """The launcher of a new run: the one that was asked for, if it can be. Raises SetupError."""
    if experiment.targets:
        if asked not in (None, TARGET):
            raise SetupError(f"a [target] runs already, and {asked} has nothing to start: use `make bench`")
        return TARGET
    if asked == TARGET:
        raise SetupError(
            f"launcher {TARGET} is of an experiment's file with a [target], and {experiment.name} has none"
        )
    return asked or LOCAL


def binaries_of(experiment: Experiment) -> list[str]:
    """Every binary that some cell runs as a process."""
    used = {topology.store for topology in experiment.topologies} - {NO_STORE}
    needs = {stores.facts()[store].needs for store in used} - {None}
    balancers = {topology.balancer for topology in experiment.topologies}
    return sorted({*balancers, *(name for each in needs if each for name in binary_names(each))})


def _of_processes(experiment: Experiment) -> dict[str, Any]:
    return provenance.software(binaries_of(experiment))


def _of_containers(experiment: Experiment) -> dict[str, Any]:
    if experiment.study.kind not in _STUDIES_IN_CONTAINERS:
        raise SetupError(
            f"the study {experiment.study.kind} does not run in containers, but: {', '.join(_STUDIES_IN_CONTAINERS)}; "
            "run it with `make bench`"
        )
    if experiment.load.remote_workers:
        raise SetupError("REMOTE_WORKERS: containers publish ports on loopback alone; run it with `make bench`")
    try:
        for topology in experiment.topologies:
            containers.refuse(topology)
    except SpecError as error:
        raise SetupError(str(error)) from error
    found = engine.find()
    sys.stdout.write("making the images ready, which takes minutes the first time\n")
    sys.stdout.flush()
    used = images.made_ready(found, list(experiment.topologies))
    return {**provenance.software(()), **found.as_dict(), "images": used}


def _of_services(experiment: Experiment) -> dict[str, Any]:
    """Every service is asked for all that a trial asks, so that a wrong password is known before anything starts."""
    try:
        for target in experiment.targets:
            services.RunningTarget(target)
            verify_target(target)
    except (TargetError, SpecError) as error:
        raise SetupError(str(error)) from error
    return provenance.software(())


def _hand_over(cell: Cell, folder: Path) -> dict[str, str]:
    return hand_over(cell.topology, folder) if isinstance(cell.topology, Target) else {}
