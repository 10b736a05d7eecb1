"""The queueing model of a run: demands from some cells, predictions for others, and how far off they are.

Operational laws (Denning and Buzen 1978) and a product-form network: exact mean value analysis in a closed loop, an
open network where arrivals are Poisson. Demands are CPU times that were measured; one number is fitted, the delay: what
of the mean response time in the fitted cells no queue explains (network, client, waiting that costs no CPU).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import optimize

from analysis import mva, open_network
from analysis.closed_bounds import Bounds, balanced_job
from analysis.demands import Demands, demands_of, mean_of, network, processors, with_delay
from analysis.estimates import CellResult, Estimate, estimate
from analysis.load import Run
from analysis.stations import Station, bottleneck
from loadtests import load_words

RESPONSE_LIMIT, THROUGHPUT_LIMIT = 0.15, 0.10
"""Errors, as shares of what was measured, up to which the model is valid here."""
VALID, UNDECIDED, NOT_VALID, UNCHECKED = "valid here", "undecided", "not valid here", "unchecked"
FIT_UP_TO = 3
"""Replicas of the cells that are fitted, where there are cells with more."""


@dataclass(frozen=True)
class Prediction:
    """Means of one block of a cell as the model has them."""

    response_ms: float
    throughput_rps: float


@dataclass(frozen=True)
class HeldOut:
    """A cell that the fit did not see: measured, modelled, and modelled over measured less one, each over blocks."""

    result: CellResult
    response_ms: Estimate
    throughput_rps: Estimate
    response_error: Estimate
    throughput_error: Estimate
    utilisation: float
    saturates: str
    """The station that is busiest, by name."""
    bounds: Bounds | None = None
    """Of throughput and response in a closed loop, from the mean demands."""

    @property
    def verdict(self) -> str:
        """Valid where both errors are within their limits with their intervals, undecided where without; else not.

        The same logic as that of equivalence (Schuirmann 1987): a wide interval is no proof that the error is small.
        A model without a finite response is not valid.
        """
        pairs = ((self.response_error, RESPONSE_LIMIT), (self.throughput_error, THROUGHPUT_LIMIT))
        if any(error.value is None or abs(error.value) > limit for error, limit in pairs):
            return NOT_VALID
        within = (
            error.low is not None and error.high is not None and max(-error.low, error.high) <= limit
            for error, limit in pairs
        )
        return VALID if all(within) else UNDECIDED


@dataclass(frozen=True)
class SeriesModel:
    """The model of one scheme, store, policy and set of options: what it was fitted on, and what it was checked on."""

    fitted: tuple[CellResult, ...]
    held_out: tuple[HeldOut, ...]
    by_block: Mapping[int, Demands]

    @property
    def all_results(self) -> tuple[CellResult, ...]:
        """Every cell of the series that could be used."""
        return (*self.fitted, *(each.result for each in self.held_out))

    @property
    def verdict(self) -> str:
        """The worst verdict of the held-out cells; unchecked where none was held out."""
        found = {each.verdict for each in self.held_out}
        return next((each for each in (NOT_VALID, UNDECIDED, VALID) if each in found), UNCHECKED)


def models(run: Run, results: Sequence[CellResult]) -> tuple[SeriesModel, ...]:
    """Return the model of every series with a cell that can be measured; refusals and duplicates are left out.

    A ramp has no one rate, so its cells are left out, too.
    """
    usable = [each for each in results if _usable(each)]
    groups: dict[tuple[Any, ...], list[CellResult]] = {}
    for each in usable:
        groups.setdefault(series_key(each), []).append(each)
    return tuple(made for group in groups.values() if (made := _model(run, group)))


def predict(demands: Demands, stations: Sequence[Station], load: Mapping[str, Any]) -> Prediction:
    """Return mean response and throughput under a load; of an open loop that is too much, infinity and capacity."""
    if load_words.is_closed(load):
        solved = mva.solve(
            stations, int(load["users"]), think_s=float(load.get("think_s") or 0), delay_s=demands.delay_s
        )
        return _within(solved, bottleneck(stations).capacity_rps, load)
    rate = float(load["rate_rps"])
    response = open_network.response_s(stations, rate, delay_s=demands.delay_s)
    return Prediction(1e3 * response, min(rate, bottleneck(stations).capacity_rps))


def _within(solved: mva.Solution, capacity_rps: float, load: Mapping[str, Any]) -> Prediction:
    """Return the solution, or where quotas allow less than it needs what they allow (the response by Little's law)."""
    if solved.throughput_rps <= capacity_rps:
        return Prediction(1e3 * solved.response_s, solved.throughput_rps)
    return Prediction(1e3 * (int(load["users"]) / capacity_rps - float(load.get("think_s") or 0)), capacity_rps)


def _usable(result: CellResult) -> bool:
    alone = result.cell.duplicate_of is None and not result.cell.load.get("ramp_to_rps")
    return alone and result.measurable and not result.refused and result.value("response_mean_ms") is not None


def series_key(result: CellResult) -> tuple[Any, ...]:
    """Return what the cells of a series have in common: all but their replicas and their load."""
    cell = result.cell
    return cell.scheme, cell.store, cell.policy, tuple(sorted(cell.options.items())), cell.case, cell.threads


def _model(run: Run, group: Sequence[CellResult]) -> SeriesModel | None:
    fitted, held = split(group)
    by_block = _fit(run, fitted)
    if not by_block:
        return None
    # errors are taken within blocks: a cell that shares none with the fit checks nothing
    checkable = [each for each in held if set(by_block) & set(each.by_block("response_mean_ms"))]
    return SeriesModel(fitted, tuple(_check(run, each, by_block) for each in checkable), by_block)


def split(group: Sequence[CellResult]) -> tuple[tuple[CellResult, ...], tuple[CellResult, ...]]:
    """Return which cells of a series are fitted and which are held out.

    Of several replica counts those up to 3 are fitted, or all but the most; of one count the lowest load.
    """
    counts = sorted({each.cell.replicas for each in group})
    if len(counts) > 1:
        least = [n for n in counts if n <= FIT_UP_TO] or counts[:1]
        chosen = set(least if len(least) < len(counts) else counts[:-1])
        picked = [each.cell.replicas in chosen for each in group]
    else:
        lowest = min(_amount(each) for each in group)
        picked = [_amount(each) == lowest for each in group]
    fitted = tuple(each for each, taken in zip(group, picked, strict=True) if taken)
    return fitted, tuple(each for each, taken in zip(group, picked, strict=True) if not taken)


def _amount(result: CellResult) -> float:
    load = result.cell.load
    return float(load["users"] if load_words.is_closed(load) else load["rate_rps"])


def _fit(run: Run, fitted: Sequence[CellResult]) -> dict[int, Demands]:
    """Return the demands and the delay of each block that all fitted cells have, means over the cells."""
    found = [demands_of(each) for each in fitted]
    blocks = set.intersection(*(set(each) for each in found))
    return {
        block: mean_of([_delayed(run, result, each[block], block) for result, each in zip(fitted, found, strict=True)])
        for block in sorted(blocks)
    }


def _delayed(run: Run, result: CellResult, demands: Demands, block: int) -> Demands:
    """Return the demands with the delay that makes the model's response the measured one; none where it is longer."""
    measured_ms = result.by_block("response_mean_ms")[block]
    stations, load = network(demands, result.cell.replicas, processors(run, result.cell)), offered(run, result, block)

    def excess_ms(delay_s: float) -> float:
        return predict(with_delay(demands, delay_s), stations, load).response_ms - measured_ms

    if excess_ms(0.0) >= 0:
        return demands
    # in a closed loop a delay shortens the queues, so it is searched for
    return with_delay(demands, float(optimize.brentq(excess_ms, 0.0, measured_ms / 1e3 + 1e-9)))


def _check(run: Run, result: CellResult, by_block: Mapping[int, Demands]) -> HeldOut:
    runs_on = processors(run, result.cell)
    response, throughput = result.by_block("response_mean_ms"), result.by_block("throughput_rps")
    blocks = [block for block in by_block if block in response and block in throughput]
    said = {
        block: predict(
            by_block[block], network(by_block[block], result.cell.replicas, runs_on), offered(run, result, block)
        )
        for block in blocks
    }
    demands = mean_of(list(by_block.values()))
    stations = network(demands, result.cell.replicas, runs_on)
    busiest = bottleneck(stations)
    return HeldOut(
        result=result,
        response_ms=_over([said[block].response_ms for block in blocks]),
        throughput_rps=_over([said[block].throughput_rps for block in blocks]),
        response_error=_less_one(_over([said[block].response_ms / response[block] for block in blocks])),
        throughput_error=_less_one(_over([said[block].throughput_rps / throughput[block] for block in blocks])),
        utilisation=busiest.utilisation(result.value("throughput_rps") or 0.0),
        saturates=busiest.name,
        bounds=_bounds(demands, stations, result.cell.load),
    )


def _bounds(demands: Demands, stations: Sequence[Station], load: Mapping[str, Any]) -> Bounds | None:
    if not load_words.is_closed(load):
        return None
    think_s = float(load.get("think_s") or 0)
    return balanced_job(stations, int(load["users"]), think_s=think_s, delay_s=demands.delay_s)


def offered(run: Run, result: CellResult, block: int) -> Mapping[str, Any]:
    """Return the load of one trial: of an open loop with the rate that its schedule came to.

    A second of Poisson arrivals at 250 a second brings 220 or 280: that is what the servers were asked, not an answer.
    """
    load = result.cell.load
    if load_words.is_closed(load):
        return load
    trial = next(each for each in run.trials if (each.cell, each.block) == (result.cell.id, block))
    return {**load, "rate_rps": (trial.sent + trial.dropped) / trial.duration_s}


def _over(values: Sequence[float]) -> Estimate:
    """Return the estimate over blocks; none where a block's is not finite: the model says the load is too much."""
    return estimate(values if all(math.isfinite(each) for each in values) else (), positive=True)


def _less_one(ratio: Estimate) -> Estimate:
    if ratio.value is None:
        return ratio
    low = None if ratio.low is None else ratio.low - 1
    high = None if ratio.high is None else ratio.high - 1
    return Estimate(ratio.value - 1, low, high, ratio.blocks)
