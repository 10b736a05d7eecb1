"""`python -m analysis.distil --run results/latest --out results/reference`: a run or a suite, small enough to commit.

Writes run.json, summary.json, summary.csv, report.html, report.md and distilled.json.gz; raw samples and logs stay
where they are. Exits with 0, or with 2 and one line.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from analysis.distilled import of_measurement, packed
from analysis.load import DISTILLED, DISTILLED_FORMAT, RunError, Trial, load_run
from analysis.suite import SUITE, load_suite
from analysis.summary import Analysis, analyse

_KEPT = ("run.json", "summary.json", "summary.csv", "report.html", "report.md", "lab.json", "lab.html")
_ELSEWHERE = ("folder",)
"""What a trial has that says where it lay."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m analysis.distil", description="Keep a run without its samples.")
    parser.add_argument("--run", type=Path, default=Path("results/latest"), help="the run's or the suite's folder")
    parser.add_argument("--out", type=Path, default=Path("results/reference"), help="what is written, or replaced")
    options = parser.parse_args(arguments)
    try:
        distil(options.run.resolve(), options.out)
    except RunError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"error: {options.out} cannot be written: {error.strerror or error}\n")
        return 2
    sys.stdout.write(f"{options.out}\n")
    return 0


def distil(folder: Path, out: Path) -> None:
    """Write `out` anew from the run or suite in `folder`. Raises RunError and OSError."""
    if out.resolve() == folder:
        raise RunError("a run cannot be distilled into itself", where=folder, hint="name another folder: --out")
    if not (folder / SUITE).is_file():
        _distil_run(folder, out)
        return
    parts = load_suite(folder).parts
    draft = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name in (SUITE, *_KEPT):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, draft / name)
    for part in parts:
        _distil_run(part.folder, draft / part.name)
    shutil.rmtree(out, ignore_errors=True)
    draft.rename(out)


def _distil_run(folder: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in _KEPT:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    if (folder / "run.json").is_file():
        (out / DISTILLED).write_bytes(packed(document(analyse(load_run(folder)))))


def document(analysis: Analysis) -> dict[str, Any]:
    """Return what distilled.json.gz holds."""
    return {
        "format": DISTILLED_FORMAT,
        "trials": [_trial(trial) for trial in analysis.run.trials],
        "measurements": [of_measurement(each) for result in analysis.results for each in result.measurements],
        "sections": [asdict(section) for section in analysis.sections],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {each.name: getattr(trial, each.name) for each in fields(trial) if each.name not in _ELSEWHERE}


if __name__ == "__main__":
    raise SystemExit(main())
