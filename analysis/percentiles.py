"""Percentiles of a cell by simulation, from a fitted model: what is simulated, and how far off it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from analysis.demands import SHARED, Demands, Processors, mean_of, network, processors, speed
from analysis.estimates import CellResult, Estimate
from analysis.load import Run
from analysis.model import SeriesModel
from analysis.simulation import MEASURED, Simulated, System, simulate_closed, simulate_open
from analysis.stations import bottleneck
from loadtests import load_words

FULL = 0.95
"""Utilisation above which nothing is simulated: the queue would still be growing when the simulation ends."""
CHECKED = 8_000
"""Requests of a simulation that checks a cell."""
_MOST_SCV = 4.0


@dataclass(frozen=True)
class Checked:
    """Simulated percentiles of a held-out cell beside the measured ones; errors are shares of what was measured."""

    result: CellResult
    p50_ms: Estimate
    p99_ms: Estimate
    p50_error: float
    p99_error: float


def check(run: Run, model: SeriesModel, seed: int) -> tuple[Checked, ...]:
    """Return the check of every held-out cell that is not saturated; each is short, as a report has many."""
    made = []
    for held in model.held_out:
        system = system_of(
            model, held.result.cell.replicas, held.result.cell.threads, processors(run, held.result.cell)
        )
        measured = held.result.value("response_p50_ms"), held.result.value("response_p99_ms")
        if held.utilisation > FULL or not measured[0] or not measured[1]:
            continue
        seen = simulate(system, held.result, seed, CHECKED)
        errors = [
            (simulated.value or 0.0) / value - 1
            for simulated, value in ((seen.p50_ms, measured[0]), (seen.p99_ms, measured[1]))
        ]
        made.append(Checked(held.result, seen.p50_ms, seen.p99_ms, *errors))
    return tuple(made)


def simulate(system: System, result: CellResult, seed: int, requests: int = MEASURED) -> Simulated:
    """Return what a simulation of a cell under its own load gives."""
    load = result.cell.load
    if load_words.is_closed(load):
        think_s = float(load.get("think_s") or 0)
        return simulate_closed(system, int(load["users"]), think_s, seed=seed, requests=requests)
    return simulate_open(system, float(load["rate_rps"]), seed=seed, requests=requests)


def system_of(
    model: SeriesModel, replicas: int, threads: int, runs_on: Processors, *, balancers: int = 1, shards: int = 1
) -> System:
    """Return a topology with the model's mean demands, ready to be simulated."""
    demands = mean_of(list(model.by_block.values()))
    shared = bottleneck(network(demands, replicas, runs_on)).name == SHARED
    return System(
        replicas=replicas,
        threads=threads,
        replica_s=demands.replica_s,
        balancer_s=demands.balancer_s,
        store_s=demands.store_s,
        outside_s=outside_s(model.fitted, demands),
        scv=work_scv(model.fitted),
        balancers=balancers,
        shards=shards,
        shared_cores=runs_on.cores if shared else 0,
        replica_quota=1.0 if shared else speed(runs_on.replica),
        store_quota=1.0 if shared else speed(runs_on.store),
    )


def outside_s(fitted: Sequence[CellResult], demands: Demands) -> tuple[float, ...]:
    """Return what to draw the delay from: the shape of the measured remainder, scaled to the fitted mean.

    Where the replicas did not tell their times there is no shape, and the delay is constant.
    """
    grids = [each.parts.outside_grid_ms for result in fitted for each in result.measurements if each.parts]
    values = [max(0.0, value) for grid in grids for value in grid]
    mean = fmean(values) if values else 0.0
    if mean <= 0:
        return (demands.delay_s,)
    return tuple(value * demands.delay_s / mean for value in values)


def work_scv(fitted: Sequence[CellResult]) -> float:
    """Return how bursts at a replica scatter: as the time in Flask without the store's does; 1 where it is not told."""
    told = [each.parts.work_scv for result in fitted for each in result.measurements if each.parts]
    return min(_MOST_SCV, fmean(told)) if told else 1.0
