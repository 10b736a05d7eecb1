"""Percentiles at 10, 100 and 1,000 replicas, by simulation, each as busy as the plan allows."""

from __future__ import annotations

import math

from analysis.demands import Processors, mean_of, speed
from analysis.model import NOT_VALID, SeriesModel
from analysis.percentiles import system_of
from analysis.plan_question import Question
from analysis.planned import How, Planned
from analysis.simulation import simulate_open
from analysis.wording import number, percent

SIZES = (10, 100, 1000)
_REQUESTS = 5_000
_SEED = 2


def at_scale(model: SeriesModel, asked: Question) -> tuple[Planned, ...]:
    """Return p99 at each size, balancers and shards in proportion.

    None where no response time is asked for, or the model is not valid here.
    """
    if asked.objective is None or model.verdict == NOT_VALID:
        return ()
    demands = mean_of(list(model.by_block.values()))
    ran = max(each.cell.replicas for each in model.all_results)
    found = []
    for replicas in SIZES:
        rate = asked.target * replicas * speed(asked.replica_cpus) / demands.replica_s
        system = system_of(
            model,
            replicas,
            model.fitted[0].cell.threads,
            Processors(asked.replica_cpus, 0.0, 1),
            balancers=_cores(rate * demands.balancer_s / asked.target),
            shards=_cores(rate * demands.store_s / asked.target),
        )
        seen = simulate_open(system, rate, seed=_SEED, requests=_REQUESTS).p99_ms
        note = f"simulated at {number(rate)} requests/s, {percent(asked.target)} busy; the interval is the simulation's"
        how: How = "extrapolated" if replicas > ran else "modelled"
        found.append(
            Planned(
                f"response_p99_ms_at_{replicas}", f"p99, {replicas:,} replicas", "ms",
                seen.value, seen.low, seen.high, how, note, replicas / ran,
            )
        )  # fmt: skip
    return tuple(found)


def _cores(needed: float) -> int:
    return max(1, math.ceil(needed - 1e-9))
