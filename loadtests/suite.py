"""A suite: several experiments that one command runs, each a run of its own in the suite's folder.

A file of `loadtests/suites/` lists the parts; all are resolved before the first one starts. A suite that was
interrupted goes on with the part in which it stopped, and that part where it stopped.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.run_folder import SetupError, write_json
from topology.spec import one_of

SUITES = Path(__file__).parent / "suites"
SUITE = "suite.json"
FORMAT = 1
"""Of suite.json."""
LAB = "browser-lab"
"""What a part names in place of an experiment to run the browser lab."""
_KEYS = {"name", "experiment", "changes", "profiles"}


@dataclass(frozen=True)
class Part:
    """One run of a suite: its folder's name, its experiment, and the knobs that differ, as on the command line."""

    name: str
    experiment: str
    changes: Mapping[str, str]

    @property
    def arguments(self) -> list[str]:
        """For the command line of `loadtests.run`."""
        knobs = [word for name, value in self.changes.items() for word in (f"--{name.replace('_', '-')}", value)]
        return ["--experiment", self.experiment, *knobs]


def suite_names() -> tuple[str, ...]:
    """Every suite there is a file of."""
    return tuple(sorted(path.stem for path in SUITES.glob("*.toml")))


def load_suite(name: str, profile: str | None) -> tuple[str, tuple[Part, ...]]:
    """The title and the parts of a suite under a profile (None: as the experiments are). Raises SpecError."""
    document = tomllib.loads((SUITES / f"{name}.toml").read_text())
    profiles = sorted({each for part in document["parts"] for each in part.get("profiles", {})})
    if profile is not None:
        one_of(f"profile of {name}", profile, profiles)
    return document["title"], tuple(_part(name, part, profile) for part in document["parts"])


def _part(suite: str, part: Mapping[str, Any], profile: str | None) -> Part:
    for key in part:
        one_of(f"key of a part of {suite}", key, _KEYS)
    changes = {**part.get("changes", {}), **part.get("profiles", {}).get(profile, {})}
    return Part(part["name"], part["experiment"], {name: str(value) for name, value in changes.items()})


def begin(
    folder: Path, name: str, title: str, profile: str | None, parts: tuple[Part, ...], now: str
) -> dict[str, Any]:
    """suite.json of a suite in which nothing has run yet."""
    return {
        "format": FORMAT,
        "id": folder.name,
        "suite": name,
        "title": title,
        "profile": profile,
        "started": now,
        "finished": None,
        "parts": [
            {"name": part.name, "experiment": part.experiment, "changes": dict(part.changes), "finished": None}
            for part in parts
        ],
    }


def read(folder: Path) -> dict[str, Any]:
    """suite.json of a suite that was interrupted. Raises SetupError where there is nothing to go on with."""
    try:
        record: dict[str, Any] = json.loads((folder / SUITE).read_text())
    except (OSError, ValueError) as error:
        raise SetupError(f"{folder / SUITE} cannot be resumed: {error}") from error
    if record.get("format") != FORMAT:
        raise SetupError(f"{folder} has format {record.get('format')!r}, and this revision resumes format {FORMAT}")
    if record["finished"]:
        raise SetupError(f"{folder} is finished; there is nothing to resume")
    return record


@dataclass(frozen=True)
class Outcome:
    """How a part ended: `left_out` says why it has no figures, `failed` that a resumed suite tries it again."""

    left_out: str = ""
    failed: bool = False


def to_do(record: Mapping[str, Any]) -> list[tuple[int, Part]]:
    """The parts that are to run, with their places: not those that are finished or cannot be run here."""
    return [
        (number, Part(each["name"], each["experiment"], each["changes"]))
        for number, each in enumerate(record["parts"])
        if not each["finished"] and (not each.get("left_out") or each.get("failed"))
    ]


def failures(record: Mapping[str, Any]) -> list[str]:
    """The names of the parts that failed."""
    return [each["name"] for each in record["parts"] if each.get("failed")]


def ended(folder: Path, record: dict[str, Any], number: int, now: str, outcome: Outcome) -> None:
    """Note how a part ended. With a part that failed a suite is not finished: it can go on. Raises OSError."""
    record["parts"][number] |= {
        "finished": None if outcome.left_out else now,
        "left_out": outcome.left_out,
        "failed": outcome.failed,
    }
    if not to_do(record):
        record["finished"] = now
    write_json(folder / SUITE, record)
