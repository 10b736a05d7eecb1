"""When a service is itself again after a fault: the rule, on requests alone.

The part of a trial before the fault says what is normal, and the service has recovered when it is back within that
band (A. Brown and D. A. Patterson, "Towards availability benchmarks: a case study of software RAID systems", USENIX
2000, who take the band from runs without faults, at 99 %). Here:

- a request is *as usual* if it was answered well, within twice the p99 of the good answers before the fault;
- time since the fault is cut into windows; a request belongs to the one in which it fell due;
- a window is normal if as many of its requests are as usual as 99 % of such windows have at least, and no more failed
  than in 99 % of them, of binomial laws with the shares from before the fault (rule of succession: none of n is not
  never). The second counts where users were refused all along, so that few are as usual at the best of times;
- recovered: the beginning of the first of four normal windows in a row, counted from the last thing that was broken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

WINDOW_S = 0.25
HOLD = 4
"""Normal windows in a row: a second."""
_SLOW = 2.0
_TAIL = 0.01

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Recovery:
    """Seconds since the fault began; `recovered_s` is None where it did not within the trial.

    Attributes:
        recovered_s: by the rule above; 0 where no window after the fault differs.
        degraded_s: length of all windows after the fault that are not normal.
        unavailable_s: length of all windows in which something fell due and no good answer came, to whatever request.

    """

    recovered_s: float | None
    degraded_s: float
    unavailable_s: float


def recovery(
    since_s: Floats,
    ended_s: Floats,
    good: Flags,
    failed: Flags,
    response_ms: Floats,
    *,
    until_s: float,
    last_broken_s: float,
) -> Recovery:
    """Judge the requests of one trial.

    Args:
        since_s: when each request fell due, since the fault began; those before it are negative.
        ended_s: when each was answered or failed, by the same clock.
        good: answered as expected.
        failed: not answered, or with an error; a refusal is neither good nor failed.
        response_ms: of each; whatever where it is not good.
        until_s: end of the load, since the fault.
        last_broken_s: when the last thing was broken, since the fault; 0 where there was one.

    Raises ValueError without a good answer before the fault: then nothing says what is normal.

    """
    before = since_s < 0
    if not (before & good).any():
        raise ValueError("nothing was answered well before the fault")
    usual = good & (response_ms <= _SLOW * np.quantile(response_ms[before & good], 0.99))
    usual_share, failed_share = ((int((each & before).sum()) + 1) / (int(before.sum()) + 2) for each in (usual, failed))
    windows = int(until_s / WINDOW_S)
    after = (since_s >= 0) & (since_s < windows * WINDOW_S)
    place = (since_s[after] / WINDOW_S).astype(int)
    due = np.bincount(place, minlength=windows)
    as_usual = np.bincount(place[usual[after]], minlength=windows)
    came = good & (ended_s >= 0) & (ended_s < windows * WINDOW_S)
    well = np.bincount((ended_s[came] / WINDOW_S).astype(int), minlength=windows)
    failures = np.bincount(place[failed[after]], minlength=windows)
    normal = as_usual >= stats.binom.ppf(_TAIL, due, usual_share)
    normal &= failures <= np.maximum(stats.binom.ppf(1 - _TAIL, due, failed_share), 0)  # -1 of a window of nothing
    return Recovery(
        recovered_s=_first_of_row(normal, int(last_broken_s / WINDOW_S)),
        degraded_s=float((~normal).sum() * WINDOW_S),
        unavailable_s=float(((due > 0) & (well == 0)).sum() * WINDOW_S),
    )


def _first_of_row(normal: Flags, first: int) -> float | None:
    for place in range(first, len(normal) - HOLD + 1):
        if normal[place : place + HOLD].all():
            return place * WINDOW_S
    return None
