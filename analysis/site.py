"""`python -m analysis.site --results results`: one page of all runs, and comparisons between them; `make site`.

Writes index.html into the folder of all runs, and a folder `site/` with a comparison for each pair of runs of one
experiment, up to a number. All of it is static and opens from a file. Exits with 0, or with 2 and one line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

from analysis.compare_runs import write
from analysis.comparing import compare_runs, refusals
from analysis.listed import Listed, Pair, compared_in, listed_in
from analysis.load import Run, RunError, load_run
from analysis.report import site_page

SITE = "site"
MOST = 20
"""Comparisons that are made, unless asked otherwise: the runs nearest in time first."""


@dataclass(frozen=True)
class Pairs:
    """The comparisons that there are, and of those that are not the reason, by the names of both runs."""

    made: tuple[Pair, ...]
    left_out: Mapping[tuple[str, str], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m analysis.site", description="One page of all runs.")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder of all runs")
    parser.add_argument("--most", type=int, default=MOST, help="comparisons to make at most")
    options = parser.parse_args(arguments)
    results: Path = options.results
    try:
        listed = listed_in(_there(results))
        pairs = compare_all(listed, results, options.most)
        path = results / "index.html"
        path.write_text(site_page.render(listed, pairs.made, pairs.left_out), encoding="utf-8")
    except RunError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"error: the site cannot be written: {error} (free the disk, or make the folder writable)\n")
        return 2
    told = f"{len(listed)} results, {len(pairs.made)} comparisons, {len(pairs.left_out)} pairs left out"
    sys.stdout.write(f"{told}\n{path}\n")
    return 0


def _there(results: Path) -> Path:
    if not results.is_dir():
        raise RunError("no such folder", where=results, hint="`make bench` makes one; --results names another")
    return results


def compare_all(listed: Sequence[Listed], results: Path, most: int) -> Pairs:
    """Compare runs of one experiment, the nearest in time first, and say which pairs are left out and why.

    A comparison that is newer than both reports is kept as it is; those of `make compare` count as well.
    """
    made = {(each.a, each.b): each for each in compared_in(results)}
    left_out: dict[tuple[str, str], str] = {}
    read = cache(load_run)
    for a, b in _candidates(listed):
        pair, folder = (a.name, b.name), results / SITE / f"compare-{_flat(a.name)}-{_flat(b.name)}"
        if pair in made:
            continue
        if len(made) >= most:
            left_out[pair] = f"only the {most} nearest are made"
        elif _is_newer(folder, a, b):
            made[pair] = Pair(a.name, b.name, f"{folder.relative_to(results)}/compare.html")
        else:
            reason = _compare(read(a.folder), read(b.folder), folder)
            if reason:
                left_out[pair] = reason
            else:
                made[pair] = Pair(a.name, b.name, f"{folder.relative_to(results)}/compare.html")
    return Pairs(tuple(made.values()), left_out)


def _candidates(listed: Sequence[Listed]) -> Iterable[tuple[Listed, Listed]]:
    """Yield pairs of runs of one experiment that have an ordinary load, the older first, the nearest in time first."""
    runs = sorted((each for each in listed if each.comparable), key=lambda each: (each.started, each.name))
    place = {each.name: number for number, each in enumerate(runs)}
    pairs = [(a, b) for a, b in combinations(runs, 2) if a.experiment == b.experiment and a.id != b.id]
    return sorted(pairs, key=lambda pair: (place[pair[1].name] - place[pair[0].name], -place[pair[1].name]))


def _compare(a: Run, b: Run, folder: Path) -> str:
    """Write the comparison, or return why there is none."""
    refused = refusals(a, b)
    if refused:
        return "not comparable: " + "; ".join(str(each) for each in refused)
    write(compare_runs(a, b), folder)
    return ""


def _is_newer(folder: Path, a: Listed, b: Listed) -> bool:
    path = folder / "compare.html"
    sources = (each.folder / "summary.json" for each in (a, b))
    return path.is_file() and all(path.stat().st_mtime > source.stat().st_mtime for source in sources)


def _flat(name: str) -> str:
    return name.replace("/", "-")


if __name__ == "__main__":
    raise SystemExit(main())
