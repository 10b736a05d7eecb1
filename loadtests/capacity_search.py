"""The search for the highest rate that meets an objective: doubling, bisection, and a majority of repeated probes.

As RFC 2544 (section 26.1) searches the throughput of a network device, with the repetition that a noisy outcome asks
for: two probes of the same outcome decide a rate, an exceed ratio of one half (Konstantynowicz and Polák, Multiple Loss
Ratio Search, draft-ietf-bmwg-mlrsearch). Pure: what a probe is, and when one alone is clear enough, its caller knows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["met", "missed", "unjudged"]
MET: Outcome = "met"
MISSED: Outcome = "missed"
UNJUDGED: Outcome = "unjudged"
"""The generator could not send as it should, or the machine lost time: that says nothing of the servers."""

PROBES_PER_RATE = 3
LEAST_RPS, MOST_RPS = 1.0, 20_000.0
_MOST_STEPS_DOWN = 6


@dataclass(frozen=True)
class Seen:
    """What one probe showed; `clear` where no second one is needed."""

    outcome: Outcome
    clear: bool = False


Probe = Callable[[float, bool], Seen]
"""From a rate, and whether it is to be confirmed (a longer stage), to what was seen."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        capacity_rps: the highest rate that met the objective and was confirmed; None where none did.
        missed_rps: the lowest rate above it that did not; None where the search ended without.
        ended: why nothing higher counts: `missed`, `unjudged`, or `limit` (`MOST_RPS`).
        decided: each rate that was decided, to its outcome.

    """

    capacity_rps: float | None
    missed_rps: float | None
    ended: Literal["missed", "unjudged", "limit"]
    decided: Mapping[float, Outcome] = field(default_factory=dict)

    @property
    def at_least(self) -> bool:
        """Whether the servers may well do more than `capacity_rps`: it was not they who ended the search."""
        return self.ended != MISSED


def search(start_rps: float, resolution: float, probe: Probe) -> Found:
    """Double from `start_rps` until a rate misses (halve while it does), bisect to `resolution` (a share), confirm.

    Rates are bisected by their geometric mean, because resolution is a share. A confirmation that fails steps down by
    the resolution and is tried again, a few times.
    """
    decided: dict[float, Outcome] = {}
    met, failed = _bracket(start_rps, probe, decided)
    while met is not None and failed is not None and failed / met > 1 + resolution:
        middle = math.sqrt(met * failed)
        if _decide(middle, probe, decided) == MET:
            met = middle
        else:
            failed = middle
    for _ in range(_MOST_STEPS_DOWN):
        if met is None or (outcome := _majority(met, probe, confirm=True)) == MET:
            break
        decided[met] = outcome
        failed, met = met, met / (1 + resolution)
    else:
        met = None
    ended = "limit" if failed is None else "unjudged" if decided[failed] == UNJUDGED else "missed"
    return Found(met, failed, ended, decided)  # type: ignore[arg-type] # one of its three words


def _bracket(start_rps: float, probe: Probe, decided: dict[float, Outcome]) -> tuple[float | None, float | None]:
    """The highest rate that met and the lowest that did not, a factor of two apart; None where there is none."""
    rate = start_rps
    met = failed = None
    while LEAST_RPS <= rate <= MOST_RPS and (met is None or failed is None):
        if _decide(rate, probe, decided) == MET:
            met = rate
            rate *= 2
        else:
            failed = rate
            rate /= 2
    return met, failed


def _decide(rate: float, probe: Probe, decided: dict[float, Outcome]) -> Outcome:
    decided[rate] = _majority(rate, probe, confirm=False)
    return decided[rate]


def _majority(rate: float, probe: Probe, *, confirm: bool) -> Outcome:
    """The outcome that two probes share, or one that is clear; of three that all differ, that nothing is known."""
    counted: Counter[Outcome] = Counter()
    for _ in range(PROBES_PER_RATE):
        seen = probe(rate, confirm)
        counted[seen.outcome] += 1
        if seen.clear or counted[seen.outcome] > PROBES_PER_RATE // 2:
            return seen.outcome
    return UNJUDGED
