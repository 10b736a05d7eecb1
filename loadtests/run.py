"""Run an experiment: `python -m loadtests.run --experiment quick`, which is what `make bench` calls.

Exit status: 0 done; 1 something died or could not be measured; 2 bad input; 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import json
import re
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil
from rich.console import Console

from loadtests import load_words, provenance, suite
from loadtests.arrivals import PROCESSES
from loadtests.client import CLIENTS
from loadtests.experiment import Cell, Experiment
from loadtests.generator import GeneratorError
from loadtests.matrix import ExperimentError, load_experiment
from loadtests.pacing import MODELS
from loadtests.precision import look
from loadtests.progress import Progress, progress
from loadtests.run_folder import (
    FORMAT,
    SetupError,
    find_unfinished,
    make_folder,
    make_run_folder,
    point_latest,
    write_json,
)
from loadtests.stage import Surroundings
from loadtests.study import USUAL, every_setting, module
from loadtests.thresholds import split
from loadtests.trial import finished_trial, run_trial
from loadtests.verify import VerificationError
from servers import stores
from topology import cgroups, cpu, quota
from topology.backing import binary_names
from topology.binaries import BinaryError
from topology.local import Accounts, make_secret
from topology.ports import NoFreePortError
from topology.process import ComponentError
from topology.reaper import Reaper
from topology.spec import HASH_COST, NO_STORE, every_option

ATTEMPTS = 2
_OPTION, _SETTING = "option ", "setting "  # before a name that must not meet another argument's


def main(argv: list[str] | None = None) -> int:
    """Parse, check everything, run; every failure that a user can meet is one line."""
    arguments = vars(_parser().parse_args(argv))
    results = Path(arguments.pop("results")).absolute()
    console = Console(stderr=False)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup asks that the run outlives its terminal
            signal.signal(number, _terminated)
    try:
        return _dispatch(arguments, results, console)
    except (ExperimentError, SetupError) as error:
        return _fail(str(error), 2)
    except (ComponentError, VerificationError, GeneratorError, NoFreePortError, BinaryError) as error:
        return _fail(str(error), 1)
    except psutil.NoSuchProcess as error:
        return _fail(f"a server died: {error}", 1)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else error.strerror or str(error)
        return _fail(f"{what}: {error.filename or results}", 1)
    except KeyboardInterrupt:
        return _fail(
            "interrupted; finished trials are kept: `make report` shows them, `make bench RESUME=latest` goes on", 130
        )


def _dispatch(arguments: dict[str, Any], results: Path, console: Console) -> int:
    """A suite or an experiment, new or resumed."""
    resumed, profile = arguments.pop("resume"), arguments.pop("profile")
    folder = None if resumed is None else (Path(resumed) if Path(resumed).is_dir() else results / resumed).resolve()
    if arguments["experiment"] in suite.suite_names() or (folder and (folder / suite.SUITE).is_file()):
        return _run_suite(arguments, profile, results, console, folder)
    if profile is not None:
        raise SetupError(f"PROFILE does nothing here: only a suite has profiles ({', '.join(suite.suite_names())})")
    experiment = _begun(folder, arguments) if folder else _asked_for(arguments)
    return _run(experiment, folder.parent if folder else results, console, folder)


def _asked_for(arguments: dict[str, Any]) -> Experiment:
    options = {name: arguments.pop(f"{_OPTION}{name}") for name in every_option()}
    arguments["options"] = {name: values for name, values in options.items() if values is not None}
    study = {name: arguments.pop(f"{_SETTING}{name}") for name in every_setting()}
    arguments["study"] = {name: value for name, value in study.items() if value is not None}
    return load_experiment(arguments.pop("experiment") or "quick", arguments)


def _run_suite(
    arguments: dict[str, Any], profile: str | None, results: Path, console: Console, folder: Path | None
) -> int:
    """All parts of a suite, one after the other; every part is resolved before the first one starts."""
    name = arguments.pop("experiment")
    _refuse_changes("a suite runs as its file says; vary a part by its own experiment, without", arguments)
    if folder is None:
        title, parts = suite.load_suite(name, profile)
        for part in parts:
            if part.experiment != suite.LAB:
                _check_quotas(_asked_for(_arguments_of(part)))
        folder = make_folder(results, name)
        record = suite.begin(folder, name, title, profile, parts, _now())
    else:
        record = suite.read(folder)
        results = folder.parent
    write_json(folder / suite.SUITE, record)
    point_latest(results, folder)
    for number, each in enumerate(record["parts"]):
        if each["finished"] or each.get("left_out"):
            continue
        console.rule(f"{number + 1}/{len(record['parts'])} {each['name']}", align="left")
        part = suite.Part(each["name"], each["experiment"], each["changes"])
        suite.ended(folder, record, number, _now(), _run_part(part, folder, console))
    return 0


def _arguments_of(part: suite.Part) -> dict[str, Any]:
    arguments = vars(_parser().parse_args(part.arguments))
    for name in ("results", "resume", "profile"):
        arguments.pop(name)
    return arguments


def _run_part(part: suite.Part, folder: Path, console: Console) -> str:
    """One part, begun or gone on with; returns why it was left out, empty where it ran."""
    own = folder / part.name
    if part.experiment == suite.LAB:
        return "this revision has no browser lab"
    resumed = own if (own / "run.json").is_file() else None
    experiment = _begun(own, {}) if resumed else _asked_for(_arguments_of(part))
    _run(experiment, folder, console, resumed, own.name)
    return ""


def _begun(folder: Path, arguments: dict[str, Any]) -> Experiment:
    """The experiment of an interrupted run, which nothing may change."""
    _refuse_changes("a resumed run goes on as it began; leave out", arguments)
    try:
        return Experiment.from_dict(json.loads((folder / "run.json").read_text()))
    except FileNotFoundError as error:
        raise SetupError(f"there is no run at {folder}: run.json is missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(f"{folder / 'run.json'} cannot be resumed: {error!r}") from error


def _refuse_changes(why: str, arguments: dict[str, Any]) -> None:
    given = sorted(
        name.removeprefix(_OPTION).removeprefix(_SETTING).replace("_", "-")
        for name, value in arguments.items()
        if value is not None
    )
    if given:
        raise SetupError(f"{why}: {', '.join(given)}")


def _check_quotas(experiment: Experiment) -> None:
    """Refuse a quota that this machine cannot give, before anything starts."""
    cores = cpu.divide_cores().servers
    for cell in experiment.cells:
        try:
            quota.check(cell.topology.every_option, cores)
        except quota.QuotaError as error:
            raise SetupError(str(error)) from error


def _run(experiment: Experiment, results: Path, console: Console, resumed: Path | None, name: str | None = None) -> int:
    """Run an experiment into a new folder of `results`, or go on in `resumed`; a part of a suite has a `name`."""
    _check_quotas(experiment)
    software, cores = provenance.software(_binaries(experiment)), cpu.divide_cores()
    machine = provenance.machine(cores)
    if resumed is None:
        folder = make_run_folder(results, experiment, name)
        record = {"format": FORMAT, "id": folder.name, "started": _now(), "finished": None, **experiment.as_dict()}
        record |= {"resumed": [], "machine": machine, "software": software}
    else:
        folder, record = resumed, find_unfinished(resumed, machine, software)
        record["resumed"].append(_now())
    write_json(folder / "run.json", record)
    if name is None:
        point_latest(results, folder)
    _announce(experiment, folder, console)
    with Reaper() as reaper:
        accounts = Accounts(reaper.folder / "users.db", reaper.folder / "secret")
        make_secret(accounts.secret_file)
        costs = {cell.topology.every_option[HASH_COST.name] for cell in experiment.cells}
        accounts.seed(experiment.settings["accounts"], costs)
        around = Surroundings(experiment, folder, accounts, reaper, cores)
        with progress(experiment, console) as shown:
            record |= _run_blocks(around, shown, record)
    write_json(folder / "run.json", {**record, "finished": _now()})
    return 0


def _binaries(experiment: Experiment) -> list[str]:
    """Every binary that some cell runs."""
    used = {cell.topology.store for cell in experiment.cells} - {NO_STORE}
    needs = {stores.facts()[store].needs for store in used} - {None}
    balancers = {cell.topology.balancer for cell in experiment.cells}
    return sorted({*balancers, *(name for each in needs if each for name in binary_names(each))})


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
            record = record or trial()
            if not record["valid"] and record["earlier_attempt"] is None and attempt < ATTEMPTS:
                again.append((position, cell))
            else:
                shown.done(record)
                done.append(record)
        waiting = again
    return done


def _announce(experiment: Experiment, folder: Path, console: Console) -> None:
    load = experiment.load
    console.print(
        f"{experiment.title}: {len(experiment.cells)} cells x {_blocks(experiment)}, {load.scenario}, "
        f"{load_words.of(load.as_dict())}, {load.duration_s:g} s each",
        highlight=False,
    )
    console.print(f"into {folder}", highlight=False, soft_wrap=True)
    if cgroups.method() is None and any(quota.asked(cell.topology.every_option) for cell in experiment.cells):
        console.print(
            "no control group can be made here, so no quota holds: more replicas will show contention, not scaling",
            highlight=False,
        )
    console.print()


def _blocks(experiment: Experiment) -> str:
    if experiment.precision is None:
        return f"{experiment.blocks} blocks"
    narrow = f"until every interval is within {100 * experiment.precision.asked:g} %"
    return f"{experiment.blocks} to {experiment.most_blocks} blocks ({narrow})"


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fail(message: str, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"authscale: {message}\n")
    return status


class _OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with a value in one line, as everything else here does, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"authscale: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(prog="python -m loadtests.run", description=__doc__.splitlines()[0])
    parser.add_argument("--resume", help="go on with a run that was interrupted: its folder, or latest")
    parser.add_argument("--profile", help="of a suite: how much of it is run")
    parser.add_argument("--experiment", help="a file of loadtests/experiments/ (default: quick)")
    parser.add_argument("--results", default="results", help="folder of all runs (default: results)")
    option = parser.add_argument
    option("--schemes", type=_names, help="comma-separated, for example session,token")
    option("--stores", type=_names, help="comma-separated, for the schemes that keep state")
    option("--replicas", type=_counts, help="comma-separated whole numbers")
    option("--policies", type=_names, help="comma-separated balancer policies")
    option("--threads", type=_counts, help="threads per replica, comma-separated whole numbers")
    option("--scenario", help="a file of loadtests/scenarios/")
    option("--model", help=f"load model: {', '.join(MODELS)}")
    option("--rate", type=float, dest="rate_rps", help="requests per second of all users together (open loop)")
    option(
        "--ramp-to", type=float, dest="ramp_to_rps", help="rate at the end of the measured phase (default: the same)"
    )
    option("--steps", type=int, help="climb to it in so many steps of equal length (default: a straight ramp)")
    option("--max-in-flight", type=int, help="drop what falls due while so many are being answered (default: no cap)")
    option("--think", type=float, dest="think_s", help="mean think time of a user in a closed loop, seconds")
    option("--arrivals", help=f"when requests are due: {', '.join(PROCESSES)}")
    option("--client", help=f"what sends: {', '.join(CLIENTS)}")
    option("--users", type=int, help="virtual users, each on one connection")
    option("--duration", type=float, dest="duration_s", help="seconds measured per trial")
    option("--warmup", type=float, dest="warm_up_s", help="seconds before them: one round of warm-up")
    option(
        "--warmup-max", type=float, dest="warm_up_max_s", help="seconds of all rounds until it is steady (default: 3)"
    )
    option("--blocks", type=int, help="how often every cell is run")
    option("--precision", help="more blocks until every interval is this narrow, as a share: 5%% or 0.05")
    option("--max-blocks", type=int, help="how many blocks that may take (default: 30)")
    option("--seed", type=int, help="of the order and the arrivals")
    option("--copies", type=int, help="duplicates of the baseline in every block")
    option("--accounts", type=int, help="rows of the user table")
    option("--thresholds", type=split, help="demands on the figures, parted by ; : 'response_p99_ms < 50'")
    for each in every_option().values():
        takes = ", ".join(each.values) if each.values else f"{each.low} to {each.high}"
        takes = f" ({takes})" if each.parse is None else ""
        option(
            f"--{each.name.replace('_', '-')}",
            type=_names,
            dest=f"{_OPTION}{each.name}",
            help=f"{each.meaning}{takes}",
        )
    for setting in every_setting().values():
        option(f"--{setting.name.replace('_', '-')}", dest=f"{_SETTING}{setting.name}", help=setting.meaning)
    return parser


def _names(text: str) -> list[str]:
    """The parts between commas; those within t=2,m=19456,p=1 part nothing."""
    return [part.strip() for part in re.split(r",(?!\s*[mp]=)", text) if part.strip()]


def _counts(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, such as 1,4") from error


if __name__ == "__main__":
    sys.exit(main())
