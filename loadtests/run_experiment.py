"""Run the trials of an experiment into its folder, block by block, or go on with those that are missing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from loadtests import launchers, load_words, provenance, remote
from loadtests.experiment import Cell, Experiment
from loadtests.generator import WorkerLostError
from loadtests.precision import look
from loadtests.progress import Progress, progress
from loadtests.run_folder import FORMAT, SetupError, find_unfinished, make_run_folder, point_latest, write_json
from loadtests.stage import Surroundings
from loadtests.study import USUAL, module
from loadtests.targets.spec import TargetError
from loadtests.trial import finished_trial, lost, run_trial
from topology import cgroup_ways, cpu, quota
from topology.local import Accounts, make_secret
from topology.reaper import Reaper
from topology.spec import HASH_COST

ATTEMPTS = 2


def begun(folder: Path) -> Experiment:
    """The experiment of an interrupted run. Raises SetupError where it cannot go on."""
    try:
        return Experiment.from_dict(json.loads((folder / "run.json").read_text()))
    except FileNotFoundError as error:
        raise SetupError(f"there is no run at {folder}: run.json is missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(f"{folder / 'run.json'} cannot be resumed: {error!r}") from error


def check_quotas(experiment: Experiment) -> None:
    """Refuse quotas and an address that this machine cannot give, before anything starts. Raises SetupError."""
    remote.check(experiment.load)
    cores = cpu.divide_cores(max(1, experiment.load.workers)).servers
    for cell in experiment.cells:
        try:
            quota.check(cell.topology.every_option, cores)
        except quota.QuotaError as error:
            raise SetupError(str(error)) from error


def run_experiment(
    experiment: Experiment, results: Path, console: Console, resumed: Path | None, name: str | None = None,
    launched: str = launchers.LOCAL,
) -> int:  # fmt: skip
    """Run an experiment into a new folder of `results`, or go on in `resumed`; a part of a suite has a `name`."""
    check_quotas(experiment)
    launcher = launchers.launcher(launched)
    software, cores = launcher.software(experiment), cpu.divide_cores(max(1, experiment.load.workers))
    machine = provenance.machine(cores) | {"quota_method": launcher.quota_method()}
    if resumed is None:
        folder = make_run_folder(results, experiment, name)
        record = {"format": FORMAT, "id": folder.name, "started": now(), "finished": None, **experiment.as_dict()}
        record |= {"launcher": launcher.name}
        record |= {"resumed": [], "machine": machine, "software": software}
    else:
        folder, record = resumed, find_unfinished(resumed, machine, software)
        record["resumed"].append(now())
    write_json(folder / "run.json", record)
    if name is None:
        point_latest(results, folder)
    _announce(experiment, folder, console, machine["quota_method"])
    with Reaper() as reaper:
        accounts = Accounts(reaper.folder / "users.db", reaper.folder / "secret")
        make_secret(accounts.secret_file)
        costs = {topology.every_option[HASH_COST.name] for topology in experiment.topologies}
        accounts.seed(experiment.settings["accounts"], costs)
        around = Surroundings(
            experiment, folder, accounts, reaper, cores, launcher.running, launcher.verify, launcher.tell
        )
        with progress(experiment, console) as shown:
            record |= _run_blocks(around, shown, record)
    write_json(folder / "run.json", {**record, "finished": now()})
    return 0


def launched_by(folder: Path) -> str:
    """The launcher of a run that was begun; older ones had the local one. Raises OSError, ValueError."""
    found: str = json.loads((folder / "run.json").read_text()).get("launcher", launchers.LOCAL)
    return found


def _run_blocks(around: Surroundings, shown: Progress, record: dict[str, Any]) -> dict[str, Any]:
    """All blocks; where a precision is asked, until it is reached or they are as many as there may be.

    Returns what run.json says of them. Whether to go on is decided by the trials that are finished, those of an
    interrupted run included, so that a resumed run ends where it would have ended.
    """
    experiment, asked = around.experiment, around.experiment.precision
    trials: list[dict[str, Any]] = []
    known: dict[str, Any] = {}
    for number, block in enumerate(experiment.order(experiment.most_blocks), start=1):
        if known:  # else the order that run.json holds already has this block
            write_json(around.run_folder / "run.json", {**record, **known, **experiment.prolonged(number, None)})
        trials += _run_block(around, number, block, shown)
        if asked and number >= experiment.blocks:
            found = look(experiment.cells, trials, asked.asked)
            known = experiment.prolonged(number, found)
            if found.over:
                break
            shown.looked(found)
    return known


def _run_block(around: Surroundings, number: int, block: list[Cell], shown: Progress) -> list[dict[str, Any]]:
    """Every cell once; one that noise made invalid gets one more try at the end of its block, and both are counted.

    What an interrupted run has finished is taken as it is. Returns trial.json of those that count.
    """
    study = around.experiment.study
    run_one = run_trial if study.kind == USUAL else module(study.kind).run_trial
    done: list[dict[str, Any]] = []
    waiting = list(enumerate(block, start=1))
    for attempt in range(1, ATTEMPTS + 1):
        again = []
        for position, cell in waiting:
            trial = partial(run_one, around, cell, number, position, partial(shown.doing, number, cell.id))
            record = finished_trial(around, cell, number) if attempt == 1 else None
            try:
                record = record or trial()
            except (WorkerLostError, TargetError) as error:
                record = lost(around, cell, number, position, error)
            if not record["valid"] and record["earlier_attempt"] is None and attempt < ATTEMPTS:
                again.append((position, cell))
            else:
                shown.done(record)
                done.append(record)
        waiting = again
    return done


def _announce(experiment: Experiment, folder: Path, console: Console, quota_method: str) -> None:
    console.print(
        f"{experiment.title}: {len(experiment.cells)} cells x {_blocks(experiment)}, {_each_trial(experiment)}",
        highlight=False,
    )
    console.print(f"into {folder}", highlight=False, soft_wrap=True)
    asked = any(quota.asked(cell.topology.every_option) for cell in experiment.cells)
    if quota_method == cgroup_ways.NO_METHOD and asked:
        console.print(
            "no control group can be made here, so no quota holds: more replicas will show contention, not scaling",
            highlight=False,
        )
    console.print()


def _each_trial(experiment: Experiment) -> str:
    """What a trial does: its load, or what the study says of itself where there is none."""
    if not experiment.study.loads:
        about: str = module(experiment.study.kind).__doc__
        return f"study {experiment.study.kind}: {about.splitlines()[0].removeprefix(f'{experiment.study.kind}: ')}"
    load = experiment.load
    return f"{load.scenario}, {load_words.of(load.as_dict())}, {load.duration_s:g} s each"


def _blocks(experiment: Experiment) -> str:
    if experiment.precision is None:
        return f"{experiment.blocks} blocks"
    narrow = f"until every interval is within {100 * experiment.precision.asked:g} %"
    return f"{experiment.blocks} to {experiment.most_blocks} blocks ({narrow})"


def now() -> str:
    """The time of day in UTC, to the second."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
