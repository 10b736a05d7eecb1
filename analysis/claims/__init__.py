"""The ledger: common claims on sessions and tokens, each judged by a rule from what runs measured.

No verdict is written by hand. One file per group of claims, each with `CLAIMS`; `judge_all` asks them all.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable

from analysis.claims.evidence import Claim, Evidence, Judged, Ruling

_NOT_CLAIMS = ("evidence", "conjunction", "figures")


def all_claims() -> tuple[Claim, ...]:
    """Return every claim, in the order of the groups."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name not in _NOT_CLAIMS)
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(claim for module in sorted(modules, key=lambda each: each.PLACE) for claim in module.CLAIMS)


def judge_all(evidence: Evidence, claims: Iterable[Claim] | None = None) -> tuple[Ruling, ...]:
    """Return a ruling on every claim; one that the evidence says nothing of is not measured."""
    return tuple(
        Ruling(claim, claim.judge(evidence) or _not_measured(claim))
        for claim in (all_claims() if claims is None else claims)
    )


def _not_measured(claim: Claim) -> Judged:
    return Judged("not measured", None, "", f"Not measured here; `{claim.command}` measures it.")
