"""What limits a topology: how busy each kind of component was, of its quota or else of a core, and which was full.

Utilisation is CPU time over the length and over what there was of it (the utilisation law: Denning and Buzen 1978).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FULL = 0.85
"""A component that is busy for more than this share of what it may use is what limits; a queue before it is long."""
OTHERS_SHARE = 0.1
"""Of the machine: above this the programs of others belong into the explanation."""
ALL_SERVERS = "servers' cores"
GENERATOR_BUSY = "generator"


@dataclass(frozen=True)
class Busy:
    """How busy one kind of component was.

    Attributes:
        kind: `replica`, `balancer`, `store`, or all servers together (`ALL_SERVERS`).
        share: of what one of them may use; of several the busiest.
        of: what that is: `quota 0.05` (cores), `a core`, `2 cores`.
        throttled: share of the quota's periods in which it was stopped; None without a quota.

    """

    kind: str
    share: float
    of: str
    throttled: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For trial.json."""
        return asdict(self)


def busy(components: Mapping[str, Mapping[str, Any]], seconds: float, server_cores: int) -> tuple[Busy, ...]:
    """Return how busy each kind was over `seconds`, the busiest first, from `components` of trial.json.

    A component whose quota held is measured by that; others may use a core, because each of them runs on one thread,
    or under one lock. `server_cores` 0: they are not set apart, nor judged together.
    """
    found = []
    for kind in dict.fromkeys(part["kind"] for part in components.values()):
        parts = [part for part in components.values() if part["kind"] == kind]
        quota = parts[0].get("quota_cpus")
        cores = quota or 1.0
        share = max(part["cpu_ns"] for part in parts) / 1e9 / seconds / cores
        stopped = [part["throttled_share"] for part in parts if part.get("throttled_share") is not None]
        of = f"quota {cores:g}" if quota else "a core"
        found.append(Busy(kind, share, of, max(stopped, default=None)))
    if server_cores:
        total = sum(part["cpu_ns"] for part in components.values()) / 1e9 / seconds / server_cores
        found.append(Busy(ALL_SERVERS, total, f"{server_cores} core{'s' if server_cores > 1 else ''}"))
    return tuple(sorted(found, key=lambda each: -each.share))


def others_share(record: Mapping[str, Any], seconds: float, machine_cores: int) -> float:
    """Return the share of the machine that was taken by what belongs to neither the servers nor the generator.

    `record` is as trial.json; its generator's share is of one core over the same `seconds`.
    """
    servers = float(sum(part["cpu_ns"] for part in record["components"].values())) / 1e9 / seconds
    ours = servers + float(record["generator"]["cpu_share"])
    return max(0.0, float(record["machine"]["busy_share"]) - ours / machine_cores)


def limit(found: tuple[Busy, ...]) -> Busy | None:
    """Return what was full; None where nothing was: then it is latency that misses the objective, not capacity."""
    return next((each for each in found if each.share >= FULL), None)
