"""How analysis scales: `python -m analysis.bench_analysis`, which is `make bench-analysis`.

Synthetic runs in the real format (`analysis.synthetic`), alike but for the samples in a trial, are each reported by
`python -m analysis.report` in a process of its own, several times in random order. Time and memory are the kernel's
account of that process (wait4). The exponent is the slope of log time over log samples (least squares; Goldsmith, Aiken
and Wilkerson 2007, "Measuring empirical computational complexity"), with nothing subtracted. The constant cost of
starting and drawing bends it downwards, so that the slope between the two largest sizes is printed and judged too.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from analysis.synthetic import UNMEASURED, Plan, cells, write_run

FORMAT = 1
MAX_SECONDS = 60.0
MAX_PEAK_GIB = 2.0
MAX_EXPONENT = 1.15
"""Linear is 1; the rest is what repeats of one size differ by on a shared machine."""

STORES = ("memory", "redis", "postgres", "memcached")
SERIES = (("control", "none"), *(("session", store) for store in STORES), ("token", "none"))
REPLICAS = (1, 2, 4)
BLOCKS = 10
REPEATS = 3
SHARES = (0.03, 0.1, 0.3, 1.0)
"""Sizes, as shares of the largest."""

_GIB = 1 << 30
_DISK_BYTES_PER_SAMPLE = 60  # found: 36
_MEMORY_BYTES = _GIB // 2
_MEMORY_BYTES_PER_SAMPLE = 200


class BenchError(Exception):
    """The bench cannot run here: what is missing and what to do, in one line."""


@dataclass(frozen=True)
class Spent:
    """What one process took."""

    seconds: float
    cpu_seconds: float
    peak_gib: float


@dataclass(frozen=True)
class Size:
    """A synthetic run and what its reports took."""

    samples: int
    trials: int
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    peak_gib: float

    @property
    def median_s(self) -> float:
        """Median over the repeats, from which the exponents are."""
        return statistics.median(self.seconds)


def plan_of(samples: int, *, long_trials: bool = False) -> Plan:
    """Return a run of so many samples or a few more: many cells by `BLOCKS`, or two by two long trials."""
    few = {"series": SERIES[:1], "replicas": (1,), "blocks": 2}
    shape: dict[str, Any] = few if long_trials else {"series": SERIES, "replicas": REPLICAS, "blocks": BLOCKS}
    return Plan(**shape, requests=max(math.ceil(samples / _trials(Plan(**shape))) - UNMEASURED, 10))


def spend(argv: Sequence[str]) -> Spent:
    """Run a command to its end and return what it took; raise `BenchError` with the end of its errors if it fails.

    On Linux the peak of a process begins with that of the process that started it (exec keeps the high-water mark):
    what is told can be too large, never too small, and this process must stay smaller than any report.
    """
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)  # reaped here, so that Popen need not
        if child.returncode:
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise BenchError(f"{' '.join(argv[1:])} ended with {child.returncode}: {last[0]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Spent(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / _GIB)


def require_room(samples: int, scratch: Path) -> None:
    """Raise `BenchError` if disk or memory cannot hold the runs of up to `samples` samples."""
    disk = round(_DISK_BYTES_PER_SAMPLE * samples * (sum(SHARES) + 1))
    memory = _MEMORY_BYTES + _MEMORY_BYTES_PER_SAMPLE * samples
    if (free := shutil.disk_usage(scratch).free) < disk:
        raise BenchError(
            f"{free / _GIB:.1f} GiB are free in {scratch} and {samples:,} samples need {disk / _GIB:.1f} "
            "(set TMPDIR to a larger disk, or give fewer --samples)"
        )
    if (free := psutil.virtual_memory().available) < memory:
        raise BenchError(
            f"{free / _GIB:.1f} GiB of memory are free and {samples:,} samples may need {memory / _GIB:.1f} "
            "(end other programs, or give fewer --samples)"
        )


def measure(plans: Sequence[Plan], scratch: Path, repeats: int) -> list[Size]:
    """Write a run per plan and report each `repeats` times, all in random order: what drifts hits every size alike."""
    folders = [scratch / f"run-{number}" for number in range(len(plans))]
    for folder, plan in zip(folders, plans, strict=True):
        _write_apart(folder, plan)
    order = [number for number in range(len(plans)) for _ in range(repeats)]
    random.Random(1).shuffle(order)  # noqa: S311 - an order of measurement, no secret
    found: list[list[Spent]] = [[] for _ in plans]
    for number in order:
        argv = [sys.executable, "-m", "analysis.report", "--quiet", "--run", str(folders[number])]
        found[number].append(spend(argv))
    return [
        Size(
            samples=_trials(plan) * (plan.requests + UNMEASURED),
            trials=_trials(plan),
            seconds=tuple(each.seconds for each in spent),
            cpu_seconds=tuple(each.cpu_seconds for each in spent),
            peak_gib=max(each.peak_gib for each in spent),
        )
        for plan, spent in zip(plans, found, strict=True)
    ]


def _write_apart(folder: Path, plan: Plan) -> None:
    """Write a run in a process of its own, whose memory then counts for no report (see `spend`)."""
    writer = multiprocessing.get_context("spawn").Process(target=write_run, args=(folder, plan))
    writer.start()
    writer.join()
    if writer.exitcode:
        raise BenchError(f"the synthetic run could not be written to {folder} (exit code {writer.exitcode})")


def exponent(sizes: Sequence[Size]) -> float:
    """Return the slope of log time over log samples, by least squares."""
    slope, _ = np.polyfit([math.log(each.samples) for each in sizes], [math.log(each.median_s) for each in sizes], 1)
    return float(slope)


def straight_line(sizes: Sequence[Size]) -> tuple[float, float]:
    """Return the constant in seconds and the seconds per million samples of a line through the sizes, least squares."""
    slope, constant = np.polyfit([each.samples / 1e6 for each in sizes], [each.median_s for each in sizes], 1)
    return float(constant), float(slope)


def document(sizes: Sequence[Size], long_trials: Size) -> dict[str, Any]:
    """Return what bench-analysis.json holds: see docs/file-formats.md. `sizes` go up."""
    largest = (sizes[-1], long_trials)
    judged: dict[str, Any] = {
        "seconds": max(max(each.seconds) for each in largest),
        "peak_gib": max(each.peak_gib for each in largest),
        "exponent": exponent(sizes),
        "exponent_of_two_largest": exponent(sizes[-2:]),
    }
    limits = {
        "seconds": MAX_SECONDS,
        "peak_gib": MAX_PEAK_GIB,
        "exponent": MAX_EXPONENT,
        "exponent_of_two_largest": MAX_EXPONENT,
    }
    constant_s, seconds_per_million = straight_line(sizes)
    return {
        "format": FORMAT,
        **judged,
        "constant_s": constant_s,
        "seconds_per_million": seconds_per_million,
        "limits": limits,
        "passed": all(judged[name] <= limit for name, limit in limits.items()),
        "samples": sizes[-1].samples,
        "sizes": [asdict(each) for each in sizes],
        "long_trials": asdict(long_trials),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
        },
        "software": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in ("authscale", "matplotlib", "numpy", "pyarrow", "scipy")},
    }


def table(written: Mapping[str, Any]) -> str:
    """Return the document as text, 80 columns at most."""
    lines = [f"{'samples':>12}{'trials':>8}{'median s':>12}{'slowest s':>12}{'CPU s':>10}{'peak GiB':>12}"]
    for each in (*written["sizes"], written["long_trials"]):
        median, cpu = statistics.median(each["seconds"]), statistics.median(each["cpu_seconds"])
        lines.append(
            f"{each['samples']:>12,}{each['trials']:>8}{median:>12.2f}{max(each['seconds']):>12.2f}{cpu:>10.2f}"
            f"{each['peak_gib']:>12.2f}"
        )
    lines += ["", f"{'':<42}{'found':>8}{'limit':>8}"]
    titles = {
        "seconds": "slowest report of the most samples, s",
        "peak_gib": "its peak memory, GiB",
        "exponent": "exponent of time over samples",
        "exponent_of_two_largest": "the same of the two largest",
    }
    for name, title in titles.items():
        found, limit = written[name], written["limits"][name]
        lines.append(f"{title:<42}{found:>8.2f}{limit:>8.2f}  {'ok' if found <= limit else 'MISSED'}")
    line = f"{written['constant_s']:.2f} s + {written['seconds_per_million']:.2f} s a million"
    return "\n".join([*lines, "", f"1 is linear, and less where the constant rules: {line}"])


def main(argv: Sequence[str] | None = None) -> int:
    """Make the runs, measure, print, write; exit with 1 when a limit is missed, with 2 when nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m analysis.bench_analysis", description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000_000, help="samples of the largest run")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="reports of each run")
    parser.add_argument("--out", type=Path, default=Path("results/bench-analysis.json"), help="where to write")
    options = parser.parse_args(argv)
    least = 2 * round(UNMEASURED * _trials(plan_of(0)) / SHARES[0])
    if options.samples < least or options.repeats < 1:
        parser.error(f"--samples must be {least} or more, --repeats 1 or more")
    plans = [plan_of(round(share * options.samples)) for share in SHARES]
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="authscale-") as scratch:
            require_room(options.samples, Path(scratch))
            *sizes, long_trials = measure(
                [*plans, plan_of(options.samples, long_trials=True)], Path(scratch), options.repeats
            )
        written = document(sizes, long_trials)
        options.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    except (BenchError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{table(written)}\n\nwritten to {options.out}\n")
    return 0 if written["passed"] else 1


def _trials(plan: Plan) -> int:
    return len(cells(plan)) * plan.blocks


if __name__ == "__main__":
    raise SystemExit(main())
