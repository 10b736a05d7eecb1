"""A service level objective: a quantile or the mean of response times under a limit, and every answer right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from loadtests.samples import MEASURED, OK, among

QUANTILES: Mapping[str, float | None] = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "mean": None}
_GRAMMAR = re.compile(r"(p50|p90|p99|mean)\s*<\s*(\d+(?:\.\d+)?)\s*ms")


@dataclass(frozen=True)
class Slo:
    """`figure` of response times (`p50`, `p90`, `p99`, `mean`) under `limit_ms`, with every request answered right."""

    figure: str
    limit_ms: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of a text such as `p99 < 50 ms`. Raises ValueError for one that is none."""
        found = _GRAMMAR.fullmatch(text.strip())
        if not found or not float(found[2]):
            raise ValueError(f"{text!r} is no objective; one is such as 'p99 < 50 ms', of {', '.join(QUANTILES)}")
        return cls(found[1], float(found[2]))

    def __str__(self) -> str:
        return f"{self.figure} < {self.limit_ms:g} ms"

    def of(self, response_ms: NDArray[np.float64]) -> float:
        """The figure of response times, ms; infinite of none, as nothing was answered in time."""
        if not response_ms.size:
            return float("inf")
        share = QUANTILES[self.figure]
        return float(response_ms.mean()) if share is None else float(np.quantile(response_ms, share))

    def reads(self, samples: Path) -> float:
        """The figure over the measured requests of a file of samples that were answered rightly, ms.

        Response time counts from the due time where the user was busy then, as everywhere. Raises OSError.
        """
        columns = ["due_ns", "started_ns", "ended_ns", "user_was_busy", "phase", "outcome"]
        table = pq.read_table(samples, columns=columns)
        counted = among(table["phase"], MEASURED) & among(table["outcome"], OK)
        due, started, ended = (table[name].to_numpy()[counted] for name in ("due_ns", "started_ns", "ended_ns"))
        since = np.where(table["user_was_busy"].to_numpy()[counted], due, started)
        return self.of((ended - since) / 1e6)
