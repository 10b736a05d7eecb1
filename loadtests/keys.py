"""The keys of a table in an experiment's file: which there are, which must be there, and what each takes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from topology.spec import SpecError

Kinds = Mapping[str, type | tuple[type, ...]]
"""Key to what its value is an instance of."""


def check_keys(where: str, given: Mapping[str, Any], required: Kinds, optional: Kinds | None = None) -> None:
    """Raise SpecError for a key that is unknown or missing, or a value of another kind; says `where` it stands."""
    known = {**required, **(optional or {})}
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            guess = f" (did you mean {near[0]!r}?)" if near else ""
            raise SpecError(f"{where}: {key!r} is unknown{guess}; there are: {', '.join(known)}")
    for key, kind in known.items():
        if key not in given and key not in required:
            continue
        if key not in given:
            raise SpecError(f"{where}: {key!r} is missing")
        # a bool is an int to Python, and to nobody who writes an experiment
        if not isinstance(given[key], kind) or (isinstance(given[key], bool) and kind is not bool):
            raise SpecError(f"{where}: {key} has the wrong type: {given[key]!r}")
