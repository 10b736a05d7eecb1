"""What a browser does with credentials, seen: `python -m loadtests.browser_lab`, the first step of `make browser-lab`.

Headless Chromium against the real twins behind TLS, into results/<UTC>-browser-lab/lab.json. Nothing is timed.
Exit status: 0 done; 1 something died or did what it must not; 2 bad input, or no Chromium; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from loadtests import lab_csrf, lab_storage, provenance
from loadtests.chromium import BrowserError
from loadtests.lab_claims import claims
from loadtests.lab_csrf import Attempt
from loadtests.lab_site import ACCOUNTS, site
from loadtests.lab_storage import Theft
from loadtests.run_folder import write_json
from servers import users
from topology import binaries
from topology.binaries import BinaryError
from topology.cpu import divide_cores
from topology.local import Accounts, make_secret
from topology.ports import NoFreePortError
from topology.process import ComponentError
from topology.reaper import Reaper

FORMAT = 1
"""Of lab.json."""
BINARIES = ("haproxy", "chromium")


def main(argv: list[str] | None = None) -> int:
    """Run every attempt, print a line for each server, and the folder in the end."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.browser_lab", description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of all runs")
    parser.add_argument("--quick", action="store_true", help="fewer servers and one attacking origin")
    arguments = parser.parse_args(argv)
    folder = (arguments.results / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-browser-lab").absolute()
    try:
        provenance.software(list(BINARIES))
    except BinaryError as error:
        return _fail(str(error), 2)
    try:
        folder.mkdir(parents=True)
        run(folder, quick=arguments.quick)
        _point(folder)
        sys.stdout.write(f"{folder}\n")
    except FileExistsError:
        return _fail(f"{folder} is there already; try again in a second", 2)
    except (ComponentError, BrowserError, TimeoutError, NoFreePortError, BinaryError) as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"{error.filename or folder}: {error.strerror or error}", 2)
    except KeyboardInterrupt:
        return _fail("interrupted; there is nothing to read", 130)
    return 0


def run(folder: Path, *, quick: bool) -> None:
    """Make every attempt, and write lab.json into `folder` when all are done.

    Raises ComponentError, BrowserError, TimeoutError, NoFreePortError, BinaryError, OSError.
    """
    began, software = time.monotonic(), provenance.software(list(BINARIES))
    thefts: list[Theft] = []
    attempts: list[Attempt] = []
    version = binaries.find("chromium").version
    with Reaper() as reaper:
        accounts = Accounts(reaper.folder / "users.db", reaper.folder / "secret")
        make_secret(accounts.secret_file)
        users.seed(accounts.users_db, ACCOUNTS, users.HashCost.parse("fast"))
        for server in lab_storage.servers(quick=quick):
            with site(server, accounts, folder / "logs", reaper) as at:
                thefts += (found := list(lab_storage.steal(at)))
                version = at.browser.version
            _say(f"injected script, {server.name}", [each.read_at_rest or each.read_in_use for each in found], "read")
        for server in lab_csrf.servers(quick=quick):
            with site(server, accounts, folder / "logs", reaper) as at:
                attempts += (tried := list(lab_csrf.attack(at, quick=quick)))
            theirs = [each.state_changed for each in tried if each.origin != lab_csrf.OWN]
            _say(server.name, theirs, "changed the state")
    document = {
        "format": FORMAT,
        "id": folder.name,
        "quick": quick,
        "chromium": version,
        "storage": [each.as_dict() for each in thefts],
        "csrf": [each.as_dict() for each in attempts],
        "claims": claims(thefts, attempts),
        "seconds": time.monotonic() - began,
        "machine": provenance.machine(divide_cores()),
        "software": software,
    }
    write_json(folder / "lab.json", document)


def _say(what: str, outcomes: Sequence[bool], verb: str) -> None:
    sys.stdout.write(f"{what}: {sum(outcomes)} of {len(outcomes)} {verb}\n")
    sys.stdout.flush()


def _point(folder: Path) -> None:
    """Let `latest-browser-lab` lead to `folder`; `latest` stays with the runs of experiments."""
    draft = folder.with_name(".latest-browser-lab")
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name)
    draft.replace(folder.with_name("latest-browser-lab"))


def _fail(message: str, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"authscale: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
