"""Who signs in at a target: names and passwords from a file or from an environment variable, kept out of every run."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from loadtests.targets.spec import Target
from topology.spec import SpecError

Person = tuple[str, str]
"""User name and password."""

_HEADING = ["username", "password"]


def people_of(target: Target) -> tuple[Person, ...]:
    """Who signs in at the target: everyone in its source, in order; nobody where it has no sign-in.

    Raises SpecError for a source that is not there, or that holds something else; it never says what.
    """
    if target.login is None:
        return ()
    if target.credentials:
        where = f"credentials {target.credentials}"
        try:
            text = Path(target.credentials).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise SpecError(f"{target.name}: {where} cannot be read: {_why(error)}") from error
    else:
        where = f"the environment variable {target.credentials_env}"
        text = os.environ.get(target.credentials_env, "")
        if not text:
            raise SpecError(f"{target.name}: {where} is not set; it holds lines of username,password")
    rows = [row for row in csv.reader(io.StringIO(text), skipinitialspace=True) if row]
    if rows and rows[0] == _HEADING:
        rows = rows[1:]
    if not rows:
        raise SpecError(f"{target.name}: {where}: nobody stands there; a line is username,password")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(_HEADING) or not all(each and each.isprintable() for each in row):
            raise SpecError(f"{target.name}: {where}, person {number}: a line is username,password")
    return tuple((name, password) for name, password in rows)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or "it is not UTF-8"
