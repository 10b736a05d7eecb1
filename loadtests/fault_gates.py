"""The gates of a trial with a fault: what fails after it is what is found, and what fails before it is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from loadtests.gates import MAX_GENERATOR_CPU_SHARE, MAX_STEAL_SHARE, Sent
from loadtests.samples import ERROR, FAILED, MEASURED, OUTDATED, REFUSED, TIMEOUT, among, counts

MAX_LATENESS_MS = 25.0
"""A tenth of the windows in which a fault is looked at; what it moves is in no response time."""


def before_the_fault(path: Path, fault_ns: int) -> dict[str, int]:
    """Outcomes of the measured requests that were answered before the fault. Raises OSError or pyarrow.ArrowInvalid."""
    table = pq.read_table(path, columns=["ended_ns", "phase", "outcome"])
    early = table["ended_ns"].to_numpy() < fault_ns
    return counts(table["outcome"], among(table["phase"], MEASURED) & early)


def reasons_against(
    sent: Sent,
    before: Mapping[str, int],
    *,
    generator_cpu_share: float,
    steal_share: float,
    refusals_expected: bool,
    locust: int,
    warm_up: Mapping[str, Any],
) -> list[str]:
    """Why the trial is invalid; empty when it is valid.

    Not judged, because the fault itself is their cause: requests that failed after it, requests dropped by users who
    waited for answers, and the balancer's count (it sends no request to a replica that it cannot reach).
    """
    wrong = {
        name: count
        for name, count in before.items()
        if name in (ERROR, TIMEOUT, FAILED) or (name in (REFUSED, OUTDATED) and not refusals_expected)
    }
    checks = {
        "nothing was sent": sent.sent == 0,
        "nothing was answered before the fault": not before,
        f"{sent.failed_logins} sign-ins before the load failed": sent.failed_logins > 0,
        f"generator late: p99 {sent.lateness_p99_ms:.2f} ms over {MAX_LATENESS_MS:.2f} ms": sent.lateness_p99_ms
        > MAX_LATENESS_MS,
        f"never steady: response times still changed after {warm_up.get('seconds', 0):g} s of warm-up": warm_up.get(
            "steady"
        )
        is False,
        f"generator used {generator_cpu_share:.0%} of its core": generator_cpu_share > MAX_GENERATOR_CPU_SHARE,
        f"the machine lost {steal_share:.1%} to steal": steal_share > MAX_STEAL_SHARE,
        f"wrong answers before the fault: {', '.join(f'{count} {name}' for name, count in wrong.items())}": bool(wrong),
        f"Locust counted {locust} requests and {sent.recorded} were recorded": locust != sent.recorded,
    }
    return [reason for reason, failed in checks.items() if failed]
