"""`python -m analysis.ledger [--run results/latest]`: the ledger of claims on a terminal, what `make claims` calls.

Reads summary.json of a run or a suite, as its report has written it. Exits with 0, or with 2 and one line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from analysis.wording import interval, number

_STYLES = {"holds": "green", "does not hold": "red", "depends": "blue", "not measured": "dim"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each claim with its verdict, its figure, and what was found or what measures it."""
    parser = argparse.ArgumentParser(prog="python -m analysis.ledger", description="Print the ledger of claims.")
    parser.add_argument("--run", type=Path, default=Path("results/latest"), help="the run's or the suite's folder")
    folder = parser.parse_args(arguments).run
    try:
        claims = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["claims"]
    except OSError as error:
        sys.stderr.write(f"error: {folder / 'summary.json'}: {error.strerror} (`make report RUN={folder}` writes it)\n")
        return 2
    except (ValueError, KeyError, TypeError):
        sys.stderr.write(f"error: {folder / 'summary.json'} has no ledger (`make report RUN={folder}` does)\n")
        return 2
    console = Console(highlight=False)
    for claim in claims:
        _show(console, claim)
    return 0


def _show(console: Console, claim: Mapping[str, Any]) -> None:
    verdict = str(claim["verdict"])
    console.print(Text.assemble((verdict, f"bold {_STYLES[verdict]}"), "  ", (claim["claim"], "bold")))
    if claim["value"] is not None:
        span = interval(claim["low"], claim["high"])
        console.print(Text(f"  {number(claim['value'])} {claim['unit']} ({span})"))
    console.print(Text(f"  {claim['detail']}", style="dim" if verdict == "not measured" else ""))


if __name__ == "__main__":
    raise SystemExit(main())
