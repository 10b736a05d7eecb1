"""Where the time of a request goes, as means of one block: parts that add up to its mean response time.

Medians do not add up, means do. Each part but the last is a difference of two clock readings of one clock:

    user     due to sent, where the user was still waiting for an earlier answer   the generator's clock
    queue    the balancer's stamp to Flask: its hand-over and the wait for a thread   the servers' wall clock
    flask    in Flask, the auth check apart                                         the replica's clock
    auth     the auth check, the store apart                                        the replica's clock
    store    inside store calls                                                     the replica's clock
    reading  first octet to last octet of the answer                                the generator's clock
    outside  what is left of sent to first octet: network, client, the balancer before its stamp and on the way back

`outside` is a remainder, so that the parts add up does not prove it; that it is never negative checks the clocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("user", "queue", "flask", "auth", "store", "reading", "outside")
COLUMNS = ("first_byte_ns", "auth_ns", "store_ns", "queue_ns", "app_ns")
"""What is needed of a sample beside its due, start and end."""
_GRID = np.linspace(0.0, 1.0, 201)
_DRAWN = 10_000
"""Requests at equal distances that the quantiles of the remainder are taken from."""


@dataclass(frozen=True)
class Parts:
    """Parts of the mean response time of one block.

    Attributes:
        mean_ms: by name, in the order of `PARTS`.
        negative_share: share of the requests whose remainder is negative: there two clocks disagree.
        outside_grid_ms: quantiles of the remainder at equal steps from 0 to 1, for a simulation to draw from.
        work_scv: squared coefficient of variation of the time in Flask without the store's.

    """

    mean_ms: Mapping[str, float]
    negative_share: float
    outside_grid_ms: tuple[float, ...]
    work_scv: float


def parts_of(
    columns: Mapping[str, NDArray[Any]], started_ns: NDArray[Any], service_ms: NDArray[Any], response_ms: NDArray[Any]
) -> Parts | None:
    """Return the parts over the answered requests of which the replica told all; None where it told none.

    All arrays have one entry per answered request; `columns` are those of `COLUMNS`, -1 for what was not told.
    """
    told = (columns["app_ns"] >= 0) & (columns["queue_ns"] >= 0) & (columns["first_byte_ns"] > 0)
    if not told.any():
        return None
    chosen: Any = slice(None) if told.all() else told  # a mask copies every column
    first, auth, store, queue, app = (columns[name][chosen] for name in COLUMNS)
    until_first = first - started_ns[chosen]
    outside = until_first - queue - app
    work = app - store
    means = {  # of differences of means: fewer passes over the samples
        "user": _mean(response_ms[chosen]) - _mean(service_ms[chosen]),
        "queue": _mean(queue) / 1e6,
        "flask": (_mean(app) - _mean(auth)) / 1e6,
        "auth": (_mean(auth) - _mean(store)) / 1e6,
        "store": _mean(store) / 1e6,
        "reading": _mean(service_ms[chosen]) - _mean(until_first) / 1e6,
        "outside": _mean(outside) / 1e6,
    }
    return Parts(
        mean_ms={name: means[name] for name in PARTS},
        negative_share=float((outside < 0).mean()),
        outside_grid_ms=tuple((np.quantile(outside[:: 1 + len(outside) // _DRAWN], _GRID) / 1e6).tolist()),
        work_scv=float(work.var() / work.mean() ** 2) if work.mean() > 0 else 0.0,
    )


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean())
