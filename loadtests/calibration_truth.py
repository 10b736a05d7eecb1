"""What an open-loop client of the calibration server must see: response times of its queue, worked out, not simulated.

Without stalls a user is an M/G/1 queue: its wait is a geometric number of residual service times (Pollaczek 1930,
Khinchine 1932; for constant service Crommelin 1932), summed here on a fine grid by the transform of the compound
distribution (the recursion of Panjer 1981 gives the same). The response is wait and service.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadtests.calibration_laws import Law

Floats = NDArray[np.float64]

QUANTILES = (0.5, 0.9, 0.99, 0.999)
_STEP_MS = 0.01
_CELLS = 1 << 17  # 1.3 s: nothing that matters lies beyond, so that nothing wraps around
_STALL_STEP_MS = 0.1
_STALL_CELLS = 20_000
_CUSTOMERS = 100  # that may wait at once, far more than ever do
# Of a period with a stall: how long before it a request can still be caught, and after it the queue still be long.
_CAUGHT_MS, _RECOVERY_MS = 200.0, 2000.0


def true_quantiles_ms(law: Law, shares: Sequence[float] = QUANTILES) -> list[float]:
    """Quantiles of the response time, ms."""
    if law.stall_s:
        chances, step_ms = _stall_responses(law), _STALL_STEP_MS
    else:
        wait = _waits(law, _STEP_MS, _CELLS)
        chances, step_ms = _convolved(wait, _services(law, _STEP_MS, _CELLS)), _STEP_MS
    reached = np.cumsum(chances)
    return [float(np.searchsorted(reached, share * reached[-1])) * step_ms for share in shares]


def _services(law: Law, step_ms: float, cells: int) -> Floats:
    """Probabilities of the service time on the grid."""
    if law.atoms is not None:
        chances = np.zeros(cells)
        for value, share in law.atoms.items():
            chances[round(value / step_ms)] += share
        return chances
    edges = (np.arange(cells + 1) - 0.5) * step_ms
    return np.diff(np.asarray([law.below(float(edge)) for edge in edges]))


def _waits(law: Law, step_ms: float, cells: int) -> Floats:
    """Probabilities of the wait in an M/G/1 queue on the grid: (1 - rho) / (1 - rho E), E the residual service."""
    services = _services(law, step_ms, cells)
    longer = np.maximum(1 - np.cumsum(services), 0)  # P(S > x) over the cell from x to x + step
    residual = (longer + np.concatenate([[0.0], longer[:-1]])) / 2  # half to either end keeps its mean
    residual /= residual.sum()
    rho = law.utilisation
    return np.maximum(np.fft.irfft((1 - rho) / (1 - rho * np.fft.rfft(residual)), cells), 0)


def _convolved(one: Floats, other: Floats) -> Floats:
    return np.maximum(np.fft.irfft(np.fft.rfft(one) * np.fft.rfft(other), len(one)), 0)


def _stall_responses(law: Law) -> Floats:
    """Probabilities of the response time with constant service and stalls, on the grid.

    Poisson arrivals see time averages (Wolff 1982), so each moment of a period counts by its length:

    - calm: the ordinary wait; but who would begin in the stall is caught by it, and begins after it in its turn;
    - in the stall, x after its beginning: the rest of the stall, and the service of all who wait: those caught, and
      Poisson(lambda x) who came since;
    - after it: the work left, which falls by the clock and jumps with each arrival, step by step until calm.
    """
    step_ms, cells = _STALL_STEP_MS, _STALL_CELLS
    period_ms, stall_ms = law.stall_every_s * 1000, law.stall_s * 1000
    jump = round(law.mean_ms / step_ms)
    calm = _waits(law, step_ms, cells)
    made = np.zeros(cells)
    made[jump:] += calm[: cells - jump] * (period_ms - stall_ms - _CAUGHT_MS - _RECOVERY_MS)
    _add_caught(made, calm, jump, stall_ms)
    caught = _customers(calm, jump)
    _add_stalled(made, caught, law, jump)
    backlog = np.zeros(cells)
    backlog[: jump * _CUSTOMERS : jump] = np.convolve(caught, _poisson(law, stall_ms))[:_CUSTOMERS]
    _add_recovering(made, backlog, law, jump)
    return made / period_ms


def _add_caught(made: Floats, calm: Floats, jump: int, stall_ms: float) -> None:
    """Arrivals up to `_CAUGHT_MS` before the stall: those with work before them for longer begin after it."""
    step_ms = _STALL_STEP_MS
    work = np.arange(len(calm))
    for before in range(round(_CAUGHT_MS / step_ms)):
        waits_on = work > before
        ahead = (work - before - 1) // jump
        response = np.where(waits_on, before + round(stall_ms / step_ms) + (ahead + 1) * jump, work + jump)
        shown = response < len(made)
        made += np.bincount(response[shown], calm[shown] * step_ms, len(made))


def _customers(calm: Floats, jump: int) -> Floats:
    """How many wait, besides the one in service, at a moment of calm: what a stall catches."""
    ahead = np.maximum((np.arange(len(calm)) - 1) // jump, 0)
    return np.bincount(ahead, calm)[:_CUSTOMERS].astype(np.float64)


def _poisson(law: Law, ms: float) -> Floats:
    """Probabilities of 0, 1, ... arrivals of one user within `ms`."""
    mean = law.user_rate_rps * ms / 1000
    counts = np.arange(_CUSTOMERS)
    logs = -mean + counts * math.log(mean) - np.asarray([math.lgamma(count + 1) for count in counts])
    return np.asarray(np.exp(logs), dtype=np.float64)


def _add_stalled(made: Floats, caught: Floats, law: Law, jump: int) -> None:
    """Arrivals within the stall."""
    stall = round(law.stall_s * 1000 / _STALL_STEP_MS)
    for into in range(stall):
        waiting = np.convolve(caught, _poisson(law, (into + 0.5) * _STALL_STEP_MS))[:_CUSTOMERS]
        made[stall - into + jump : stall - into + (_CUSTOMERS + 1) * jump : jump] += waiting * _STALL_STEP_MS


def _add_recovering(made: Floats, work: Floats, law: Law, jump: int) -> None:
    """Arrivals in the `_RECOVERY_MS` after a stall that left `work`."""
    arrives = law.user_rate_rps * _STALL_STEP_MS / 1000
    for _ in range(round(_RECOVERY_MS / _STALL_STEP_MS)):
        made[jump:] += work[:-jump] * _STALL_STEP_MS
        grown = (1 - arrives) * work
        grown[jump:] += arrives * work[:-jump]
        work = np.concatenate([[grown[0] + grown[1]], grown[2:], [0.0]])
