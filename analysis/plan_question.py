"""What a plan is asked for: load, objective, users, headroom; read from text, refused in one line where it is none."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

HEADROOM = 1.5
"""Spare capacity over what the load needs, as a share: Keycloak's sizing guide adds 150 % to the CPU it computes."""
METRICS = {
    "p50": "response_p50_ms",
    "p90": "response_p90_ms",
    "p99": "response_p99_ms",
    "mean": "response_mean_ms",
}
_SLO = re.compile(r"(p50|p90|p99|mean)\s*<\s*([0-9.]+)\s*(ms|s|us)")
_TO_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


class PlanError(ValueError):
    """A question that cannot be planned for: what is wrong, and what would be right."""


@dataclass(frozen=True)
class Objective:
    """A response time that is to be kept: `p99` of the answers below so many milliseconds."""

    quantile: str
    limit_ms: float

    @property
    def metric(self) -> str:
        """The metric of the report that it is about."""
        return METRICS[self.quantile]

    def __str__(self) -> str:
        return f"{self.quantile} < {self.limit_ms:g} ms"


@dataclass(frozen=True)
class Question:
    """Load at its peak in requests per second, signed-in users, the objective, and what one replica may compute on."""

    rps: float
    users: int = 0
    objective: Objective | None = None
    headroom: float = HEADROOM
    replica_cpus: float = 1.0

    @property
    def target(self) -> float:
        """Utilisation that is planned for: with 150 % of headroom 40 %."""
        return 1 / (1 + self.headroom)


def question(rps: str, users: str, slo: str, headroom: str, replica_cpus: str) -> Question:
    """Return the question that these texts ask. Raises PlanError."""
    return Question(
        rps=_number("RPS", rps, 0.1, 1e8),
        users=int(_number("USERS", users or "0", 0, 1e11)),
        objective=objective(slo) if slo.strip() else None,
        headroom=_number("HEADROOM", headroom.strip().removesuffix("%") or f"{100 * HEADROOM:g}", 0, 10_000) / 100,
        replica_cpus=_number("REPLICA_CPUS", replica_cpus or "1", 0.01, 1024),
    )


def objective(text: str) -> Objective:
    """Return the objective, for example of `p99<50ms`. Raises PlanError."""
    found = _SLO.fullmatch(text.strip())
    try:
        limit_ms = float(found[2]) * _TO_MS[found[3]] if found else 0.0
    except ValueError:
        limit_ms = 0.0
    if not found or limit_ms <= 0:
        raise PlanError(
            f"SLO {text!r} is none: write one of p50, p90, p99, mean, then < and a time, as in SLO='p99<50ms'"
        )
    return Objective(found[1], limit_ms)


def _number(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        value = math.nan
    if not low <= value <= high:  # not a number is in no range
        raise PlanError(f"{name} must be a number from {low:g} to {high:g}, not {text!r}")
    return value
