"""The folder of a run: made with room enough, pointed to by `latest`, written whole or not at all, found again."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.experiment import Experiment

FORMAT = 1
"""Of run.json."""

_BYTES_PER_SAMPLE = 100
_BYTES_PER_TRIAL = 200_000
_SPARE_BYTES = 20_000_000


class SetupError(RuntimeError):
    """The run cannot begin here; says where and what to do."""


def make_run_folder(results: Path, experiment: Experiment, part: str | None = None) -> Path:
    """A new folder in `results`, `<UTC>-<experiment>`, or named as `part` of a suite says.

    Raises SetupError without room or permission.
    """
    trials = len(experiment.cells) * experiment.most_blocks
    rows = trials * experiment.load.most_requests
    needed = int(trials * _BYTES_PER_TRIAL + rows * _BYTES_PER_SAMPLE) + _SPARE_BYTES
    return make_folder(results, experiment.name, part, needed)


def make_folder(results: Path, name: str, part: str | None = None, needed: int = _SPARE_BYTES) -> Path:
    """A new folder in `results`, `<UTC>-<name>` or `part`, on a disk with `needed` octets free. Raises SetupError."""
    name = part or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"
    try:
        results.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(results).free
        if free < needed:
            raise SetupError(
                f"the disk is nearly full: this run may need {needed / 1e6:.0f} MB and {results} has "
                f"{free / 1e6:.0f} MB free; make room, or name another folder: RESULTS=/path"
            )
        for suffix in ("", *(f"-{number}" for number in range(2, 100))):
            folder = results / f"{name}{suffix}"
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise SetupError(
            f"{results} cannot be written to ({error.strerror}); make it writable, or name another: RESULTS=/path"
        ) from error
    raise SetupError(f"{results} already holds a hundred runs of this second")


def point_latest(results: Path, folder: Path) -> None:
    """Let `latest` lead to `folder`. Raises SetupError where something else of that name stands."""
    draft = results / ".latest"
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name)
    try:
        draft.replace(results / "latest")
    except OSError as error:
        draft.unlink()
        raise SetupError(f"{results / 'latest'} cannot be made a link ({error.strerror}); remove it") from error


def find_unfinished(folder: Path, machine: Mapping[str, Any], software: Mapping[str, Any]) -> dict[str, Any]:
    """run.json of a run that was interrupted and can go on here.

    What has changed since it began would stand in its figures as if it were a difference between cells, so a run goes
    on only with the same code, packages, binaries and processor.

    Raises:
        SetupError: there is none, it is finished, or something has changed; says what.

    """
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    except FileNotFoundError as error:
        raise SetupError(f"there is no run at {folder}: run.json is missing") from error
    except (OSError, ValueError) as error:
        raise SetupError(f"{folder / 'run.json'} cannot be read: {error}") from error
    if record.get("format") != FORMAT:
        raise SetupError(f"{folder} has format {record.get('format')!r}, and this revision resumes format {FORMAT}")
    if record["finished"]:
        raise SetupError(f"{folder} is finished; there is nothing to resume")
    changed = [name for name in ("cpu", "cores", "python") if record["machine"][name] != machine[name]]
    changed += [name for name in ("git_revision", "packages", "binaries") if record["software"][name] != software[name]]
    changed += [name for name in ("engine", "images") if record["software"].get(name) != software.get(name)]
    if changed:
        raise SetupError(
            f"{folder} cannot be resumed, because these have changed: {', '.join(changed)}; begin a new run"
        )
    return record


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write whole or not at all."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(record, indent=1))
    draft.rename(path)
