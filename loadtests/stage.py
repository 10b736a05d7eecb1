"""The steps of a trial on running servers, each of which a study may take in its own way or leave out."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from loadtests import accuracy, control, gates, machine, remote, workers
from loadtests.experiment import Cell, Experiment, Load
from loadtests.generator import Generator, GeneratorError
from loadtests.pacing import CLOSED
from loadtests.run_folder import write_json
from loadtests.targets.spec import Target
from loadtests.verify import VerificationError, verify
from loadtests.workers import Worker
from topology.backing import StoreCounters
from topology.cpu import Cores, Usage
from topology.local import Accounts, RunningTopology, running
from topology.quota import Throttling
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
    running: Callable[..., AbstractContextManager[RunningTopology]] = running  # how topologies are started
    verify: Callable[[Any, int], dict[str, Any]] = verify  # as `loadtests.verify.verify`
    tell: Callable[[Cell, Path], dict[str, str]] = lambda _cell, _folder: {}
    """What the generator's environment says of a cell besides; files that it names are written into the folder."""

    def folder(self, cell: Cell, block: int) -> Path:
        """Of a trial."""
        return self.run_folder / "trials" / str(block) / cell.id


@dataclass(frozen=True)
class Reading:
    """Every counter at one moment, with nothing in flight."""

    at_s: float
    usage: dict[str, Usage]
    store: StoreCounters | None
    balancer: dict[str, int]
    generator_cpu_ns: int
    machine: machine.CpuTimes
    throttling: dict[str, Throttling] = field(default_factory=dict)


def fresh_folder(around: Surroundings, cell: Cell, block: int) -> tuple[Path, list[str] | None]:
    """The trial's folder, empty but for `logs`, and the reasons against an earlier attempt (None without one).

    What an interrupted or invalid attempt left is removed; the reasons are kept beside it, in case this one is
    interrupted.
    Raises OSError.
    """
    folder = around.folder(cell, block)
    earlier = reasons_against_earlier(folder)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "logs").mkdir(parents=True)
    return folder, earlier


def generator_for(
    around: Surroundings, block: int, folder: Path, load: Load | None = None, told: Mapping[str, str] | None = None
) -> Generator:
    """A generator that is being started; its samples and its log go to `folder`.

    `load` is the experiment's unless given; `told` is what its environment says besides. The seed is not the cell's:
    every cell of a block is asked for the same arrivals.
    """
    return Generator(
        load or around.experiment.load,
        seed=(around.experiment.seed, block),
        accounts=around.experiment.settings["accounts"],
        folder=folder,
        environment={**around.reaper.environment, **(told or {})},
        cores=around.cores.generator,
        runtime=around.reaper.folder / f"control-{secrets.token_hex(4)}",
    )


@contextlib.contextmanager
def serving(around: Surroundings, cell: Cell, folder: Path) -> Iterator[RunningTopology]:
    """The cell's servers, running; what fails because one of them died says that it died, with its last log lines.

    Raises ComponentError, NoFreePortError, BinaryError.
    """
    beyond: dict[str, Any] = {"also_on": remote.address()[0]} if around.experiment.load.remote_workers else {}
    with around.running(
        cell.topology,
        around.accounts,
        logs=folder / "logs",
        reaper=around.reaper,
        cores=around.cores.servers,
        **beyond,
    ) as servers:
        try:
            yield servers
        except (VerificationError, GeneratorError, OSError, psutil.NoSuchProcess):
            servers.check(servers.down)
            raise


@dataclass(frozen=True)
class Stage:
    """One generator with its load on one running topology.

    `check` raises when something has died that should be alive; a study that kills servers gives its own.
    """

    servers: RunningTopology
    generator: Generator
    load: Load
    check: Callable[[], None]

    def sign_in(self) -> None:
        """All users sign in."""
        address = f"{self.servers.url} {self.servers.authority}" if self.servers.authority else self.servers.url
        self.generator.step(control.LOG_IN, address, control.LOGGED_IN, within_s=60, check=self.check)

    def warm_up(self) -> None:
        """Load until it is steady; returns with nothing in flight."""
        self.generator.step(
            control.WARM_UP, "", control.WARMED_UP, within_s=self.load.most_warm_up_s + _DRAIN_S, check=self.check
        )

    def measure(self) -> None:
        """The measured phase; returns with nothing in flight."""
        self.generator.step(
            control.MEASURE, "", control.MEASURED, within_s=self.load.duration_s + _DRAIN_S, check=self.check
        )

    def read(self) -> Reading:
        """Read every counter. Raises OSError, and psutil.NoSuchProcess."""
        return Reading(
            at_s=time.monotonic(),
            usage=self.servers.usage(),
            store=self.servers.store_counters(),
            balancer=self.servers.balancer_requests(),
            generator_cpu_ns=self.generator.cpu_ns(),
            machine=machine.cpu_times(),
            throttling=self.servers.throttling(),
        )


