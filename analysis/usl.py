"""The universal scalability law, fitted to throughput at several numbers of replicas.

X(N) = gamma N / (1 + sigma (N - 1) + kappa N (N - 1)): N. J. Gunther, "Guerrilla Capacity Planning", 2007, and "A
general theory of computational scalability based on rational functions", arXiv:0808.1431. sigma is contention (what is
done in turn), kappa coherence (what each must tell all others); with kappa above zero throughput has a peak, at
sqrt((1 - sigma) / kappa).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.estimates import NOT_APPLICABLE, Estimate, estimate

FEWEST_COUNTS = 4
"""Numbers of replicas below which three parameters are not identified: through three points a curve always goes."""


@dataclass(frozen=True)
class Coefficients:
    """Of one block: gamma in requests/s of one replica; sigma and kappa may come out below zero, by noise or truly."""

    gamma: float
    sigma: float
    kappa: float

    def throughput(self, replicas: float) -> float:
        """X(N), requests/s."""
        slowed = 1 + self.sigma * (replicas - 1) + self.kappa * replicas * (replicas - 1)
        return self.gamma * replicas / slowed


@dataclass(frozen=True)
class Usl:
    """Over the blocks: each coefficient with its interval, and the peak where one may be claimed."""

    gamma: Estimate
    sigma: Estimate
    kappa: Estimate
    peak: float | None
    blocks: tuple[Coefficients, ...]

    @property
    def typical(self) -> Coefficients:
        """The curve of the estimates."""
        return Coefficients(self.gamma.value or 0.0, self.sigma.value or 0.0, self.kappa.value or 0.0)


def fit_block(throughput: Mapping[int, float]) -> Coefficients:
    """Fit one block: N/X(N) is linear in 1/gamma, sigma/gamma and kappa/gamma.

    Least squares of relative errors, because throughput scatters by shares. Coefficients are not held above zero: a
    bound would turn noise about zero into contention. Raises ValueError under `FEWEST_COUNTS` numbers of replicas.
    """
    if len(throughput) < FEWEST_COUNTS:
        raise ValueError(f"{len(throughput)} numbers of replicas do not identify three parameters")
    replicas = np.array(sorted(throughput), dtype=float)
    times = np.array([count / throughput[int(count)] for count in replicas])
    terms = np.stack([np.ones_like(replicas), replicas - 1, replicas * (replicas - 1)], axis=1)
    base, contention, coherence = np.linalg.lstsq(terms / times[:, None], np.ones_like(times), rcond=None)[0]
    return Coefficients(float(1 / base), float(contention / base), float(coherence / base))


def fit(blocks: Sequence[Mapping[int, float]]) -> Usl | None:
    """Fit every block by itself, and return the mean of each coefficient with a t interval over the blocks.

    The block is the unit of inference; a percentile bootstrap over the few there are covers far less than it says
    (tests/analysis/test_analysis_usl.py simulates both). None without four numbers of replicas in two blocks.
    """
    whole = set().union(*blocks) if blocks else set()
    usable = [block for block in blocks if set(block) == whole]
    if len(whole) < FEWEST_COUNTS or len(usable) < 2:  # noqa: PLR2004 - one has no interval
        return None
    made = tuple(fit_block(block) for block in usable)
    sigma = estimate([each.sigma for each in made], positive=False)
    kappa = estimate([each.kappa for each in made], positive=False)
    return Usl(
        gamma=estimate([each.gamma for each in made], positive=True),
        sigma=sigma,
        kappa=kappa,
        peak=_peak(sigma, kappa),
        blocks=made,
    )


def _peak(sigma: Estimate, kappa: Estimate) -> float | None:
    """Return the replicas of the most throughput; None where the interval of kappa reaches zero, or there is none."""
    if NOT_APPLICABLE in (sigma, kappa) or not (kappa.low and kappa.value and sigma.value is not None):
        return None
    if kappa.low <= 0 or sigma.value >= 1:
        return None
    return math.sqrt((1 - sigma.value) / kappa.value)
