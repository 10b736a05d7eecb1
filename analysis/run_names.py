"""Runs by name: a folder, a name in the results folder, or `latest`, `previous`, `reference`."""

from __future__ import annotations

from pathlib import Path

from analysis.load import RunError

PREVIOUS = "previous"


def find_run(name: str, results: Path) -> Path:
    """Return the run's own folder, links followed.

    `previous` is the run before `latest`: folders begin with their UTC time, so their names are in order.

    Raises:
        RunError: nothing of that name is there.

    """
    if name == PREVIOUS:
        return _previous(results)
    for folder in (results / name, Path(name)):
        if (folder / "run.json").is_file():
            return folder.resolve()
    raise RunError(
        f"no run is called {name!r}",
        where=results,
        hint="name a run's folder, or latest, previous, reference",
    )


def _previous(results: Path) -> Path:
    latest = find_run("latest", results)
    earlier = [
        path.parent
        for path in results.glob("[0-9]*T[0-9]*Z-*/run.json")
        if path.parent.name < latest.name and not path.parent.is_symlink()
    ]
    if not earlier:
        raise RunError("there is no run before the latest", where=results, hint="`make bench` makes one")
    return max(earlier, key=lambda folder: folder.name).resolve()
