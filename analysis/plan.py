"""`python -m analysis.plan --rps 50000 --slo 'p99<50ms' --users 2000000`: what `make plan` calls.

Writes plan.json, plan.md and plan.html into the run's folder. Exits with 0, or with 2 and one line that says what is
wrong and what to do; with 1 where no series of the run can carry a plan.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from analysis.estimates import estimate_run
from analysis.load import Run, RunError, load_run
from analysis.plan_question import PlanError, question
from analysis.planned import Plan
from analysis.planner import plan
from analysis.report import plan_page
from analysis.run_names import find_run
from analysis.session_memory import bytes_per_session


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        asked = question(options.rps, options.users, options.slo, options.headroom, options.replica_cpus)
        run = load_run(find_run(options.run, options.results))
        _require_load(run)
        memory = bytes_per_session(find_run(options.sessions or options.run, options.results))
        made = plan(run, estimate_run(run), asked, memory)
        path = write(made, run.folder)
    except (RunError, PlanError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"error: the plan cannot be written: {error} (free the disk, or make the folder writable)\n")
        return 2
    console = Console(highlight=False)
    plan_page.show(console, made)
    console.print(Text(str(path)), soft_wrap=True)
    return 0 if any(not each.refusal for each in made.series) else 1


def _require_load(run: Run) -> None:
    if run.of_targets:
        raise PlanError(
            f"run {run.document.get('id')} is of services that others started, of whose parts nothing is known; RUN= "
            "names another"
        )
    if not run.loads:
        raise PlanError(f"run {run.document.get('id')} has no load to plan from; RUN= names one of `make bench`")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analysis.plan", description="What a load needs, from a run.")
    parser.add_argument("--rps", required=True, help="requests per second at the peak")
    parser.add_argument("--slo", default="", help="a response time to keep, for example 'p99<50ms'")
    parser.add_argument("--users", default="", help="users who are signed in at once")
    parser.add_argument("--headroom", default="", help="spare CPU over what the load needs, in percent (150)")
    parser.add_argument("--replica-cpus", default="", help="cores of one replica (1)")
    parser.add_argument("--run", default="latest", help="a run's folder, or latest, previous, reference")
    parser.add_argument("--sessions", default="", help="a run of the experiment sessions, for memory (the same run)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of all runs")
    return parser


def write(made: Plan, folder: Path) -> Path:
    """Write the three files beside the run's report, each whole or not at all; return the path of plan.html."""
    texts = {
        "plan.json": json.dumps(made.document(), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "plan.md": plan_page.as_markdown(made),
        "plan.html": plan_page.as_html(made),
    }
    for name, text in texts.items():
        part = folder / f".{name}.{os.getpid()}.tmp"
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(folder / name)
        finally:
            part.unlink(missing_ok=True)
    return folder / "plan.html"


if __name__ == "__main__":
    raise SystemExit(main())
