"""What the log-outs of a run say: how long credentials were accepted after them, by cell and way to sign out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analysis.estimates import Estimate, estimate
from analysis.load import Cell, Run
from analysis.order_statistics import Quantile, Share, quantile, share

KIND = "revocation"
WAYS = ("logout", "logout-all")
_EARLY_MS = 100.0
"""One clock tells both ends: what was refused earlier than that before its end, something else ended."""


@dataclass(frozen=True)
class Watched:
    """All log-outs of one cell in one way, over its valid trials. Milliseconds.

    Attributes:
        unable: what the scheme answered where it has no such way to sign out (status and reason); then no log-outs.
        revoked_ms: from the acknowledgement, of those whose end was seen.
        beyond_ms: of the others: until they were last seen accepted.
        by_block_ms: the same of each block, those whose end was not seen left out.
        from_sending_ms: `revoked_ms`, counted from the sending of the log-out.
        over_remaining_ms: by how much the end that the credential names was outlived, where it names one.
        remaining_ms: until that end.
        accepted: log-outs after whose acknowledgement some replica still accepted.
        known_by: the least and the most replicas that accepted a credential before.

    """

    cell: Cell
    way: str
    unable: tuple[int, str] | None
    revoked_ms: tuple[float, ...] = ()
    beyond_ms: tuple[float, ...] = ()
    by_block_ms: tuple[tuple[float, ...], ...] = ()
    from_sending_ms: tuple[float, ...] = ()
    over_remaining_ms: tuple[float, ...] = ()
    remaining_ms: tuple[float, ...] = ()
    accepted: int = 0
    known_by: tuple[int, int] = (0, 0)

    @property
    def log_outs(self) -> int:
        """How many were watched."""
        return len(self.revoked_ms) + len(self.beyond_ms)

    @property
    def still_accepted(self) -> Share:
        """The share of log-outs after whose acknowledgement some replica still accepted."""
        return share(self.accepted, self.log_outs)

    def quantile(self, q: float) -> Quantile:
        """Of the time from the acknowledgement; the interval is of order statistics of all log-outs together."""
        return quantile(self.revoked_ms, self.beyond_ms, q)

    @property
    def median(self) -> Quantile:
        """The same, its interval over the medians of blocks where there are several and every end was seen."""
        pooled = self.quantile(0.5)
        if self.beyond_ms or len(self.by_block_ms) < 2:  # noqa: PLR2004 - one block has no spread
            return pooled
        medians = [quantile(each, (), 0.5).value or 0.0 for each in self.by_block_ms]
        over = estimate(medians, positive=True)
        return Quantile(over.value, over.low, over.high)

    @property
    def largest_ms(self) -> float:
        """The longest that was seen, or seen not to end."""
        return max((*self.revoked_ms, *self.beyond_ms))

    @property
    def ends_with_its_life(self) -> bool:
        """Whether it is the end that the credential names that ends it, and nothing before."""
        return bool(self.over_remaining_ms) and not self.beyond_ms and min(self.over_remaining_ms) > -_EARLY_MS

    @property
    def over_remaining(self) -> Estimate | None:
        """The mean of `over_remaining_ms`, its t interval over log-outs; None where something else ends it."""
        return estimate(self.over_remaining_ms, positive=False) if self.ends_with_its_life else None


def watched(run: Run) -> tuple[Watched, ...]:
    """Return what was watched, in the order of the run's cells; empty for a run of another study."""
    if run.study.get("kind") != KIND:
        return ()
    made = []
    for cell in run.cells:
        trials = [each.study["ways"] for each in run.trials if each.cell == cell.id and each.valid and each.study]
        made += [_watched(cell, way, [each[way] for each in trials]) for way in WAYS if trials]
    return tuple(made)


def _watched(cell: Cell, way: str, trials: Sequence[Mapping[str, Any]]) -> Watched:
    unable = next((each for each in trials if "status" in each), None)
    if unable is not None:
        return Watched(cell, way, (int(unable["status"]), str(unable["reason"])))
    rows = [
        [dict(zip(each, row, strict=True)) for row in zip(*each.values(), strict=True)]
        for each in trials
    ]  # fmt: skip
    every = [row for block in rows for row in block]
    ended = [row for row in every if row["revoked_ms"] is not None]
    named = [row for row in ended if row["remaining_ms"] is not None]
    return Watched(
        cell,
        way,
        None,
        revoked_ms=tuple(row["revoked_ms"] for row in ended),
        beyond_ms=tuple(row["accepted_ms"] or 0.0 for row in every if row["revoked_ms"] is None),
        by_block_ms=tuple(
            tuple(row["revoked_ms"] for row in block if row["revoked_ms"] is not None) for block in rows if block
        ),
        from_sending_ms=tuple(row["revoked_ms"] + row["sending_ms"] for row in ended),
        over_remaining_ms=tuple(row["revoked_ms"] - row["remaining_ms"] for row in named),
        remaining_ms=tuple(row["remaining_ms"] for row in every if row["remaining_ms"] is not None),
        accepted=sum(row["accepted_ms"] is not None for row in every),
        known_by=(min(row["known_by"] for row in every), max(row["known_by"] for row in every)),
    )


def document(found: Watched) -> dict[str, Any]:
    """Return one cell and way for summary.json."""
    told: dict[str, Any] = {
        "cell": found.cell.id,
        "scheme": found.cell.scheme,
        "store": found.cell.store,
        "options": dict(found.cell.options),
        "way": found.way,
        "supported": found.unable is None,
    }
    if found.unable:
        return told | {"status": found.unable[0], "reason": found.unable[1]}
    over = found.over_remaining
    return told | {
        "log_outs": found.log_outs,
        "unended": len(found.beyond_ms),
        "known_by": list(found.known_by),
        "still_accepted": asdict(found.still_accepted),
        "p50_ms": asdict(found.median),
        "p99_ms": asdict(found.quantile(0.99)),
        "max_ms": found.largest_ms,
        "from_sending_p99_ms": asdict(quantile(found.from_sending_ms, found.beyond_ms, 0.99)),
        "ends_with_its_life": found.ends_with_its_life,
        "over_remaining_ms": over
        and {
            "value": over.value,
            "low": over.low,
            "high": over.high,
            "min": min(found.over_remaining_ms),
            "max": max(found.over_remaining_ms),
        },
        "most_remaining_ms": max(found.remaining_ms, default=None),
    }
