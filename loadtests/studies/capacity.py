"""The study of capacity: the highest open-loop rate that meets an objective, per cell, and what limits it.

The servers of a trial stay up for all probes. RATE is where the search starts, DURATION the length of a probe and
WARMUP of the load before it; every probe signs its users in anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadtests.capacity_search import Found, search
from loadtests.experiment import Cell, Load
from loadtests.limits import GENERATOR_BUSY, OTHERS_SHARE, Busy, limit
from loadtests.pacing import CLOSED
from loadtests.probe import Prober
from loadtests.slo import Slo
from loadtests.stage import Surroundings, fresh_folder, refusals_expected, serving, unloaded_record
from loadtests.study import Setting, Study
from loadtests.trial import finish
from loadtests.verify import verify
from topology.spec import SpecError, Topology


def _resolution(text: str) -> float:
    share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0.005 <= share <= 0.5:  # noqa: PLR2004 - finer than probes can tell, coarser than the doubling
        raise ValueError(f"{text!r} must lie between 0.5% and 50%")
    return share


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:  # noqa: PLR2004 - an hour
        raise ValueError(f"{text!r} must be above 0 and at most 3600 seconds")
    return seconds


SETTINGS = (
    Setting("slo", "p99 < 50 ms", "the objective: p50, p90, p99 or mean under so many ms, as in 'p99<50ms'", Slo.parse),
    Setting("resolution", "5%", "how near to the capacity the search goes, as a share: 5%% or 0.05", _resolution),
    Setting("confirm_s", "6", "seconds of the longer stage that confirms what was found", _seconds),
)
LOADS = False


def cases(study: Study, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001 - the seam's
    """Every topology once; none where users are refused by replicas that do not know them: no rate is met there."""
    return () if refusals_expected(topology) else ("",)


def check_load(load: Load) -> None:
    """Raise SpecError for a load that has no one rate to search, or settings that no probe would keep."""
    if load.model == CLOSED:
        raise SpecError("capacity is the highest rate of an open loop: leave out MODEL=closed")
    for name, value in (("RAMP_TO", load.ramp_to_rps), ("MAX_IN_FLIGHT", load.max_in_flight)):
        if value:
            raise SpecError(
                f"{name} has no meaning in a search for capacity: each probe has one rate, and drops nothing"
            )
    if load.warm_up_max_s and load.warm_up_s:
        raise SpecError("WARMUP_MAX has no meaning in a search for capacity: above capacity no warm-up is ever steady")


def run_trial(
    around: Surroundings, cell: Cell, block: int, position: int, doing: Callable[[str], None]
) -> dict[str, Any]:
    """Search the capacity of a cell on fresh servers; as `loadtests.trial.run_trial`.

    A trial is invalid when no rate met the objective, or what was found could not be confirmed.
    """
    study = around.experiment.study
    folder, earlier = fresh_folder(around, cell, block)
    began = time.monotonic()
    doing("starting")
    with serving(around, cell, folder) as servers:
        doing("verifying")
        verified = verify(servers, around.experiment.settings["accounts"])
        slo = Slo.parse(study["slo"])
        prober = Prober(around, block, folder, servers, slo, float(study["confirm_s"]))

        def probe(rate_rps: float, confirm: bool) -> Any:  # noqa: FBT001 - the search's seam
            doing(f"{'confirming' if confirm else 'probing'} {rate_rps:.0f} requests/s")
            return prober(rate_rps, confirm)

        found = search(around.experiment.load.rate_rps, _resolution(study["resolution"]), probe)
    record = unloaded_record() | {
        "verified": verified,
        "seconds": {"total": time.monotonic() - began},
        "study": _study_record(found, slo, prober.kept),
        "components": prober.kept[-1]["components"],  # of the last probe: which quotas held
    }
    if found.capacity_rps is None:
        record |= {"valid": False, "invalid_reasons": [f"no rate met {slo}, or none could be confirmed"]}
    return finish(around, cell, block, position, earlier, record)


def _study_record(found: Found, slo: Slo, probes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "capacity_rps": found.capacity_rps,
        "missed_rps": found.missed_rps,
        "at_least": found.at_least,
        "slo": str(slo),
        "limit": _limit(found, probes),
        "others_share": next(
            (each["others_share"] for each in reversed(probes) if each["rate_rps"] == found.missed_rps), None
        ),
        "probes": list(probes),
    }
    return {**made, "told": told(made)}


def _limit(found: Found, probes: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What ended the search, by what was busy at the lowest rate that missed: there the queue is where the limit is.

    None where no server was full: then it is latency that misses, at a load that every component could carry.
    """
    if found.missed_rps is None:
        return None
    last = next(each for each in reversed(probes) if each["rate_rps"] == found.missed_rps)
    if found.at_least:
        why = last["unjudged_because"] or "three probes, three outcomes"
        return Busy(GENERATOR_BUSY, last["generator"]["cpu_share"], "a core").as_dict() | {"because": why}
    full = limit(tuple(Busy(**each) for each in last["busy"]))
    return full.as_dict() if full else None


def told(study: Mapping[str, Any]) -> str:
    """Return what was found in a few words, for the progress line."""
    if study["capacity_rps"] is None:
        return f"no rate met {study['slo']}"
    rate, full = f"{study['capacity_rps']:.0f} requests/s", study["limit"]
    if study["at_least"]:
        return f"at least {rate}, {full['because'] if full else 'the search ended there'}"
    if full:
        return f"{rate}, limited by {full['kind']} ({full['share']:.0%} of {full['of']})"
    others = study["others_share"] or 0.0
    beside = f" while other programs took {others:.0%} of the machine" if others > OTHERS_SHARE else ""
    return f"{rate}, by latency{beside}"
