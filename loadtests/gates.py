"""The gates: what makes a trial invalid, in words that its reader understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loadtests.accuracy import Counts, false_accepts
from loadtests.samples import (
    DROPPED,
    ERROR,
    FAILED,
    LOGIN,
    MEASURED,
    OK,
    OUTDATED,
    REFUSED,
    TIMEOUT,
    among,
    counts,
    counts_by,
)
from topology.calibrate_link import off_by_too_much

MAX_LATENESS_SHARE = 0.1  # of the p99 latency
# Below this the timer of an idle user moves its arrival and nothing else: its latency counts from the wake-up.
HARMLESS_LATENESS_MS = 1.0
MAX_MISSED_SHARE = 0.02
MAX_GENERATOR_CPU_SHARE = 0.7
MAX_STEAL_SHARE = 0.02


@dataclass(frozen=True)
class Sent:
    """What the samples of a trial say about the sending. Milliseconds; counts of the measured phase."""

    scheduled: int
    sent: int
    dropped: int
    late: int
    recorded: int
    failed_logins: int
    outcomes: dict[str, int]
    lateness_p50_ms: float
    lateness_p99_ms: float
    response_p50_ms: float
    response_p99_ms: float
    by_operation: Counts = field(default_factory=dict)
    """Operation to outcome to requests of the measured phase."""


def against_link(asked_ms: float, added_ms: float | None) -> list[str]:
    """The reason against a trial whose links to the store were not as long as was asked; `added_ms` as verified."""
    if added_ms is None or not off_by_too_much(asked_ms, added_ms):
        return []
    return [f"link off: a round trip of {added_ms:.2f} ms where {asked_ms:g} ms were asked"]


def read_sent(*paths: Path) -> Sent:
    """Count the samples of one trial, of all its files together.

    Raises OSError or pyarrow.ArrowInvalid on a missing or broken file.
    """
    columns = ["due_ns", "started_ns", "ended_ns", "user_was_busy", "phase", "operation", "outcome"]
    table = pa.concat_tables([pq.read_table(path, columns=columns) for path in paths])
    measured, outcome = among(table["phase"], MEASURED), table["outcome"]
    unsent = among(outcome, DROPPED)
    was_sent = measured & ~unsent
    due, started, ended = (table[name].to_numpy()[was_sent] for name in ("due_ns", "started_ns", "ended_ns"))
    busy = table["user_was_busy"].to_numpy()[was_sent]
    lateness_ms = (started - due)[~busy] / 1e6
    response_ms = (ended - np.where(busy, due, started)) / 1e6
    return Sent(
        scheduled=int(measured.sum()),
        sent=int(was_sent.sum()),
        dropped=int((measured & unsent).sum()),
        late=int((lateness_ms > HARMLESS_LATENESS_MS).sum()),
        recorded=int((~unsent).sum()),  # a warm-up drops, too, under a cap
        failed_logins=int((among(table["phase"], LOGIN) & ~among(outcome, OK)).sum()),
        outcomes=counts(outcome, measured),
        lateness_p50_ms=_quantile(lateness_ms, 0.5),
        lateness_p99_ms=_quantile(lateness_ms, 0.99),
        response_p50_ms=_quantile(response_ms, 0.5),
        response_p99_ms=_quantile(response_ms, 0.99),
        by_operation=counts_by(table["operation"], outcome, measured),
    )


def lateness_limit_ms(response_p99_ms: float) -> float:
    """How late a generator may be at p99 where that is the p99 of its response times."""
    return max(MAX_LATENESS_SHARE * response_p99_ms, HARMLESS_LATENESS_MS)


def reasons_against(
    sent: Sent,
    *,
    generator_cpu_share: float,
    steal_share: float,
    refusals_expected: bool,
    accepted_by_design: frozenset[str] = frozenset(),
    balanced: int | None,
    locust: int,
    closed: bool = False,
    warm_up: Mapping[str, Any] | None = None,
) -> list[str]:
    """Why the trial is invalid; empty when it is valid.

    Args:
        sent: what the samples say.
        generator_cpu_share: CPU time of the generator over the measured phase's length.
        steal_share: share of the machine's time that the hypervisor took.
        refusals_expected: the cell's store is not shared, so that wrong refusals are what the cell shows.
        accepted_by_design: operations that the scheme cannot always refuse (`loadtests.accuracy`).
        balanced: requests that the balancer counted over the measured phase; None where nobody else counts.
        locust: requests that Locust counted over the whole trial.
        closed: the load was a closed loop: it has no rate to miss, and a late generator is a longer think time.
        warm_up: what trial.json says of it; where it was not judged there is nothing against the trial.

    """
    warmed = warm_up or {"steady": None, "seconds": 0, "rounds": 0}
    limit_ms = lateness_limit_ms(sent.response_p99_ms)
    wrong = {
        name: count
        for name, count in sent.outcomes.items()
        if name in (ERROR, TIMEOUT, FAILED) or (name in (REFUSED, OUTDATED) and not refusals_expected)
    }
    let_in = false_accepts(sent.by_operation, accepted_by_design)
    unsent = 1 - sent.sent / sent.scheduled if sent.scheduled else 1.0
    checks = {
        "nothing was sent": sent.sent == 0,
        f"{sent.failed_logins} sign-ins before the load failed": sent.failed_logins > 0,
        f"generator late: p99 {sent.lateness_p99_ms:.2f} ms over {limit_ms:.2f} ms": not closed
        and sent.lateness_p99_ms > limit_ms,
        f"rate missed: {unsent:.1%} of the requests that were due were not sent": not closed
        and unsent > MAX_MISSED_SHARE,
        f"{sent.dropped} requests dropped": sent.dropped > 0,
        f"never steady: response times still changed after {warmed['seconds']:g} s of warm-up": warmed["steady"]
        is False,
        f"generator used {generator_cpu_share:.0%} of its core": generator_cpu_share > MAX_GENERATOR_CPU_SHARE,
        f"the machine lost {steal_share:.1%} to steal": steal_share > MAX_STEAL_SHARE,
        f"wrong answers: {', '.join(f'{count} {name}' for name, count in wrong.items())}": bool(wrong),
        f"let in what had to be refused: {', '.join(f'{count} {name}' for name, count in let_in.items())}": bool(
            let_in
        ),
        f"the balancer counted {balanced} requests and {sent.sent} were sent": balanced is not None
        and balanced != sent.sent,
        f"Locust counted {locust} requests and {sent.recorded} were recorded": locust != sent.recorded,
    }
    return [reason for reason, failed in checks.items() if failed]


def _quantile(values: np.ndarray[tuple[int], np.dtype[np.float64]], q: float) -> float:
    return float(np.quantile(values, q)) if len(values) else 0.0
