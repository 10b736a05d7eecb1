"""The command line of `loadtests.run`: every knob by name, and the experiment that they ask for."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from loadtests.arrivals import PROCESSES
from loadtests.client import CLIENTS
from loadtests.experiment import Experiment
from loadtests.matrix import load_experiment
from loadtests.pacing import MODELS
from loadtests.run_folder import SetupError
from loadtests.study import every_setting
from loadtests.thresholds import split
from topology.spec import every_option

_OPTION, _SETTING = "option ", "setting "  # before a name that must not meet another argument's
_NOT_OF_EXPERIMENTS = ("results", "resume", "profile", "launcher")
_ABOUT = "Run an experiment: `python -m loadtests.run --experiment quick`, which is what `make bench` calls."


def arguments_of(argv: list[str] | None) -> dict[str, Any]:
    """What the command line says, by name; None of what it does not name."""
    return vars(_parser().parse_args(argv))


def experiment_of(argv: list[str]) -> Experiment:
    """The experiment of a command line that names knobs alone. Raises ExperimentError."""
    arguments = arguments_of(argv)
    for name in _NOT_OF_EXPERIMENTS:
        arguments.pop(name)
    return asked_for(arguments)


def asked_for(arguments: dict[str, Any]) -> Experiment:
    """The experiment that the arguments ask for; takes them out. Raises ExperimentError."""
    options = {name: arguments.pop(f"{_OPTION}{name}") for name in every_option()}
    arguments["options"] = {name: values for name, values in options.items() if values is not None}
    study = {name: arguments.pop(f"{_SETTING}{name}") for name in every_setting()}
    arguments["study"] = {name: value for name, value in study.items() if value is not None}
    return load_experiment(arguments.pop("experiment") or "quick", arguments)


def refuse_changes(why: str, arguments: dict[str, Any]) -> None:
    """Raise SetupError where any knob is given, with their names behind `why`."""
    given = sorted(
        name.removeprefix(_OPTION).removeprefix(_SETTING).replace("_", "-")
        for name, value in arguments.items()
        if value is not None
    )
    if given:
        raise SetupError(f"{why}: {', '.join(given)}")


class _OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with a value in one line, as everything else here does, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"authscale: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(prog="python -m loadtests.run", description=_ABOUT)
    parser.add_argument("--resume", help="go on with a run that was interrupted: its folder, or latest")
    parser.add_argument("--profile", help="of a suite: how much of it is run")
    parser.add_argument("--experiment", help="a file of loadtests/experiments/ (default: quick)")
    parser.add_argument("--results", default="results", help="folder of all runs (default: results)")
    parser.add_argument("--launcher", help="what runs the servers: local (processes, the default) or compose")
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
