"""The CPU quota of a component: what is asked, what a kernel takes, and what this machine cannot give.

The kernel gives a group so much CPU time in every period (CFS bandwidth control) and stops it for the rest of one. The
shorter the period, the less a stop shows as latency of its own; the kernel takes no quota below 1 ms.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from servers.options import Option
from topology.components.component import Kind

NONE = "0"
PERIOD_US, LONGEST_PERIOD_US = 10_000, 100_000
_LEAST_QUOTA_US = 1_000  # min_cfs_quota_period of the kernel, as is the least period
_MOST_CPUS = 64

REPLICA_CPUS = Option(
    "replica_cpus", "", NONE, "CPU quota of each replica, in cores; 0 for none", low=0, high=_MOST_CPUS, places=3
)
STORE_CPUS = Option(
    "store_cpus", "", NONE, "CPU quota of each of the store's servers, in cores; 0 for none", low=0, high=_MOST_CPUS,
    places=3,
)  # fmt: skip
_OPTION_OF: Mapping[Kind, str] = {"replica": REPLICA_CPUS.name, "store": STORE_CPUS.name}


class QuotaError(ValueError):
    """A quota that no kernel takes or this machine cannot give; says which and why."""


@dataclass(frozen=True)
class Quota:
    """`quota_us` of CPU time in every `period_us`."""

    cpus: float
    quota_us: int
    period_us: int


@dataclass(frozen=True)
class Throttling:
    """What the kernel counted of one component since its group was made, all its incarnations together.

    `periods` in which it wanted to run, those of them in which it was `throttled`, and for how long (all cores' time).
    """

    quota: Quota
    periods: int
    throttled: int
    throttled_ns: int

    def since(self, before: Throttling) -> Throttling:
        """What was counted after `before`."""
        return Throttling(
            self.quota,
            self.periods - before.periods,
            self.throttled - before.throttled,
            self.throttled_ns - before.throttled_ns,
        )


def quota_of(kind: Kind, options: Mapping[str, str]) -> Quota | None:
    """The quota of a component of this kind, None without any. Raises QuotaError for less than 1 ms in a period."""
    name = _OPTION_OF.get(kind)
    text = options.get(name, NONE) if name else NONE
    cpus = Fraction(text)
    if not cpus:
        return None
    # the shortest period in which it is the kernel's least quota, in whole microseconds
    period_us = max(PERIOD_US, -(-_LEAST_QUOTA_US * cpus.denominator // cpus.numerator))
    if period_us > LONGEST_PERIOD_US:
        least = _LEAST_QUOTA_US / LONGEST_PERIOD_US
        raise QuotaError(
            f"{name} {text} is too little: the kernel gives no less than {_LEAST_QUOTA_US / 1000:g} ms, and in periods "
            f"of {LONGEST_PERIOD_US / 1000:g} ms that is {least:g} of a core"
        )
    return Quota(float(cpus), round(cpus * period_us), period_us)


def asked(options: Mapping[str, str]) -> bool:
    """Whether any component has a quota."""
    return any(options.get(name, NONE) != NONE for name in _OPTION_OF.values())


def check(options: Mapping[str, str], cores: frozenset[int]) -> None:
    """Raise QuotaError for a quota that the `cores` which serve (none: those of this process) cannot give."""
    count = len(cores) or _own_cores()
    for kind, name in _OPTION_OF.items():
        quota = quota_of(kind, options)
        if quota and quota.cpus > count:
            raise QuotaError(
                f"{name} {options[name]} is more than this machine can give: {count} of its cores "
                f"{'serves' if count == 1 else 'serve'}, so it would limit nothing"
            )


def _own_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
