"""Run a suite: its parts one after the other, each into a folder of its own; what dies in one ends that one alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from loadtests import browser_lab, suite
from loadtests.chromium import BrowserError
from loadtests.command_line import experiment_of, refuse_changes
from loadtests.generator import GeneratorError
from loadtests.launchers import binaries_of
from loadtests.run_experiment import begun, check_quotas, now, run_experiment
from loadtests.run_folder import SetupError, make_folder, point_latest, write_json
from loadtests.verify import VerificationError
from topology import binaries
from topology.binaries import BinaryError
from topology.ports import NoFreePortError
from topology.process import ComponentError

DIED = (
    ComponentError,
    VerificationError,
    GeneratorError,
    NoFreePortError,
    BrowserError,
    TimeoutError,
    psutil.NoSuchProcess,
)
"""What ends an experiment, and of a suite the part that it happens in."""


def run_suite(
    arguments: dict[str, Any], profile: str | None, results: Path, console: Console, folder: Path | None
) -> int:
    """Run every part of a new suite, or in `folder` those that are missing; all are resolved before the first starts.

    Returns 0, or 1 where a part failed: its reason stands in suite.json, and the others are run.
    """
    name = arguments.pop("experiment")
    refuse_changes("a suite runs as its file says; vary a part by its own experiment, without", arguments)
    if folder is None:
        title, parts = suite.load_suite(name, profile)
        for part in parts:
            if part.experiment != suite.LAB:
                check_quotas(experiment_of(part.arguments))
        folder = make_folder(results, name)
        record = suite.begin(folder, name, title, profile, parts, now())
    else:
        record = suite.read(folder)
    write_json(folder / suite.SUITE, record)
    point_latest(folder.parent, folder)
    for number, part in suite.to_do(record):
        console.rule(f"{number + 1}/{len(record['parts'])} {part.name}", align="left")
        outcome = _outcome(part, folder, console)
        if outcome.left_out:
            console.print(f"left out: {outcome.left_out}", highlight=False, soft_wrap=True)
        suite.ended(folder, record, number, now(), outcome)
    return 1 if suite.failures(record) else 0


def _outcome(part: suite.Part, folder: Path, console: Console) -> suite.Outcome:
    """Run one part, or go on with it. What this machine lacks leaves it out; what died in it is a failure."""
    try:
        if missing := _missing(part):
            return suite.Outcome(left_out=missing)
        if part.experiment == suite.LAB:
            _run_lab(part, folder / part.name)
        else:
            _run_part(part, folder, console)
    except DIED as error:
        return suite.Outcome(left_out=f"it failed: {' '.join(str(error).split())}", failed=True)
    return suite.Outcome()


def _missing(part: suite.Part) -> str:
    """Why this machine cannot run the part: the first binary that it has not; empty where it has all."""
    lab = part.experiment == suite.LAB
    for name in browser_lab.BINARIES if lab else binaries_of(experiment_of(part.arguments)):
        try:
            binaries.find(name)
        except BinaryError as error:
            return str(error)
    return ""


def _run_part(part: suite.Part, folder: Path, console: Console) -> None:
    own = folder / part.name
    resumed = own if (own / "run.json").is_file() else None
    if resumed and json.loads((own / "run.json").read_text())["finished"]:  # ended before suite.json said so
        return
    experiment = begun(own) if resumed else experiment_of(part.arguments)
    run_experiment(experiment, folder, console, resumed, own.name)


def _run_lab(part: suite.Part, own: Path) -> None:
    if part.changes.keys() - {"quick"}:
        raise SetupError(f"part {part.name}: a browser lab has no knob but quick")
    own.mkdir(exist_ok=True)
    browser_lab.run(own, quick="quick" in part.changes)
