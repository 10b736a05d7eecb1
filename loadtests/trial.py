"""One trial: one cell once, on fresh servers."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from loadtests import control, gates, machine
from loadtests.experiment import Cell, Experiment
from loadtests.generator import Generator, GeneratorError
from loadtests.pacing import CLOSED
from loadtests.run_folder import write_json
from loadtests.verify import VerificationError, verify
from topology.backing import StoreCounters
from topology.cpu import Cores, Usage
from topology.local import Accounts, RunningTopology, running
from topology.reaper import Reaper
from topology.spec import Topology

FORMAT = 1
_DRAIN_S = 5.0


@dataclass(frozen=True)
class Surroundings:
    """What all trials of a run share."""

    experiment: Experiment
    run_folder: Path
    accounts: Accounts
    reaper: Reaper
    cores: Cores


@dataclass(frozen=True)
class _Reading:
    """Every counter at one moment, with nothing in flight."""

    at_s: float
    usage: dict[str, Usage]
    store: StoreCounters | None
    balancer: dict[str, int]
    generator_cpu_ns: int
    machine: machine.CpuTimes


def run_trial(
    around: Surroundings, cell: Cell, block: int, position: int, doing: Callable[[str], None]
) -> dict[str, Any]:
    """Run the trial and leave its folder complete; returns what trial.json holds.

    A folder that an interrupted or invalid attempt left is removed first; the reasons against an invalid one are kept
    on record. `doing` is told each step.
    Raises ComponentError, VerificationError, GeneratorError, OSError; then the folder has no trial.json.
    """
    folder = _folder(around, cell, block)
    earlier = _reasons_against_earlier(folder)
    shutil.rmtree(folder, ignore_errors=True)
    logs = folder / "logs"
    logs.mkdir(parents=True)
    load, accounts = around.experiment.load, around.experiment.settings["accounts"]
    began = time.monotonic()
    generator = Generator(
        load,
        # not the cell's: every cell of a block is asked for the same arrivals
        seed=(around.experiment.seed, block),
        accounts=accounts,
        folder=folder,
        environment=around.reaper.environment,
        cores=around.cores.generator,
        runtime=around.reaper.folder / f"control-{secrets.token_hex(4)}",
    )
    doing("starting")
    with (
        generator,
        running(cell.topology, around.accounts, logs=logs, reaper=around.reaper, cores=around.cores.servers) as servers,
        _naming_the_dead(servers),
    ):
        doing("verifying")
        verified = verify(servers, accounts)
        empty = servers.store_counters()
        ready = time.monotonic()
        doing("signing in")
        address = f"{servers.url} {servers.authority}" if servers.authority else servers.url
        generator.step(control.LOG_IN, address, control.LOGGED_IN, within_s=60, check=servers.check)
        signed_in = time.monotonic()
        doing("warming up")
        generator.step(
            control.WARM_UP, "", control.WARMED_UP, within_s=load.most_warm_up_s + _DRAIN_S, check=servers.check
        )
        before = _read(servers, generator)
        doing("measuring")
        generator.step(control.MEASURE, "", control.MEASURED, within_s=load.duration_s + _DRAIN_S, check=servers.check)
        after = _read(servers, generator)
        counts = generator.finish()
        servers.check()
        kinds = servers.kinds()
    doing("writing")
    record = _record(around, cell, before, after, counts, kinds, gates.read_sent(generator.samples))
    if record["store"] and empty:
        record["store"]["memory_bytes_before_login"] = empty.memory_bytes
    record |= {
        "cell": cell.id,
        "block": block,
        "position": position,
        "verified": verified,
        "earlier_attempt": earlier,
        "seconds": {"start": ready - began, "login": signed_in - ready, "total": time.monotonic() - began},
    }
    write_json(folder / "trial.json", record)
    return record


def finished_trial(around: Surroundings, cell: Cell, block: int) -> dict[str, Any] | None:
    """trial.json of a trial that an interrupted run has finished."""
    path = _folder(around, cell, block) / "trial.json"
    record: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return record


def _folder(around: Surroundings, cell: Cell, block: int) -> Path:
    return around.run_folder / "trials" / str(block) / cell.id


def _reasons_against_earlier(folder: Path) -> list[str] | None:
    """Why the attempt before this one does not count, kept beside the folder in case this one is interrupted."""
    kept, trial = folder.with_name(f"{folder.name}.earlier.json"), folder / "trial.json"
    if trial.exists():
        write_json(kept, {"invalid_reasons": json.loads(trial.read_text())["invalid_reasons"]})
    if not kept.exists():
        return None
    reasons: list[str] = json.loads(kept.read_text())["invalid_reasons"]
    return reasons


@contextlib.contextmanager
def _naming_the_dead(servers: RunningTopology) -> Iterator[None]:
    """When something fails because a server died, say that it died, with its last log lines."""
    try:
        yield
    except (VerificationError, GeneratorError, OSError, psutil.NoSuchProcess):
        servers.check()
        raise


def refusals_expected(topology: Topology) -> bool:
    """Whether a signed-in user may meet a replica that does not know the session: a finding, not a fault."""
    return topology.replicas > 1 and (topology.lags or not topology.accepts_everywhere)


def _read(servers: RunningTopology, generator: Generator) -> _Reading:
    return _Reading(
        at_s=time.monotonic(),
        usage=servers.usage(),
        store=servers.store_counters(),
        balancer=servers.balancer_requests(),
        generator_cpu_ns=generator.cpu_ns(),
        machine=machine.cpu_times(),
    )


def _record(
    around: Surroundings,
    cell: Cell,
    before: _Reading,
    after: _Reading,
    counts: dict[str, Any],
    kinds: dict[str, str],
    sent: gates.Sent,
) -> dict[str, Any]:
    length_s = after.at_s - before.at_s
    balanced = {name: after.balancer[name] - before.balancer[name] for name in after.balancer}
    cpu_share = (after.generator_cpu_ns - before.generator_cpu_ns) / 1e9 / length_s
    shares = after.machine.since(before.machine)
    reasons = gates.reasons_against(
        sent,
        generator_cpu_share=cpu_share,
        steal_share=shares["steal_share"],
        refusals_expected=refusals_expected(cell.topology),
        balanced=sum(balanced.values()),
        locust=counts["requests"],
        closed=around.experiment.load.model == CLOSED,
        warm_up=counts["warm_up"],
    )
    return {
        "format": FORMAT,
        "valid": not reasons,
        "invalid_reasons": reasons,
        "duration_s": around.experiment.load.duration_s,
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
            "users": around.experiment.load.users,
            "locust_requests": counts["requests"],
            "locust_failures": counts["failures"],
        },
        "machine": shares,
        "components": _components(before, after, kinds),
        "store": _store(before.store, after.store),
        "balancer": {"requests": balanced},
    }


def _components(before: _Reading, after: _Reading, kinds: dict[str, str]) -> dict[str, Any]:
    return {
        name: {
            "kind": kinds[name],
            "cpu_ns": usage.cpu_ns - before.usage[name].cpu_ns,
            "rss_bytes": usage.rss_bytes,
            "pids": usage.pids,
        }
        for name, usage in after.usage.items()
    }


def _store(before: StoreCounters | None, after: StoreCounters | None) -> dict[str, Any] | None:
    if before is None or after is None:
        return None
    return asdict(after.since(before))
