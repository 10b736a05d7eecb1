"""The table of docs/security.md, made from the checks and mutations themselves: `python -m tests.security.table`."""

from __future__ import annotations

import sys

from tests.security.broken.mutations import MUTATIONS
from tests.security.checklist import CHECKLISTS, Check, checks
from tests.security.systems import kinds


def table() -> str:
    """Markdown: a row per check, in the order of the checklists."""
    lines = []
    for name, texts in CHECKLISTS.items():
        lines += [
            f"## {name}",
            "",
            "| what it needs | test | schemes | standard | seen to fail with |",
            "|---|---|---|---|---|",
        ]
        for text in texts:
            lines += [_row(check) for check in checks().values() if (check.checklist, check.line) == (name, text)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _row(check: Check) -> str:
    schemes = ", ".join(
        f"`{scheme}`{_some(check, scheme)}" for scheme in dict.fromkeys(each.scheme for each in check.kinds)
    )
    broken = ", ".join(name.replace("_", " ") for name, each in MUTATIONS.items() if each.check == check.name)
    return f"| {check.line} | `{check.name}` | {schemes} | {check.standard} | {broken} |"


def _some(check: Check, scheme: str) -> str:
    """With which options alone the line applies to the scheme, where it does not apply to all its kinds."""
    of_scheme = [each for each in kinds() if each.scheme == scheme]
    here = [each for each in check.kinds if each.scheme == scheme]
    if len(here) == len(of_scheme):
        return ""
    options = [f"{name}={value}" for each in here for name, value in each.options]
    return f" ({', '.join(dict.fromkeys(options))})" if all(each.options for each in here) else ""


if __name__ == "__main__":
    sys.stdout.write(table())
