"""Whether a number of replicas keeps a response time: by simulation, corrected by its error where cells ran."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.demands import Processors
from analysis.estimates import Estimate
from analysis.load import Run
from analysis.model import NOT_VALID, SeriesModel
from analysis.percentiles import check, system_of
from analysis.plan_question import Objective, Question
from analysis.planned import Planned, refused
from analysis.simulation import Simulated, simulate_open
from analysis.wording import number, signed_percent

MOST_TRIES = 8
GROWTH = 1.25
MOST_REPLICAS = 5000
"""Above it nothing is simulated: the law of utilisation stands, the percentile is refused."""
_SEED = 1


@dataclass(frozen=True)
class Judged:
    """Replicas that keep the objective (0 where none was asked for or it is refused), why more, and its figure."""

    replicas: int = 0
    why_more: str = ""
    figure: Planned | None = None


def judge(run: Run, model: SeriesModel, asked: Question, replicas: int, balancers: int, shards: int) -> Judged:
    """Return the fewest replicas from `replicas` on that keep the objective, in steps of a quarter."""
    goal = asked.objective
    if goal is None:
        return Judged()
    why = _refusal(model, goal, replicas)
    if why:
        return Judged(figure=refused(goal.metric, f"response {goal.quantile}", "ms", why))
    worse = _shortfall(run, model, goal)
    found = replicas
    for _ in range(MOST_TRIES):
        system = system_of(
            model, found, model.fitted[0].cell.threads, Processors(asked.replica_cpus, 0.0, 1),
            balancers=balancers, shards=shards,
        )  # fmt: skip
        seen = _of(simulate_open(system, asked.rps, seed=_SEED), goal)
        if (seen.value or math.inf) * worse <= goal.limit_ms:
            return _kept(model, goal, found, replicas, seen, worse)
        found = math.ceil(found * GROWTH)
    why = f"{found} replicas, {number(found / replicas)} times what utilisation asks for, do not bring {goal} either"
    return Judged(figure=refused(goal.metric, f"response {goal.quantile}", "ms", why))


def _refusal(model: SeriesModel, goal: Objective, replicas: int) -> str:
    floor = min(each.value(goal.metric) or math.inf for each in model.all_results)
    if goal.limit_ms <= floor:
        return (
            f"{goal} is tighter than the least that was measured ({number(floor)} ms): no number of replicas is known "
            "to bring it"
        )
    if model.verdict == NOT_VALID:
        return "the model is not valid here, so it plans no response time: counts are by utilisation"
    if replicas > MOST_REPLICAS:
        return f"{replicas:,} replicas are more than is simulated ({MOST_REPLICAS:,})"
    return ""


def _shortfall(run: Run, model: SeriesModel, goal: Objective) -> float:
    """Return by how much at most the simulation was below what was measured in held-out cells; 1 where it was not."""
    errors = [
        each.p50_error if goal.quantile in ("p50", "mean") else each.p99_error for each in check(run, model, _SEED)
    ]
    return max([1.0, *(1 / (1 + each) for each in errors)])


def _of(seen: Simulated, goal: Objective) -> Estimate:
    return {"p50": seen.p50_ms, "p90": seen.p90_ms, "p99": seen.p99_ms, "mean": seen.mean_ms}[goal.quantile]


def _kept(model: SeriesModel, goal: Objective, found: int, replicas: int, seen: Estimate, worse: float) -> Judged:
    ran = max(each.cell.replicas for each in model.all_results)
    checked = (
        f"raised by {signed_percent(worse)}, by which the simulation was below held-out cells"
        if worse > 1
        else "not below held-out cells"
        if model.held_out
        else "unchecked: no held-out cell"
    )
    value, low, high = ((each or 0.0) * worse for each in (seen.value, seen.low, seen.high))
    figure = Planned(
        goal.metric, f"response {goal.quantile}", "ms", value, low, high,
        "extrapolated" if found > ran else "modelled", f"simulated with {found} replicas; {checked}", found / ran,
    )  # fmt: skip
    more = f"{goal} asks for more than the {replicas} of utilisation alone" if found > replicas else ""
    return Judged(found, more, figure)
