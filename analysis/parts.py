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
    first, auth, store, queue, app = (columns[name][told] / 1e6 for name in COLUMNS)
    until_first = first - started_ns[told] / 1e6
    outside = until_first - queue - app
    split = {
        "user": response_ms[told] - service_ms[told],
        "queue": queue,
        "flask": app - auth,
        "auth": auth - store,
        "store": store,
        "reading": service_ms[told] - until_first,
        "outside": outside,
    }
    work = app - store
    return Parts(
        mean_ms={name: float(split[name].mean()) for name in PARTS},
        negative_share=float((outside < 0).mean()),
        outside_grid_ms=tuple(float(each) for each in np.quantile(outside, _GRID)),
        work_scv=float(work.var() / work.mean() ** 2) if work.mean() > 0 else 0.0,
    )
