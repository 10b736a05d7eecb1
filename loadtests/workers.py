"""The generator as several processes: what trial.json says of each worker, and what speaks against a trial.

Each worker has a core of its own to be judged by, its own clock, and its own count; together they are one generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests import gates


@dataclass(frozen=True)
class Worker:
    """One worker over the measured phase.

    Attributes:
        worker: its place; `samples-<worker>.parquet` is its file.
        local: the harness started it; otherwise its samples came over Locust's connection.
        users: how many were its own.
        requests: that Locust counted of it over the whole trial, `recorded` those in its file.
        dropped: requests of the measured phase that were due and never sent.
        lateness_p99_ms: of its own sends, judged by its own `response_p99_ms`.
        cpu_share: of a core, over the measured phase.
        measured_from_ns: by its own clock, which is comparable with nothing but its own samples.

    """

    worker: int
    local: bool
    users: int
    requests: int
    failures: int
    recorded: int
    dropped: int
    lateness_p99_ms: float
    response_p99_ms: float
    cpu_share: float
    measured_from_ns: int


def workers_of(counts: Mapping[str, Any], files: Sequence[Path]) -> tuple[Worker, ...]:
    """Each worker by what it told (`workers` of `counts`) and by its samples; none of a generator of one process.

    Raises OSError or pyarrow.ArrowInvalid on a missing or broken file.
    """
    made = []
    for told, file in zip(counts.get("workers", ()), files, strict=False):
        sent = gates.read_sent(file)
        own = {name: told[name] for name in ("worker", "local", "users", "requests", "failures", "cpu_share")}
        seen = {name: getattr(sent, name) for name in ("recorded", "dropped", "lateness_p99_ms", "response_p99_ms")}
        made.append(Worker(**own, **seen, measured_from_ns=told["measured_from_ns"]))
    return tuple(made)


def reasons_against(workers: Sequence[Worker], *, locust: int, cores: int, late: bool = True) -> list[str]:
    """Why a trial of several workers is invalid; what holds of them together is `gates.reasons_against`'s to say.

    Args:
        workers: all of them.
        locust: requests that Locust's master has summed.
        cores: how many the workers of this host share.
        late: whether late sends count; not in a closed loop, where they are a longer think time.

    """
    checks = {}
    for each in workers:
        limit_ms = gates.lateness_limit_ms(each.response_p99_ms)
        told = f"worker {each.worker} late: p99 {each.lateness_p99_ms:.2f} ms over {limit_ms:.2f} ms"
        checks[told] = late and each.lateness_p99_ms > limit_ms
        busy = f"worker {each.worker} used {each.cpu_share:.0%} of its core"
        checks[busy] = each.cpu_share > gates.MAX_GENERATOR_CPU_SHARE
        counted = f"Locust counted {each.requests} requests of worker {each.worker} and {each.recorded} were recorded"
        checks[counted] = each.requests != each.recorded
    local = [each for each in workers if each.local]
    share = sum(each.cpu_share for each in local) / cores
    crowded = f"{len(local)} workers used {share:.0%} of the {_cores(cores)} that they share"
    checks[crowded] = len(local) > cores and share > gates.MAX_GENERATOR_CPU_SHARE
    total = sum(each.requests for each in workers)
    checks[f"Locust's master counted {locust} requests and its workers {total}"] = bool(workers) and locust != total
    return [reason for reason, failed in checks.items() if failed]


def as_dict(workers: Sequence[Worker], here: float) -> dict[str, Any]:
    """What `generator` of trial.json says besides; nothing of a generator of one process.

    `here` is what all its processes of this host used together, of a core.
    """
    return {"here_cpu_share": here, "workers": [asdict(each) for each in workers]} if workers else {}


def _cores(count: int) -> str:
    return "core" if count == 1 else f"{count} cores"
