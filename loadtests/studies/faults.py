"""What breaks when something breaks: a steady open load, and in the middle of it one fault.

The part before the fault is each trial's own baseline. Cases are the faults of `loadtests.fault_cases`; what becomes of
the users is in the samples of the scenario `counter`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loadtests import fault_gates, gates, machine
from loadtests.experiment import Cell, Load
from loadtests.fault_cases import FAULTS, Step, asked_for, cases_of, refuse_the_impossible
from loadtests.fault_end import mended
from loadtests.fault_script import Script
from loadtests.pacing import CLOSED
from loadtests.samples import DROPPED, ERROR, FAILED, REFUSED, TIMEOUT
from loadtests.stage import (
    Stage,
    Surroundings,
    fresh_folder,
    generator_for,
    refusals_expected,
    serving,
    unloaded_record,
)
from loadtests.study import Setting, Study
from loadtests.trial import finish
from loadtests.verify import verify
from topology.local import RunningTopology
from topology.spec import SpecError, Topology

_LEAST_S, _MOST_S = 0.5, 60.0
_SCENARIO = "counter"
_AFTER_S = 1.0  # in which there is something to recover


def _seconds(text: str) -> float:
    """A length that a part of a trial can have. Raises ValueError."""
    try:
        seconds = float(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a number of seconds") from error
    if not _LEAST_S <= seconds <= _MOST_S:
        raise ValueError(f"must lie between {_LEAST_S:g} and {_MOST_S:g} seconds, not {text}")
    return seconds


SETTINGS = (
    Setting("faults", "all", f"comma-separated: {', '.join(FAULTS)}; all that a cell can have by default", asked_for),
    Setting("fault_at", "2.5", "seconds of steady load before the fault", _seconds),
    Setting("fault_for", "2", "seconds until what is dead, frozen or cut off is put right", _seconds),
)
LOADS = False  # its samples are of broken servers: no figure of theirs stands beside a healthy cell's


def cases(study: Study, topology: Topology) -> tuple[str, ...]:
    """The faults that this topology is put through."""
    return cases_of(asked_for(study["faults"]), topology)


def check(study: Study, topologies: Sequence[Topology], load: Load) -> None:
    """Raise SpecError for a fault that was named and cannot be had, and for a trial too short to see one end."""
    refuse_the_impossible(study["faults"], topologies)
    least_s = float(study["fault_at"]) + float(study["fault_for"]) + _AFTER_S
    if load.duration_s < least_s:
        raise SpecError(
            f"duration: {load.duration_s:g} s end before the fault has; with fault_at {study['fault_at']} "
            f"and fault_for {study['fault_for']} it takes {least_s:g} s at least"
        )
    if load.scenario != _SCENARIO:
        raise SpecError(
            f"scenario: only the users of {_SCENARIO} sign in again and miss a change, not {load.scenario}'s"
        )
    if load.model == CLOSED:
        raise SpecError("model: a closed loop waits with what is broken and so hides it; faults take the open model")


def run_trial(
    around: Surroundings, cell: Cell, block: int, position: int, doing: Callable[[str], None]
) -> dict[str, Any]:
    """As `loadtests.trial.run_trial`, with the cell's fault in the measured phase, and what it broke put right."""
    folder, earlier = fresh_folder(around, cell, block)
    began = time.monotonic()
    generator = generator_for(around, block, folder)
    doing("starting")
    with generator, serving(around, cell, folder) as servers:
        # a server that dies beside the fault is found in the end; the load goes on as users do
        stage = Stage(servers, generator, around.experiment.load, lambda: None)
        doing("verifying")
        verified = verify(servers, around.experiment.settings["accounts"])
        doing("signing in")
        stage.sign_in()
        doing("warming up")
        stage.warm_up()
        before = _read(stage)
        doing(cell.case)
        with Script(_steps(around, cell, servers), servers) as script:
            stage.measure()
            after = _read(stage)
            script.wait()
        counts = generator.finish()
        doing("putting it right")
        ended = mended(servers, around.experiment.settings["accounts"], script)
        record = _record(stage, cell, (before, after), script, counts) | {"verified": verified}
    record["study"] |= {"fault": cell.case, "ended": ended}
    record["study"]["told"] = _told(record)
    record["seconds"] = {"total": time.monotonic() - began}
    return finish(around, cell, block, position, earlier, record)


