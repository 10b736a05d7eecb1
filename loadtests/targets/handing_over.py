"""How a target gets into the generator's process: a file that its environment names, with credentials, of no run.

The harness writes it into a folder that is gone after the run, readable by its owner alone. By hand the variable names
an experiment's file.
"""

from __future__ import annotations

import json
import os
import secrets
import tomllib
from pathlib import Path

from loadtests.targets.people import Person, people_of
from loadtests.targets.reading import target_of, targets_of
from loadtests.targets.spec import Target
from topology.spec import SpecError

VARIABLE = "AUTHSCALE_TARGET"


def hand_over(target: Target, folder: Path) -> dict[str, str]:
    """Write the file into `folder`; returns the environment that leads to it. Raises SpecError, OSError."""
    path = folder / f"target-{secrets.token_hex(4)}.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"target": dict(target.document), "people": people_of(target)}))
    return {VARIABLE: str(path)}


def received(url: str) -> tuple[Target, tuple[Person, ...]]:
    """What was handed over; of an experiment's file the system at `url`, else its first.

    A worker of another host has the file alone, and its master tells at which address the system is. Raises
    SpecError where nothing was handed over, OSError.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        raise SpecError(f"{VARIABLE} names no experiment's file with a [target]")
    path = Path(name)
    if path.suffix == ".toml":
        found = targets_of(tomllib.loads(path.read_text(encoding="utf-8")).get("target", {}), path.parent)
        target = next((each for each in found if each.url == url.rstrip("/")), found[0])
        return target, people_of(target)
    record = json.loads(path.read_text())
    return target_of(record["target"]), tuple((person, password) for person, password in record["people"])
