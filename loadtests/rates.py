"""The rate of an open load over a phase: constant, a straight ramp, or a staircase; and the inverse of its sum.

A process of unit rate becomes one of any rate by taking each of its times through the inverse of the cumulative rate
(inversion, or time rescaling: Cinlar, "Introduction to stochastic processes", 1975; Lewis and Shedler, "Simulation of
nonhomogeneous Poisson processes by thinning", Naval Research Logistics 26(3), 1979, section 1). It works alike for
random and for equal gaps, and one seed gives one sequence, whatever the rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Piece:
    """A stretch of time over which the rate is constant or a straight line. Seconds and requests per second."""

    from_s: float
    to_s: float
    from_rps: float
    to_rps: float

    @property
    def requests(self) -> float:
        """Requests expected in it."""
        return (self.from_rps + self.to_rps) / 2 * (self.to_s - self.from_s)

    @property
    def label(self) -> str:
        """The rate in words, `100` or `100 to 400`, requests per second."""
        same = self.from_rps == self.to_rps
        return f"{self.from_rps:g}" if same else f"{self.from_rps:g} to {self.to_rps:g}"


@dataclass(frozen=True)
class Rate:
    """`start_rps` throughout, or to `end_rps` (0: constant) over `length_s`: straight, or in `steps` equal lengths."""

    start_rps: float
    end_rps: float = 0.0
    length_s: float = 0.0
    steps: int = 0

    def pieces(self) -> tuple[Piece, ...]:
        """The steps of a staircase, or a ramp or a constant rate as one piece; none without a length."""
        if self.length_s <= 0:
            return ()
        if not self.end_rps:
            return (Piece(0.0, self.length_s, self.start_rps, self.start_rps),)
        if not self.steps:
            return (Piece(0.0, self.length_s, self.start_rps, self.end_rps),)
        rise = (self.end_rps - self.start_rps) / (self.steps - 1)
        rates = [self.start_rps + rise * step for step in range(self.steps)]
        borders = pairwise(self.length_s * border / self.steps for border in range(self.steps + 1))
        return tuple(Piece(*border, rate, rate) for border, rate in zip(borders, rates, strict=True))

    def split(self, quarters: int = 4) -> tuple[Piece, ...]:
        """What a report tells apart: the steps of a staircase, the quarters of a ramp."""
        if self.steps or not self.end_rps:
            return self.pieces()
        rise = (self.end_rps - self.start_rps) / quarters
        return tuple(
            Piece(
                self.length_s * part / quarters,
                self.length_s * (part + 1) / quarters,
                self.start_rps + rise * part,
                self.start_rps + rise * (part + 1),
            )
            for part in range(quarters)
        )

    def cumulative(self, at_s: float) -> float:
        """Requests expected until `at_s` (>= 0); after the last piece its rate goes on."""
        total, last_rps, end_s = 0.0, self.start_rps, 0.0
        for piece in self.pieces():
            within_s = min(at_s, piece.to_s) - piece.from_s
            if within_s <= 0:
                return total
            slope = (piece.to_rps - piece.from_rps) / (piece.to_s - piece.from_s)
            total += within_s * (piece.from_rps + slope * within_s / 2)
            last_rps, end_s = piece.to_rps, piece.to_s
        return total + max(0.0, at_s - end_s) * last_rps

    def inverse(self, requests: float) -> float:
        """When the cumulative rate reaches `requests` (>= 0), in seconds."""
        left, last_rps, end_s = requests, self.start_rps, 0.0
        for piece in self.pieces():
            if left < piece.requests:
                slope = (piece.to_rps - piece.from_rps) / (piece.to_s - piece.from_s)
                # of the two forms of a quadratic's root the one that loses no digits and bears a slope of 0
                return piece.from_s + 2 * left / (
                    piece.from_rps + math.sqrt(max(0.0, piece.from_rps**2 + 2 * slope * left))
                )
            left -= piece.requests
            last_rps, end_s = piece.to_rps, piece.to_s
        return end_s + left / last_rps
