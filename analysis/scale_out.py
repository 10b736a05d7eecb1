"""How throughput at saturation grows with replicas, by series: what was measured, fitted and predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.bounds import SHARED_CORES, Basis, Bound, Demand, bend, hinge, predict
from analysis.estimates import CellResult, Estimate, estimate
from analysis.load import Run
from analysis.replica_series import ByBlock, Series, all_series, efficiency, geometric_mean, ratio
from analysis.usl import Usl, fit
from loadtests.limits import FULL

KINDS = ("replica", "balancer", "store")
BASE_REPLICAS = 3
"""A prediction rests on cells of so many replicas at most."""
BASE_REPLICAS_OF_STORE = 4
"""... where the store has a quota, and its saturation is what is predicted."""
ONE_THREAD = ("redis", "replicated", "redis-cluster")
"""Stores whose server works on one thread, and so on one core at most."""
BENT = 0.95
"""A curve has bent where the interval of its efficiency lies under this."""


@dataclass(frozen=True)
class Busiest:
    """The component that was nearest to its limit, a share of it, and what of."""

    kind: str
    share: float
    of: str

    @property
    def full(self) -> bool:
        """Whether it was the limit."""
        return self.share >= FULL


@dataclass(frozen=True)
class Prediction:
    """At a number of replicas that it does not rest on, against what was measured there, paired by block.

    Attributes:
        error: predicted over measured: 1 is right.
        by_demand: over measured, of what a replica's quota would carry by the CPU time that a request takes of it,
            throughput left aside; None without a quota.

    """

    replicas: int
    predicted: Estimate
    limit: str
    error: Estimate
    by_demand: Estimate | None


@dataclass(frozen=True)
class Bend:
    """The number of replicas at which something else than they becomes the limit; None where it was not seen."""

    predicted: Estimate
    limit: str
    observed: Estimate | None
    error: Estimate | None  # predicted over observed


@dataclass(frozen=True)
class Curve:
    """One series: by number of replicas, what was measured and what follows."""

    series: Series
    results: Mapping[int, CellResult]
    server_cores: int
    quotas: Mapping[str, float]
    """Cores that one component of a kind may use, of the kinds whose quota held."""

    @property
    def counts(self) -> list[int]:
        """Numbers of replicas, ascending."""
        return sorted(self.results)

    @property
    def throughput(self) -> dict[int, ByBlock]:
        """Requests/s by replicas and block."""
        return {n: result.by_block("throughput_rps") for n, result in self.results.items()}

    @property
    def base(self) -> list[int]:
        """The numbers of replicas that predictions rest on."""
        limit = BASE_REPLICAS_OF_STORE if self.quota("store") else BASE_REPLICAS
        few = [n for n in self.counts if n <= limit]
        # where something else was full already, a replica adds less than it can
        return [n for n in few if self.busiest(n).kind == "replica" or not self.busiest(n).full] or few[:1]

    def quota(self, kind: str) -> float | None:
        """Cores that one component of a kind may use; None without a quota that held."""
        return self.quotas.get(kind)

    def cores(self, kind: str) -> float:
        """Cores that one component of a kind may use, quota or not."""
        several = kind == "store" and next(iter(self.series.cells.values())).store not in ONE_THREAD
        return self.quota(kind) or (max(self.server_cores, 1) if several else 1.0)

    def efficiency(self, replicas: int) -> Estimate | None:
        """X(N) / (N X(1))."""
        return efficiency(self.throughput, replicas)

    def grown(self, replicas: int) -> Estimate | None:
        """CPU per request of the replicas over that with the fewest, paired by block; None where that is the same."""
        first, metric = self.counts[0], "replica_cpu_us_per_request"
        if replicas == first:
            return None
        return ratio(self.results[replicas].by_block(metric), self.results[first].by_block(metric))

    def usl(self) -> Usl | None:
        """The fitted law; None where it is not identified."""
        blocks = sorted({block for values in self.throughput.values() for block in values})
        return fit([{n: values[b] for n, values in self.throughput.items() if b in values} for b in blocks])

    def demand_us(self, kind: str, replicas: int) -> Estimate:
        """CPU time per request of a kind of component, all of that kind together, us."""
        return self.results[replicas].estimates[f"{kind}_cpu_us_per_request"]

    def busiest(self, replicas: int) -> Busiest:
        """The utilisation law, X d / c, at a number of replicas: the component nearest to what it may use."""
        rps, found = self.results[replicas].value("throughput_rps") or 0.0, []
        for kind in KINDS:
            used = rps * (self.demand_us(kind, replicas).value or 0.0) / 1e6
            cores = self.cores(kind) * (replicas if kind == "replica" else 1)
            of = f"quota {self.cores(kind):g}" if self.quota(kind) else f"{self.cores(kind):g} core"
            found.append(Busiest(kind, used / cores, of))
        if self.server_cores:
            total = rps * (self.results[replicas].value("total_cpu_us_per_request") or 0.0) / 1e6
            found.append(Busiest(SHARED_CORES, total / self.server_cores, f"{self.server_cores} core"))
        return max(found, key=lambda each: each.share)

    def basis(self, block: int, *, by_demand: bool = False) -> Basis | None:
        """What predictions rest on in one block; None where it lacks one of its cells.

        What a replica adds is its throughput; `by_demand` its quota over the CPU time of a request. Demands on what is
        shared are those of the cell with most replicas: a server that is asked more does more at each waking.
        """
        if any(block not in self.throughput[n] for n in self.base) or not self.base:
            return None
        demands = {kind: self._demand_s(kind, block, self.base[-1]) for kind in (*KINDS, "total")}
        shared = [Demand(kind, demands[kind], self.cores(kind)) for kind in ("balancer", "store") if demands[kind]]
        one = geometric_mean([self.throughput[n][block] / n for n in self.base])
        if by_demand:
            one = self.cores("replica") / geometric_mean([self._demand_s("replica", block, n) for n in self.base])
        return Basis(one, tuple(shared), demands["total"], self.server_cores)

    def _demand_s(self, kind: str, block: int, replicas: int) -> float:
        return self.results[replicas].by_block(f"{kind}_cpu_us_per_request").get(block, 0.0) / 1e6

    def predictions(self) -> list[Prediction]:
        """One for every number of replicas beyond the base that was measured.

        None from a single number, and none where replicas without a quota contend for fewer cores than they are.
        """
        contended = self.quota("replica") is None and self.server_cores < self.counts[-1]
        if contended or len(self.base) < 2:  # noqa: PLR2004 - one point has no direction
            return []
        return [made for n in self.counts if n not in self.base and (made := self._prediction(n))]

    def _prediction(self, replicas: int) -> Prediction | None:
        made: dict[int, Bound] = {
            block: predict(basis, replicas)
            for block in self.throughput[replicas]
            if (basis := self.basis(block)) is not None
        }
        if not made:
            return None
        said = {block: each.rps for block, each in made.items()}
        limits = [each.limit for each in made.values()]
        return Prediction(
            by_demand=self._by_demand(replicas, list(made)),
            replicas=replicas,
            predicted=estimate(list(said.values()), positive=True),
            limit=max(set(limits), key=limits.count),
            error=ratio(said, self.throughput[replicas]),
        )

    def _by_demand(self, replicas: int, blocks: Sequence[int]) -> Estimate | None:
        if self.quota("replica") is None:
            return None
        bases = {block: basis for block in blocks if (basis := self.basis(block, by_demand=True))}
        said = {block: predict(basis, replicas).rps for block, basis in bases.items()}
        return ratio(said, self.throughput[replicas])

    def bend(self) -> Bend | None:
        """Where the curve must bend by its demands, and where it did; None without anything that replicas share."""
        bases = {block: basis for block in self._whole_blocks() if (basis := self.basis(block)) and basis.shared}
        if not bases:
            return None
        said = {block: bend(basis) for block, basis in bases.items()}
        at = {block: place for block, (place, _) in said.items()}
        limits = [limit for _, limit in said.values()]
        seen = {block: hinge({n: values[block] for n, values in self.throughput.items()}) for block in bases}
        observed = estimate(list(seen.values()), positive=True) if self.bent(seen) else None
        return Bend(
            predicted=estimate(list(at.values()), positive=True),
            limit=max(set(limits), key=limits.count),
            observed=observed,
            error=ratio(at, seen) if observed else None,
        )

    def bent(self, seen: ByBlock) -> bool:
        """Whether every block bends within what was measured, and the last cell lies under the line of the base."""
        last = self.counts[-1]
        line = {block: basis.one_replica_rps for block in seen if (basis := self.basis(block))}
        under = ratio(self.throughput[last], line, last).high
        return all(place < last for place in seen.values()) and under is not None and under < BENT

    def _whole_blocks(self) -> list[int]:
        return sorted(set.intersection(*(set(values) for values in self.throughput.values())))


def curves(run: Run, results: Sequence[CellResult]) -> tuple[Curve, ...]:
    """Return the series of a run that have measurable cells, those that refuse users left out."""
    shown = {each.cell.id: each for each in results if each.measurable and not each.refused}
    pinned = (run.document.get("machine", {}).get("pinning") or {}).get("servers") or ()
    made = []
    for line in all_series([each.cell for each in results]):
        found = {n: shown[cell.id] for n, cell in line.cells.items() if cell.id in shown}
        ids = {cell.id for cell in line.cells.values()}
        made += [Curve(line, found, len(pinned), _quotas(run, ids))] if found else []
    return tuple(made)


def _quotas(run: Run, cells: set[str]) -> dict[str, float]:
    """Return the quotas of a series by kind, as its trials say that they held."""
    parts = [part for trial in run.trials if trial.cell in cells for part in trial.components.values()]
    return {part["kind"]: float(part["quota_cpus"]) for part in parts if "quota_cpus" in part}
