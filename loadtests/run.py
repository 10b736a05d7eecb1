"""Run an experiment: `python -m loadtests.run --experiment quick`, which is what `make bench` calls.

Exit status: 0 done; 1 something died or could not be measured; 2 bad input; 130 interrupted.
"""

from __future__ import annotations

import errno
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil
from rich.console import Console

from loadtests import suite
from loadtests.command_line import arguments_of, asked_for, refuse_changes
from loadtests.launchers import LOCAL
from loadtests.matrix import ExperimentError
from loadtests.run_experiment import begun, launched_by, run_experiment
from loadtests.run_folder import SetupError
from loadtests.suite_run import DIED, run_suite
from topology.binaries import BinaryError


def main(argv: list[str] | None = None) -> int:
    """Parse, check everything, run; every failure that a user can meet is one line."""
    arguments = arguments_of(argv)
    results = Path(arguments.pop("results")).absolute()
    console = Console(stderr=False)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup asks that the run outlives its terminal
            signal.signal(number, _terminated)
    try:
        return _dispatch(arguments, results, console)
    except (ExperimentError, SetupError) as error:
        return _fail(str(error), 2)
    except psutil.NoSuchProcess as error:
        return _fail(f"a server died: {error}", 1)
    except (*DIED, BinaryError) as error:
        return _fail(str(error), 1)
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
    resumed, profile, asked = arguments.pop("resume"), arguments.pop("profile"), arguments.pop("launcher")
    folder = None if resumed is None else (Path(resumed) if Path(resumed).is_dir() else results / resumed).resolve()
    if arguments["experiment"] in suite.suite_names() or (folder and (folder / suite.SUITE).is_file()):
        if asked not in (None, LOCAL):
            raise SetupError("a suite runs with the local launcher alone: run its experiments one by one in containers")
        return run_suite(arguments, profile, results, console, folder)
    if profile is not None:
        raise SetupError(f"PROFILE does nothing here: only a suite has profiles ({', '.join(suite.suite_names())})")
    if folder:
        refuse_changes("a resumed run goes on as it began; leave out", arguments)
    experiment = begun(folder) if folder else asked_for(arguments)
    launched = launched_by(folder) if folder else asked or LOCAL
    if folder and asked not in (None, launched):
        raise SetupError(f"{folder} was begun with the launcher {launched}, and goes on with it")
    return run_experiment(experiment, folder.parent if folder else results, console, folder, launched=launched)


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fail(message: str, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"authscale: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
