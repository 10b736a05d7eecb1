"""How often servers were right about who may come in: counted exactly, by what was asked, for trial.json.

A scheme that cannot know that a user signed out accepts the credential until it expires. That is what the scheme is,
and no fault of its server, so it is told apart (`by_design`) and makes no trial invalid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtests.samples import ACCEPTED, DROPPED, MUST_REFUSE, OK, REFUSED, REVOKED
from loadtests.targets.spec import Target
from topology.spec import Topology

Counts = Mapping[str, Mapping[str, int]]
"""Operation to outcome to requests of the measured phase."""


def by_design(topology: Topology | Target) -> frozenset[str]:
    """What of `MUST_REFUSE` these servers cannot always refuse: a credential that its user signed out of."""
    return frozenset({REVOKED}) if topology.lags or not topology.ends_at_once else frozenset()


def false_accepts(counted: Counts, accepted_by_design: frozenset[str] = frozenset()) -> dict[str, int]:
    """Requests that had to be refused and were not, by operation; those by design left out."""
    found = {name: counted.get(name, {}).get(ACCEPTED, 0) for name in MUST_REFUSE if name not in accepted_by_design}
    return {name: count for name, count in found.items() if count}


def accuracy_of(counted: Counts, topology: Topology | Target) -> dict[str, Any] | None:
    """What trial.json says of it; None where nothing was asked that had to be refused.

    `sent` is what was sent, `accepted` and `refused` how it was answered, `other` the rest: errors and no answers.
    """
    if not counted.keys() & set(MUST_REFUSE):
        return None
    known = by_design(topology)
    refuse = {
        name: {**_row(counted[name], accepted=ACCEPTED, refused=OK), "by_design": name in known}
        for name in MUST_REFUSE
        if name in counted
    }
    accept = {
        name: _row(outcomes, accepted=OK, refused=REFUSED)
        for name, outcomes in sorted(counted.items())
        if name and name not in MUST_REFUSE  # what was dropped was no operation yet
    }
    return {"must_refuse": refuse, "must_accept": accept}


def _row(outcomes: Mapping[str, int], *, accepted: str, refused: str) -> dict[str, int]:
    sent = sum(count for outcome, count in outcomes.items() if outcome != DROPPED)
    found = {"accepted": outcomes.get(accepted, 0), "refused": outcomes.get(refused, 0)}
    return {"sent": sent, **found, "other": sent - sum(found.values())}
