"""`python -m analysis.compare_runs --a previous --b latest`: run B against run A, what `make compare` calls.

Exit status: 0; with thresholds 3 failed, 4 inconclusive, 5 invalid; 2 bad input, or runs that must not be compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from analysis.comparing import Compared, check_ratios, compare_json, compare_runs, refusals
from analysis.load import Run, RunError, load_run
from analysis.report import compared as report
from analysis.run_names import experiment_of, find_run
from analysis.suite import SUITE
from analysis.thresholds import EXIT, overall
from loadtests.thresholds import Threshold, ThresholdError, check_cells, parse, split


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        # read before the runs are: a wrong threshold costs no waiting
        given = None if options.thresholds is None else parse(options.thresholds, relative=True)
        a, b = (load_run(folder) for folder in _folders(options.a, options.b, options.results))
        demanded = _demanded(given, b)
        refused = [] if options.force else refusals(a, b)
        if refused:
            lines = [f"error: not comparable, {each} (FORCE=1 compares all the same)" for each in refused]
            sys.stderr.write("\n".join(lines) + "\n")
            return 2
        compared = compare_runs(a, b, demanded, forced=options.force)
        path = write(compared, options.out or options.results / f"compare-{_short(a.folder)}-{_short(b.folder)}")
    except (RunError, ThresholdError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"error: the comparison cannot be written: {error} (name another folder: --out)\n")
        return 2
    console = Console(highlight=False)
    report.show(console, compared)
    console.print(Text(str(path)), soft_wrap=True)
    return EXIT[overall(compared.thresholds)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analysis.compare_runs", description="Compare run B with run A.")
    parser.add_argument("--a", default="previous", help="a run's or suite's folder, or latest, previous, reference")
    parser.add_argument("--b", default="latest", help="the same, of the run that is judged")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of all runs")
    parser.add_argument("--out", type=Path, help="folder to write into (default: results/compare-A-B)")
    parser.add_argument("--thresholds", type=split, help="instead of those of run B: 'B/A response_p50_ms < 1.10; ...'")
    parser.add_argument("--force", action="store_true", help="compare what must not be compared, and say so")
    return parser


def _folders(a: str, b: str, results: Path) -> tuple[Path, Path]:
    """Return the two runs' folders; where one is a suite of several runs, its part of the other's experiment."""
    try:
        found = find_run(a, results)
    except RunError:
        judged = find_run(b, results)
        return find_run(a, results, experiment_of(judged)), judged
    return found, find_run(b, results, experiment_of(found))


def _short(folder: Path) -> str:
    """Return a run's name; of a part of a suite with the suite's before it."""
    return f"{folder.parent.name}-{folder.name}" if (folder.parent / SUITE).is_file() else folder.name


def _demanded(given: Sequence[Threshold] | None, b: Run) -> Sequence[Threshold]:
    demanded = parse(b.document.get("thresholds", ())) if given is None else given
    check_ratios(demanded)
    check_cells(demanded, [cell.id for cell in b.cells])
    return demanded


def write(compared: Compared, folder: Path) -> Path:
    """Write the three files into a folder of their own, no run's; return the path of compare.html."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.json").write_text(compare_json(compared), encoding="utf-8")
    (folder / "compare.md").write_text(report.as_markdown(compared), encoding="utf-8")
    (folder / "compare.html").write_text(report.as_html(compared), encoding="utf-8")
    return folder / "compare.html"


if __name__ == "__main__":
    raise SystemExit(main())
