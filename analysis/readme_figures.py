"""`python -m analysis.readme_figures`: the figures that README quotes, from the reference run (`make readme-figures`).

Rewrites what stands between the two marks and nothing else. Exits with 0, or with 2 and one line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.report.ledger_table import tally_of
from analysis.wording import NOTHING, with_unit

BEGIN, END = "<!-- figures: `make readme-figures` writes this -->", "<!-- end of figures -->"
FIRST = "quick"
"""The part whose answer is told: sessions or tokens, on one server and on several."""
TOLD = (
    "cookie-size", "token-size", "lookup-latency", "verify-latency", "stateless-scaling",
    "server-memory", "revocation-session", "revocation-token", "no-difference",
)  # fmt: skip
"""The claims that README shows; all are in the run's own report."""


class ReadmeError(Exception):
    """One line: what is wrong, where, and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m analysis.readme_figures", description="Write README's figures.")
    parser.add_argument("--run", type=Path, default=Path("results/reference"), help="the suite's folder")
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="the file with the marks")
    options = parser.parse_args(arguments)
    try:
        text = options.readme.read_text(encoding="utf-8")
        options.readme.write_text(rewritten(text, block(options.run, options.readme.parent)), encoding="utf-8")
    except (ReadmeError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{options.readme}\n")
    return 0


def quoted(text: str) -> str:
    """Return what stands between the marks. Raises ReadmeError where they do not stand once each."""
    found = re.findall(f"{re.escape(BEGIN)}\n(.*?){re.escape(END)}", text, re.DOTALL)
    if len(found) != 1 or text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ReadmeError(f"README needs the marks {BEGIN} and {END} once each, in this order")
    return str(found[0])


def rewritten(text: str, new: str) -> str:
    """Return README with `new` between the marks. Raises ReadmeError."""
    return text.replace(BEGIN + "\n" + quoted(text) + END, f"{BEGIN}\n{new}{END}")


def block(folder: Path, beside: Path) -> str:
    """Return the text on the suite in `folder`, with links from a file in `beside`. Raises ReadmeError."""
    try:
        suite, first = (
            json.loads((folder / name / "summary.json").read_text(encoding="utf-8")) for name in (".", FIRST)
        )
        link = Path(os.path.relpath(folder, beside)).as_posix()
        return f"{_head(suite, first, link)}\n\n{_answer(first)}\n\n{_table(suite, link)}\n"
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ReadmeError(
            f"{folder}: no reported suite with a part {FIRST} ({error!r}); `make reference` keeps one"
        ) from error


def _head(suite: Mapping[str, Any], first: Mapping[str, Any], link: str) -> str:
    machine = first["run"]["machine"]
    return (
        f"The [reference run]({link}/report.md) (`make bench EXPERIMENT={suite['suite']['suite']} "
        f"PROFILE={suite['suite']['profile']}`), on {machine['cores']} cores of {machine['cpu']}, found:"
    )


def _answer(first: Mapping[str, Any]) -> str:
    """Return the answer's sentences as a list, that on each number of replicas apart and with its verdict in bold."""
    which, how_sure, costs = first["answer"]
    outcomes = [part.rstrip(".") for part in re.split(r"; (?=at \d+ replicas?, )", which)]
    told = [re.sub(r"^([^:]+):", r"**\1**:", part[:1].upper() + part[1:]) + "." for part in outcomes]
    return "\n".join(f"- {each}" for each in (*told, costs, how_sure))


def _table(suite: Mapping[str, Any], link: str) -> str:
    claims = {each["id"]: each for each in suite["claims"]}
    rows = [f"| {_cell(each)} |" for each in (claims[name] for name in TOLD)]
    head = ["| what is commonly said | measured | figure (95 % interval) |", "|---|---|---|"]
    tally = tally_of(each["verdict"] for each in suite["claims"])
    return "\n".join([*head, *rows, "", f"{tally} [All of them, with their rules]({link}/report.md)."])


def _cell(claim: Mapping[str, Any]) -> str:
    if claim["value"] is None:
        return f"{claim['claim']} | {claim['verdict']} | {NOTHING}"
    told, span = with_unit((claim["value"], claim["low"], claim["high"]), claim["unit"])
    return f"{claim['claim']} | {claim['verdict']} | {told} ({span})"


if __name__ == "__main__":
    raise SystemExit(main())
