"""Judge what loadtests.validate collected: `python -m analysis.validate`, the end of `make validate`.

Prints a table, writes `--out` and validate.html beside the raw data.
Exit status: 0 all passed; 1 a check failed; 2 there is nothing to judge.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.known_truth import Check
from analysis.load import RunError
from analysis.metrics import BY_NAME
from analysis.report.validate_page import render
from analysis.validation import Validation, validate, validate_document
from analysis.wording import number, percent


def main(argv: Sequence[str] | None = None) -> int:
    """Read, judge, print, write."""
    parser = argparse.ArgumentParser(prog="python -m analysis.validate", description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("results/latest-validate"), help="what was collected")
    parser.add_argument("--out", type=Path, default=Path("results/validate.json"), help="where to write the verdicts")
    arguments = parser.parse_args(argv)
    try:
        folder = arguments.run.resolve()
        validation = validate(folder)
        page = folder / "validate.html"
        page.write_text(render(validation), encoding="utf-8")
        arguments.out.write_text(json.dumps(validate_document(validation), indent=1, allow_nan=False) + "\n")
    except (RunError, OSError) as error:
        sys.stderr.write(f"authscale: {error}\n")
        return 2
    show(Console(highlight=False), validation)
    sys.stdout.write(f"written to {arguments.out} and {page}\n")
    return 0 if validation.passed else 1


def show(console: Console, validation: Validation) -> None:
    """Print every check in 80 columns, and then the noise of this machine."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("check", "value", "limit", "", "result"):
        table.add_column(name, justify="left" if name in ("check", "", "result") else "right", no_wrap=True)
    for check in validation.checks:
        table.add_row(*_row(check))
    console.print(table)
    for check in validation.checks:
        if not check.passed:
            console.print(Text(f"• {check.name}: {check.detail}"))
    console.print()
    noise = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("two identical cells", "sd in a block", "shown in 2 minutes"):
        noise.add_column(name, justify="left" if name.startswith("two") else "right")
    for each in validation.smallest:
        noise.add_row(BY_NAME[each.metric].title, percent(each.sd), f"{percent(each.smallest)} or more")
    console.print(noise)
    failed = sum(not check.passed for check in validation.checks)
    console.print(Text(f"{len(validation.checks)} checks, {failed or 'none'} failed", style="bold"))


def _row(check: Check) -> tuple[Text, ...]:
    result = Text("pass", style="green") if check.passed else Text("FAIL", style="bold red")
    return Text(check.name), Text(number(check.value)), Text(number(check.limit)), Text(check.unit), result


if __name__ == "__main__":
    sys.exit(main())
