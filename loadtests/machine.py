"""The machine's own state around a trial: steal, load, and how late it wakes a sleeper."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import psutil

_SLEEPS = 200
_SLEEP_S = 0.001


@dataclass(frozen=True)
class CpuTimes:
    """Seconds of all cores together since boot."""

    busy_s: float
    steal_s: float
    total_s: float

    def since(self, earlier: CpuTimes) -> dict[str, float]:
        """Shares of the machine's time between two readings, and the load average now."""
        total_s = max(self.total_s - earlier.total_s, 1e-9)
        return {
            "steal_share": (self.steal_s - earlier.steal_s) / total_s,
            "busy_share": (self.busy_s - earlier.busy_s) / total_s,
            "loadavg_1m": os.getloadavg()[0],
        }


def cpu_times() -> CpuTimes:
    """Read the machine's CPU times; steal is 0 where the system does not tell it."""
    times = psutil.cpu_times()
    steal_s = getattr(times, "steal", 0.0)
    # guest time stands in user time already
    total_s = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    return CpuTimes(total_s - idle_s - steal_s, steal_s, total_s)


def wake_up_noise_p99_us() -> float:
    """How much later than asked this machine wakes a sleeper, 99th percentile of 200 sleeps of 1 ms, us."""
    late = []
    for _ in range(_SLEEPS):
        asked = time.perf_counter() + _SLEEP_S
        time.sleep(_SLEEP_S)
        late.append((time.perf_counter() - asked) * 1e6)
    return sorted(late)[int(_SLEEPS * 0.99) - 1]
