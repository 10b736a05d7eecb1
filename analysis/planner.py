"""From a run and a question to a plan: how many replicas, cores and octets a load needs, and how far that is known.

Counts of cores follow from the utilisation law, U = X D (Denning and Buzen 1978), with measured demands; percentiles
are simulated. Every figure rises with its demand, so the ends of the demand's interval give the ends of the figure's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.estimates import CellResult, Estimate, estimate
from analysis.load import NO_STORE, Run
from analysis.model import NOT_VALID, UNCHECKED, UNDECIDED, SeriesModel, models, series_key
from analysis.plan_objective import judge
from analysis.plan_question import Question
from analysis.plan_scale import at_scale
from analysis.planned import Plan, Planned, SeriesPlan, refused
from analysis.session_memory import HINT
from analysis.stations import Station, bottleneck
from analysis.wording import count, number, percent

FEWEST_BLOCKS = 3
MOST_SPREAD = 4.0
"""High end over low end of a demand above which nothing is planned from it."""
_DAY_S = 86_400


def plan(
    run: Run, results: Sequence[CellResult], asked: Question, sessions: Mapping[tuple[str, str], Estimate]
) -> Plan:
    """Return the plan of every series of the run; `sessions` is octets of store memory by scheme and store."""
    by_series = {series_key(each.fitted[0]): each for each in models(run, results)}
    groups: dict[tuple[object, ...], list[CellResult]] = {}
    for each in results:
        if each.cell.duplicate_of is None:
            groups.setdefault(series_key(each), []).append(each)
    made = [_series(run, by_series.get(key), group, asked, sessions) for key, group in groups.items()]
    return Plan(asked, run.document, tuple(made))


@dataclass(frozen=True)
class Needs:
    """Cores that one series needs of each kind, at the low end, the value and the high end of the demands."""

    replicas: tuple[int, int, int]
    balancers: tuple[int, int, int]
    shards: tuple[int, int, int]
    busy_cores: tuple[float, float, float]


def demand(model: SeriesModel, name: str) -> Estimate:
    """Return a demand in seconds, its interval over blocks."""
    return estimate([getattr(each, name) for each in model.by_block.values()], positive=True)


def needs(model: SeriesModel, asked: Question) -> Needs:
    """Return what the utilisation law asks for: X D over the target utilisation, rounded up."""
    speed = min(asked.replica_cpus, 1.0)  # a replica computes in one thread at a time

    def cores(name: str, per_core: float) -> tuple[int, int, int]:
        low, value, high = _ends(demand(model, name))
        low, value, high = (
            math.ceil(asked.rps * each / (asked.target * per_core) - 1e-9) for each in (low, value, high)
        )
        return low, value, high

    return Needs(
        replicas=_least_one(cores("replica_s", speed)),
        balancers=_least_one(cores("balancer_s", 1.0)),
        shards=cores("store_s", 1.0),
        busy_cores=_ends(demand(model, "total_s"), asked.rps),
    )


def _ends(figure: Estimate, factor: float = 1.0) -> tuple[float, float, float]:
    value = (figure.value or 0.0) * factor
    return (
        (value if figure.low is None else figure.low * factor),
        value,
        (value if figure.high is None else figure.high * factor),
    )


def _least_one(cores: tuple[int, int, int]) -> tuple[int, int, int]:
    low, value, high = cores
    return max(1, low), max(1, value), max(1, high)


def _series(
    run: Run,
    model: SeriesModel | None,
    group: Sequence[CellResult],
    asked: Question,
    sessions: Mapping[tuple[str, str], Estimate],
) -> SeriesPlan:
    cell = group[0].cell
    why = refusal(model, group)
    if why or model is None:
        return SeriesPlan(cell, refusal=why)
    needed = needs(model, asked)
    if needed.replicas[1] > 1 and not cell.shared:
        return SeriesPlan(cell, refusal=_unshared(cell.policy, needed.replicas[1]))
    objective = judge(run, model, asked, needed.replicas[1], needed.balancers[1], max(1, needed.shards[1]))
    needed = Needs(_raised(needed.replicas, objective.replicas), needed.balancers, needed.shards, needed.busy_cores)
    figures = (
        *_counts(model, asked, needed, objective.why_more),
        *((objective.figure,) if objective.figure else ()),
        *at_scale(model, asked),
        _first_full(model, asked, needed),
        _memory(model, asked, sessions.get((cell.scheme, cell.store))),
        *_octets(model, asked),
    )
    return SeriesPlan(cell, figures, cautions=_cautions(run, model))


def refusal(model: SeriesModel | None, group: Sequence[CellResult]) -> str:
    """Return why nothing can be planned from these cells; empty where something can."""
    if model is None:
        if any(each.measurable and each.refused for each in group):
            return "signed-in users were refused in every cell: what a refusal costs says nothing about an answer"
        return "no cell of this run has enough valid blocks: see Validity in its report"
    if len(model.by_block) < FEWEST_BLOCKS:
        have = count(len(model.by_block), "valid block")
        return f"{have}, and an interval needs {FEWEST_BLOCKS}: `make bench BLOCKS=6`"
    low, _, high = _ends(demand(model, "replica_s"))
    if low <= 0 or high / low > MOST_SPREAD:
        spread = f"{number(1e6 * low)} to {number(1e6 * high)} us"
        return f"CPU per request is known to {spread} alone: more blocks (BLOCKS=12), or a quieter machine"
    return ""


def _unshared(policy: str, replicas: int) -> str:
    return (
        f"{replicas} replicas would be needed, and this store is not shared between replicas: with {policy} what one "
        "replica signs in another refuses, or loses when it ends"
    )


def _raised(replicas: tuple[int, int, int], to: int) -> tuple[int, int, int]:
    """Return the counts when the objective asks for more replicas than utilisation does: all by the same factor."""
    if to <= replicas[1]:
        return replicas
    low, _, high = (math.ceil(each * to / replicas[1]) for each in replicas)
    return low, to, high


def _counts(model: SeriesModel, asked: Question, needed: Needs, why_more: str) -> tuple[Planned, ...]:
    law = f"CPU per request x load, at most {percent(asked.target)} busy"
    ran = max(each.cell.replicas for each in model.all_results)
    replicas = needed.replicas
    total = tuple(
        each * asked.replica_cpus + balancers + shards
        for each, balancers, shards in zip(replicas, needed.balancers, needed.shards, strict=True)
    )
    rate = _rate_factor(model, asked)
    found = [
        _figure("replicas", "replicas", "", replicas, why_more or law, replicas[1] / ran),
        _figure("balancer_cores", "balancer cores", "", needed.balancers, law, rate),
    ]
    if model.fitted[0].cell.store != NO_STORE and needed.shards[1]:
        how = law + "; shards of one core each where it computes in one thread (Redis, Valkey)"
        found.append(_figure("store_cores", "store cores", "", needed.shards, how, rate))
    else:
        found.append(Planned("store_cores", "store cores", "", 0, 0, 0, "measured", _no_store(model), None))
    return (
        *found,
        _figure("cores", "CPU cores in all", "", (total[0], total[1], total[2]), "the sum of these", rate),
        _figure("busy_cores", "of them busy", "", needed.busy_cores, "CPU per request x load", rate),
    )


def _no_store(model: SeriesModel) -> str:
    if model.fitted[0].cell.store == NO_STORE:
        return "this scheme asks no store"
    return "this store runs in the replica, and its work is in the replica's"


def _figure(name: str, title: str, unit: str, ends: tuple[float, float, float], note: str, factor: float) -> Planned:
    low, value, high = ends
    return Planned(name, title, unit, value, low, high, "extrapolated" if factor > 1 else "modelled", note, factor)


def _rate_factor(model: SeriesModel, asked: Question) -> float:
    ran = max(each.value("throughput_rps") or 0.0 for each in model.all_results)
    return asked.rps / ran if ran else math.inf


def _first_full(model: SeriesModel, asked: Question, needed: Needs) -> Planned:
    """Return the load at which the first component of the plan is full, and which one that is."""

    def stations(at: int) -> tuple[Station, ...]:
        ends = {name: _ends(demand(model, name))[at] for name in ("replica_s", "balancer_s", "store_s")}
        return (
            Station("replicas", ends["replica_s"] / min(asked.replica_cpus, 1.0), copies=needed.replicas[1]),
            Station("balancer", ends["balancer_s"], copies=needed.balancers[1]),
            Station("store", ends["store_s"], copies=max(1, needed.shards[1])),
        )

    full = [bottleneck(stations(at)) for at in (2, 1, 0)]  # a greater demand is full at a lower load
    used = full[1].utilisation(asked.rps)
    one = ", ".join(
        f"one {name} core at {number(Station(name, each).capacity_rps)}/s"
        for name, each in (("balancer", demand(model, "balancer_s").value), ("store", demand(model, "store_s").value))
        if each
    )
    note = f"{full[1].name}, {percent(used)} busy at the load asked for; full alone: {one}"
    low, value, high = (each.capacity_rps for each in full)
    return _figure(
        "saturation_rps", "first full at", "requests/s", (low, value, high), note, _rate_factor(model, asked)
    )


def _memory(model: SeriesModel, asked: Question, slope: Estimate | None) -> Planned:
    name, title, unit = "store_memory_bytes", "store memory", "MB"
    cell = model.fitted[0].cell
    if cell.store == NO_STORE:
        return Planned(name, title, unit, 0, 0, 0, "measured", _no_store(model))
    if slope is None:
        return refused(name, title, unit, HINT)
    low, value, high = _ends(slope, asked.users / 1e6)
    note = f"{number(slope.value)} octets per session x {asked.users:,} users"
    return Planned(name, title, unit, value, low, high, "measured", note)


def _octets(model: SeriesModel, asked: Question) -> tuple[Planned, ...]:
    """Return octets a day if the load asked for lasted all day: they are counted, so they travel unchanged."""
    result = model.fitted[0]
    found = []
    for name, title, metric in (
        ("ingress_gb_per_day", "into the balancer", "request_bytes"),
        ("credential_gb_per_day", "of it credentials", "credential_bytes"),
        ("egress_gb_per_day", "out of it", "response_bytes"),
    ):
        figure = result.estimates[metric]
        low, value, high = _ends(figure, asked.rps * _DAY_S / 1e9)
        note = f"{number(figure.value)} octets per request x load, all day long; HTTP alone, without TCP and TLS"
        found.append(Planned(name, title, "GB/day", value, low, high, "measured", note))
    return tuple(found)


def _cautions(run: Run, model: SeriesModel) -> tuple[str, ...]:
    said = []
    if not any(each.cell.options.get("replica_cpus") for each in model.fitted):
        said.append(
            "measured without a CPU quota: components contended for the same cores, so the demands are of contention, "
            "not of scaling; `make bench REPLICA_CPUS=0.5` isolates them"
        )
    if model.verdict == UNCHECKED:
        said.append("the model was not checked here: this run has no cell that it was not fitted on")
    elif model.verdict == NOT_VALID:
        said.append("the model is not valid here (see the run's report): response times are not planned with it")
    elif model.verdict == UNDECIDED:
        said.append(
            "whether the model is valid here is undecided: its error may be larger than its limits; more blocks"
        )
    cpu = (run.document.get("machine") or {}).get("cpu")
    said.append(f"demands are of this machine ({cpu}); another processor needs another run")
    return tuple(said)