@dataclass(frozen=True)
class _Reading:
    at_s: float
    generator_cpu_ns: int
    machine: machine.CpuTimes
    balancer: dict[str, int]


def _read(stage: Stage) -> _Reading:
    """What can be read while servers are dead."""
    return _Reading(time.monotonic(), stage.generator.cpu_ns(), machine.cpu_times(), stage.servers.balancer_requests())


def _steps(around: Surroundings, cell: Cell, servers: RunningTopology) -> tuple[Step, ...]:
    names = {kind: [name for name, its in servers.kinds().items() if its == kind] for kind in ("replica", "store")}
    study = around.experiment.study
    at_s, for_s = float(study["fault_at"]), float(study["fault_for"])
    return FAULTS[cell.case].steps(names["replica"], names["store"], at_s, for_s)


def _record(
    stage: Stage, cell: Cell, read: tuple[_Reading, _Reading], script: Script, counts: dict[str, Any]
) -> dict[str, Any]:
    """What trial.json says of the load; the figures of components are of no use where some of them died."""
    before, after = read
    samples, load = stage.generator.samples, stage.load
    sent = gates.read_sent(samples)
    fault_ns = script.done[0].began_ns if script.done else time.monotonic_ns()
    early = fault_gates.before_the_fault(samples, fault_ns)
    cpu_share = (after.generator_cpu_ns - before.generator_cpu_ns) / 1e9 / (after.at_s - before.at_s)
    shares = after.machine.since(before.machine)
    reasons = fault_gates.reasons_against(
        sent,
        early,
        generator_cpu_share=cpu_share,
        steal_share=shares["steal_share"],
        refusals_expected=refusals_expected(cell.topology),
        locust=counts["requests"],
        warm_up=counts["warm_up"],
    )
    return unloaded_record() | {
        "valid": not reasons,
        "invalid_reasons": reasons,
        "duration_s": load.duration_s,
        "measured_from_ns": counts["measured_from_ns"],
        "warm_up": counts["warm_up"],
        "scheduled": sent.scheduled,
        "sent": sent.sent,
        "dropped": sent.dropped,
        "late": sent.late,
        "outcomes": sent.outcomes,
        "response_p50_ms": sent.response_p50_ms,
        "generator": {
            "cpu_share": cpu_share,
            "lateness_p50_ms": sent.lateness_p50_ms,
            "lateness_p99_ms": sent.lateness_p99_ms,
            "users": load.users,
            "locust_requests": counts["requests"],
            "locust_failures": counts["failures"],
        },
        "machine": shares,
        "balancer": {"requests": {name: after.balancer[name] - before.balancer[name] for name in after.balancer}},
        "study": {
            "steps": [each.as_dict() for each in script.done],
            "failure": script.failure,
            "before": early,
            "losses": counts["losses"],
        },
    }


def _told(record: dict[str, Any]) -> str:
    """The trial in a few words."""
    study, outcomes = record["study"], record["outcomes"]
    failed = sum(outcomes.get(name, 0) for name in (ERROR, TIMEOUT, FAILED, DROPPED))
    lost = sum(each["came_back_ns"] is None for each in study["losses"])
    end = "healthy again" if study["ended"]["healthy"] else f"NOT healthy again: {study['ended']['why']}"
    told = f"{failed} failed, {outcomes.get(REFUSED, 0)} refused"
    return f"{told}{f', {lost} lost acknowledged changes' if lost else ''}, {end.splitlines()[0]}"
