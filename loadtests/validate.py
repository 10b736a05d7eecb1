"""Collect what `make validate` judges: `python -m loadtests.validate`; then analysis.validate says pass or fail.

Into results/<UTC>-validate: `calibration/<law>/`, `accounting/`, and the runs `aa/` and `planted/`.
Exit status: 0 done; 1 something died; 2 bad input; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests import provenance, run
from loadtests.accounting import account
from loadtests.calibration import calibrate
from loadtests.calibration_laws import LAWS
from loadtests.generator import GeneratorError
from loadtests.run_folder import write_json
from servers import users
from topology.balancer import usual
from topology.binaries import BinaryError
from topology.cpu import Cores, divide_cores
from topology.local import Accounts, make_secret
from topology.ports import NoFreePortError
from topology.process import ComponentError
from topology.reaper import Reaper

FORMAT = 1
_ACCOUNTS = 100
# seconds of each law: whole periods of the stalls; of the accounting; and the knobs of the two runs
_FULL: Mapping[str, Any] = {"law_s": 30.0, "account_s": 4.0, "aa": (), "planted": ()}
_QUICK: Mapping[str, Any] = {
    "law_s": 5.0,
    "account_s": 1.0,
    "aa": ("--copies", "3", "--blocks", "2", "--duration", "0.3"),
    "planted": ("--blocks", "3", "--duration", "0.6"),
}


def main(argv: list[str] | None = None) -> int:
    """Run every part; prints each and how long it took, and the folder in the end."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.validate", description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of all runs")
    parser.add_argument("--quick", action="store_true", help="the same with less time: to try it, not to trust it")
    arguments = parser.parse_args(argv)
    plan = _QUICK if arguments.quick else _FULL
    folder = (arguments.results / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-validate").absolute()
    try:
        folder.mkdir(parents=True)
        return _collect(folder, plan, quick=arguments.quick)
    except FileExistsError:
        return _fail(f"{folder} is there already; try again in a second", 2)
    except OSError as error:
        return _fail(f"{error.filename or folder}: {error.strerror or error}", 2)
    except (ComponentError, GeneratorError, NoFreePortError, BinaryError) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted; there is nothing to judge", 130)


def _collect(folder: Path, plan: Mapping[str, Any], *, quick: bool) -> int:
    began, cores = time.monotonic(), divide_cores()
    document = {
        "format": FORMAT,
        "id": folder.name,
        "quick": quick,
        "machine": provenance.machine(cores),
        "software": provenance.software([usual()]),
    }
    seconds: dict[str, float] = {}
    with Reaper() as reaper:
        for law in LAWS:
            _timed(seconds, f"known truth: {law.title}", lambda: calibrate(
                law, plan["law_s"], folder / "calibration" / law.name, reaper, cores  # noqa: B023 - called at once
            ))  # fmt: skip
        _timed(seconds, "accounting and octets", lambda: _account(folder, plan, reaper, cores))
    for experiment in ("aa", "planted"):
        argv = ("--experiment", experiment, "--results", str(folder / experiment), *plan[experiment])
        status = _timed(seconds, experiment, lambda: run.main(list(argv)))  # noqa: B023 - called at once
        if status:
            return status
    seconds["total"] = time.monotonic() - began
    write_json(folder / "validation.json", {**document, "seconds": seconds})
    _point(folder)
    sys.stdout.write(f"{folder}\n")
    return 0


def _account(folder: Path, plan: Mapping[str, Any], reaper: Reaper, cores: Cores) -> None:
    accounts = Accounts(reaper.folder / "users.db", reaper.folder / "secret")
    make_secret(accounts.secret_file)
    users.seed(accounts.users_db, _ACCOUNTS, users.HashCost.parse("fast"))
    account(plan["account_s"], accounts, _ACCOUNTS, folder / "accounting", reaper, cores)


def _timed(seconds: dict[str, float], what: str, do: Callable[[], int | None]) -> int:
    sys.stdout.write(f"{what} ...\n")
    sys.stdout.flush()
    began = time.monotonic()
    status = do()
    seconds[what] = time.monotonic() - began
    return status or 0


def _point(folder: Path) -> None:
    """Let `latest-validate` lead to `folder`; `latest` stays with the runs of experiments."""
    draft = folder.with_name(".latest-validate")
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name)
    draft.replace(folder.with_name("latest-validate"))


def _fail(message: str, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"authscale: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
