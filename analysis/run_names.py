"""Runs by name: a folder, a name in the results folder, or `latest`, `previous`, `reference`; of a suite, a part."""

from __future__ import annotations

import json
from pathlib import Path

from analysis.load import RunError
from analysis.suite import LAB, SUITE, Part, load_suite

PREVIOUS = "previous"


def find_run(name: str, results: Path, experiment: str | None = None) -> Path:
    """Return the run's own folder, links followed; of a suite the folder of its part of that experiment.

    `previous` is the run before `latest`: folders begin with their UTC time, so their names are in order.
    Without an experiment a suite must have one run.

    Raises:
        RunError: nothing of that name is there, or the suite has no such part, or several.

    """
    if name == PREVIOUS:
        return _previous(results, experiment)
    for folder in (results / name, Path(name)):
        if (folder / "run.json").is_file():
            return folder.resolve()
        if (folder / SUITE).is_file():
            return _part(folder, experiment)
    raise RunError(
        f"no run is called {name!r}",
        where=results,
        hint="name a run's folder, or latest, previous, reference",
    )


def experiment_of(folder: Path) -> str:
    """Return the experiment that a run's folder says it is of; empty where it does not say."""
    try:
        return str(json.loads((folder / "run.json").read_text(encoding="utf-8")).get("experiment", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _part(folder: Path, experiment: str | None) -> Path:
    parts = [part for part in load_suite(folder).runs if not (part.folder / LAB).is_file()]
    found = [part for part in parts if experiment in (None, part.experiment)]
    if not found:
        raise RunError(
            f"the suite has no run of experiment {experiment!r}", where=folder, hint=f"it has {_named(parts) or 'none'}"
        )
    if experiment is None and len(found) > 1:
        raise RunError("it is a suite of several runs", where=folder, hint=f"name one of them: {_named(found)}")
    return found[0].folder.resolve()


def _named(parts: list[Part]) -> str:
    return ", ".join(part.name for part in parts)


def _previous(results: Path, experiment: str | None) -> Path:
    latest = _own(results / "latest", results)
    earlier = [
        folder
        for folder in results.glob("[0-9]*T[0-9]*Z-*")
        if folder.name < latest.name and not folder.is_symlink() and _is_run_or_suite(folder)
    ]
    if not earlier:
        raise RunError("there is no run before the latest", where=results, hint="`make bench` makes one")
    return find_run(str(max(earlier, key=lambda folder: folder.name)), results, experiment)


def _own(folder: Path, results: Path) -> Path:
    """Return the folder of a run or a suite, links followed."""
    if not _is_run_or_suite(folder):
        raise RunError(f"no run is called {folder.name!r}", where=results, hint="`make bench` makes one")
    return folder.resolve()


def _is_run_or_suite(folder: Path) -> bool:
    return (folder / "run.json").is_file() or (folder / SUITE).is_file()
