"""A counted share with its interval."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import special

from loadtests.student import CONFIDENCE


@dataclass(frozen=True)
class Share:
    """`count` of `of`; low and high bound the share with 95 % confidence, 0 and 1 where nothing was counted."""

    count: int
    of: int
    low: float
    high: float

    def as_dict(self) -> dict[str, float | int | None]:
        """For summary.json."""
        value = self.count / self.of if self.of else None
        return {"count": self.count, "of": self.of, "value": value, "low": self.low, "high": self.high}


def share(count: int, of: int) -> Share:
    """Return a share with its exact interval (Clopper and Pearson, Biometrika 1934), which is never too narrow."""
    tail = (1 - CONFIDENCE) / 2
    low = float(special.betaincinv(count, of - count + 1, tail)) if count else 0.0
    high = float(special.betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return Share(count, of, low, high)