def record_of(
    stage: Stage, topology: Topology | Target, before: Reading, after: Reading, counts: dict[str, Any],
    sent: gates.Sent, spread: Sequence[Worker] = (),
) -> dict[str, Any]:  # fmt: skip
    """What trial.json says of a measured phase between two readings; `counts` is what the generator said in the end.

    `spread` are its workers, where it was several processes: then each has used its own share of a core.
    """
    load = stage.load
    length_s = after.at_s - before.at_s
    balanced = {name: after.balancer[name] - before.balancer[name] for name in after.balancer}
    here = (after.generator_cpu_ns - before.generator_cpu_ns) / 1e9 / length_s
    cpu_share = max((each.cpu_share for each in spread), default=here)
    shares = after.machine.since(before.machine)
    reasons = gates.reasons_against(
        sent,
        generator_cpu_share=cpu_share,
        steal_share=shares["steal_share"],
        refusals_expected=refusals_expected(topology),
        accepted_by_design=accuracy.by_design(topology),
        balanced=None if isinstance(topology, Target) else sum(balanced.values()),
        locust=counts["requests"],
        closed=load.model == CLOSED,
        warm_up=counts["warm_up"],
    )
    cores = stage.generator.core_count
    reasons += workers.reasons_against(spread, locust=counts["requests"], cores=cores, late=load.model != CLOSED)
    return {
        "format": FORMAT,
        "valid": not reasons,
        "invalid_reasons": reasons,
        "duration_s": load.duration_s,
        "counted_s": length_s,
        "measured_from_ns": counts["measured_from_ns"],
        "warm_up": counts["warm_up"],
        "scheduled": sent.scheduled,
        "sent": sent.sent,
        "dropped": sent.dropped,
        "late": sent.late,
        "outcomes": sent.outcomes,
        "accuracy": accuracy.accuracy_of(sent.by_operation, topology),
        "response_p50_ms": sent.response_p50_ms,
        "generator": {
            "cpu_share": cpu_share,
            "lateness_p50_ms": sent.lateness_p50_ms,
            "lateness_p99_ms": sent.lateness_p99_ms,
            "users": load.users,
            "locust_requests": counts["requests"],
            "locust_failures": counts["failures"],
            **workers.as_dict(spread, here),
        },
        "machine": shares,
        "components": _components(before, after, stage.servers.kinds()),
        "store": _store(before.store, after.store),
        "balancer": {"requests": balanced},
    }


def unloaded_record() -> dict[str, Any]:
    """What trial.json holds of a trial without a load: the same fields, nothing sent; valid."""
    return {
        "format": FORMAT,
        "valid": True,
        "invalid_reasons": [],
        "duration_s": 0.0,
        "measured_from_ns": None,
        "warm_up": {},
        "scheduled": 0,
        "sent": 0,
        "dropped": 0,
        "late": 0,
        "outcomes": {},
        "accuracy": None,
        "response_p50_ms": 0.0,
        "generator": {},
        "machine": {},
        "components": {},
        "store": None,
        "balancer": {"requests": {}},
    }


def refusals_expected(topology: Topology | Target) -> bool:
    """Whether a signed-in user may meet a replica that does not know the session: a finding, not a fault."""
    # sticky keeps a user with the replica that knows the session, but even that one's own copy of a store may lag
    lost = not topology.accepts_everywhere and not topology.sticky
    return topology.replicas > 1 and (topology.lags or lost)


def reasons_against_earlier(folder: Path) -> list[str] | None:
    """Why the attempt before this one does not count, kept beside the folder in case this one is interrupted."""
    kept, trial = folder.with_name(f"{folder.name}.earlier.json"), folder / "trial.json"
    if trial.exists():
        write_json(kept, {"invalid_reasons": json.loads(trial.read_text())["invalid_reasons"]})
    if not kept.exists():
        return None
    reasons: list[str] = json.loads(kept.read_text())["invalid_reasons"]
    return reasons


def _components(before: Reading, after: Reading, kinds: dict[str, str]) -> dict[str, Any]:
    return {
        name: {
            "kind": kinds[name],
            "cpu_ns": usage.cpu_ns - before.usage[name].cpu_ns,
            "rss_bytes": usage.rss_bytes,
            "pids": usage.pids,
            **_quota(before.throttling.get(name), after.throttling.get(name)),
        }
        for name, usage in after.usage.items()
    }


def _quota(before: Throttling | None, after: Throttling | None) -> dict[str, Any]:
    """Of a component that has a quota which holds: what it is, and how often it met it."""
    if before is None or after is None:
        return {}
    counted = after.since(before)
    return {
        "quota_cpus": counted.quota.cpus,
        "quota_period_us": counted.quota.period_us,
        "periods": counted.periods,
        "throttled_ns": counted.throttled_ns,
        "throttled_share": counted.throttled / counted.periods if counted.periods else 0.0,
    }


def _store(before: StoreCounters | None, after: StoreCounters | None) -> dict[str, Any] | None:
    if before is None or after is None:
        return None
    return asdict(after.since(before))
