"""The sections of an experiment's file that has a `[target]`: those beside it, and what of the command line applies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtests import load_rules
from loadtests.keys import Kinds, check_keys
from topology.spec import SpecError

TARGET = "target"
"""The section, the launcher that starts nothing, and the scenario."""
SCENARIO = TARGET

_LOAD: Kinds = {key: kind for key, kind in load_rules.REQUIRED.items() if key != "scenario"}
_PLAN: Kinds = {"blocks": int, "seed": int}
_PLAN_OPTIONAL: Kinds = {"precision": (str, float), "max_blocks": int, "copies": int, "thresholds": list}
_APPLIES = ("options", "study", *_LOAD, *load_rules.OPTIONAL, *_PLAN, *_PLAN_OPTIONAL)


def check(name: str, document: Mapping[str, Any]) -> None:
    """Raise SpecError for a section or a key of the file `name` that an experiment with a target does not have."""
    for section in ("axes", "study"):
        if section in document:
            raise SpecError(
                f"{name}: [{section}] does not apply beside [target]: the service runs already, and its cells are "
                "[[target.systems]]"
            )
    check_keys(name, document, {"title": str, TARGET: dict, "load": dict, "plan": dict})
    if "scenario" in document["load"]:
        raise SpecError(f"{name} [load]: scenario does not apply beside [target]: [[target.requests]] is what is sent")
    check_keys(f"{name} [load]", document["load"], _LOAD, load_rules.OPTIONAL)
    check_keys(f"{name} [plan]", document["plan"], _PLAN, _PLAN_OPTIONAL)


def lay_over(document: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Lay the command line over the sections. Raises SpecError for a knob of a topology, which does not apply."""
    given = [key for key, value in changes.items() if value is not None and key not in _APPLIES]
    given += [*changes.get("options", {}), *changes.get("study", {})]
    if given:
        raise SpecError(
            f"{', '.join(sorted(given))}: nothing of ours is started for a [target], so there is nothing to set; what "
            "varies is [[target.systems]]"
        )
    for section, keys in (("load", (*_LOAD, *load_rules.OPTIONAL)), ("plan", (*_PLAN, *_PLAN_OPTIONAL))):
        document[section] |= {key: changes[key] for key in keys if changes.get(key) is not None}
    document["load"]["scenario"] = SCENARIO
