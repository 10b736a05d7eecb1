"""The tables of scale-out: throughput and efficiency, predictions, the fitted law, demands, where curves bend."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.estimates import Estimate
from analysis.report.table import Entry, Table
from analysis.scale_out import KINDS, Bend, Curve, Prediction
from analysis.usl import Usl
from analysis.wording import NOTHING, interval, joined, number, percent, signed_percent

TARGET = 0.1
"""A prediction further off than this share is called so."""
_NAMES = {"replica": "the replicas", "replicas": "the replicas", "balancer": "the balancer", "store": "the store"}


def throughput_table(drawn: Sequence[Curve]) -> Table:
    """Return throughput, efficiency and the component nearest to its limit, of every cell."""
    return Table(
        title="Throughput at saturation",
        columns=("series", "replicas", "requests/s", "efficiency", "nearest to its limit", "busy"),
        rows=tuple(_throughput_row(each, n) for each in drawn for n in each.counts),
        note="Efficiency: X(N) / (N X(1)), paired by block; 100 % is scaling without loss. Busy: throughput times CPU "
        "per request over what the component may use (the utilisation law); of replicas the mean.",
    )


def _throughput_row(each: Curve, replicas: int) -> tuple[Entry, ...]:
    scaled, busiest = each.efficiency(replicas), each.busiest(replicas)
    return (
        Entry(each.series.name),
        Entry(str(replicas)),
        entry(each.results[replicas].estimates["throughput_rps"]),
        Entry(percent(scaled.value), shares(scaled)) if scaled and replicas > 1 else Entry(NOTHING),
        Entry(named(busiest.kind)),
        Entry(percent(busiest.share), f"of {busiest.of}"),
    )


def predictions_table(drawn: Sequence[Curve]) -> tuple[Table, ...]:
    """Return the predictions beside what was measured, where there are any."""
    made = [(each, found) for each in drawn for found in each.predictions()]
    if not made:
        return ()
    return (
        Table(
            title="Predicted and measured",
            columns=("series", "replicas", "predicted (requests/s)", "measured", "error", "by demand alone", "limit"),
            rows=tuple(_prediction_row(each, found) for each, found in made),
            note="Predicted from the cells with fewest replicas "
            f"({'; '.join(f'{each.series.name}: {joined(map(str, each.base))}' for each in drawn)}): N times what each "
            "replica added there, and no more than store, balancer and the servers' cores can carry by the demands "
            f"measured there (asymptotic bounds). The target is {percent(TARGET)}. By demand "
            "alone: the error, where what a replica adds is its quota over its CPU per request, with no throughput "
            "measured.",
        ),
    )


def _prediction_row(each: Curve, found: Prediction) -> tuple[Entry, ...]:
    return (
        Entry(each.series.name),
        Entry(str(found.replicas)),
        entry(found.predicted),
        entry(each.results[found.replicas].estimates["throughput_rps"]),
        Entry(signed_percent(found.error.value), signed_span(found.error)),
        Entry(signed_percent(found.by_demand.value), signed_span(found.by_demand))
        if found.by_demand
        else Entry(NOTHING),
        Entry(named(found.limit)),
    )


def law_table(drawn: Sequence[Curve]) -> tuple[Table, ...]:
    """Return the fitted law of every series, where one is identified."""
    fitted = [(each, each.usl()) for each in drawn]
    if not any(law for _, law in fitted):
        return ()
    return (
        Table(
            title="Universal scalability law",
            columns=("series", "one replica (requests/s)", "contention, sigma", "coherence, kappa", "peak (replicas)"),
            rows=tuple(_law_row(each, law) for each, law in fitted),
            note="Gunther's X(N) = gamma N / (1 + sigma (N - 1) + kappa N (N - 1)), fitted to each block by itself, "
            "with t intervals over the blocks; not held above zero. A peak is claimed only where the interval of kappa "
            "lies above zero. Where another component fills up the law describes the bend, and predicts nothing.",
        ),
    )


def _law_row(each: Curve, law: Usl | None) -> tuple[Entry, ...]:
    if law is None:
        return (Entry(each.series.name), *[Entry(NOTHING)] * 4)
    peak = "none claimed" if law.peak is None else number(law.peak)
    return (Entry(each.series.name), entry(law.gamma), entry(law.sigma), entry(law.kappa), Entry(peak))


def demands_table(drawn: Sequence[Curve]) -> Table:
    """Return CPU per request by kind of component, of every cell."""
    return Table(
        title="Service demand: CPU per request (us)",
        columns=("series", "replicas", *KINDS, "all servers"),
        rows=tuple(
            (Entry(each.series.name), Entry(str(n)), *(entry(each.demand_us(kind, n)) for kind in (*KINDS, "total")))
            for each in drawn
            for n in each.counts
        ),
        note="Scheduler clocks over the measured phase, all components of a kind together.",
    )


def bends_table(drawn: Sequence[Curve]) -> Table:
    """Return where every series must bend and where it did."""
    return Table(
        title="Where the curve bends",
        columns=("series", "predicted (replicas)", "by", "observed (replicas)", "error", "CPU of it (us)"),
        rows=tuple(_bend_row(each) for each in drawn),
        note="Predicted: what the limit can carry, by the demand of a request on it, over what each replica adds; both "
        "measured where replicas were the limit. Observed: the corner of min(a N, b), fitted to each block. A curve "
        "bends when every block has a corner and the last cell lies 5 % or more under the line, by its interval. CPU "
        "of it: what a request takes of the limit, where the prediction rests and at the most replicas. Where the "
        "second is less (a busy server may answer several requests at each waking) the bend comes later than foretold.",
    )


def _bend_row(each: Curve) -> tuple[Entry, ...]:
    found, last = each.bend(), each.counts[-1]
    if found is None:
        return (Entry(each.series.name), *[Entry(NOTHING)] * 5)
    observed = entry(found.observed) if found.observed else Entry(f"not up to {last}")
    error = Entry(signed_percent(found.error.value), signed_span(found.error)) if found.error else Entry(NOTHING)
    return (
        Entry(each.series.name),
        entry(found.predicted),
        Entry(named(found.limit)),
        observed,
        error,
        _change(each, found),
    )


def _change(each: Curve, found: Bend) -> Entry:
    kind = found.limit if found.limit in KINDS else "total"
    foretold, there = each.demand_us(kind, each.base[-1]), each.demand_us(kind, each.counts[-1])
    return Entry(f"{number(foretold.value)}, {number(there.value)}", f"at {each.base[-1]}, {each.counts[-1]} replicas")


def named(kind: str) -> str:
    """Return a kind of component for a sentence."""
    return _NAMES.get(kind, f"the {kind}")


def entry(figure: Estimate) -> Entry:
    """Return a figure over its interval."""
    return Entry(number(figure.value), "" if figure.low is None else interval(figure.low, figure.high))


def shares(figure: Estimate) -> str:
    """Return the interval of a share."""
    return "one block" if figure.low is None else f"{percent(figure.low)} to {percent(figure.high)}"


def signed_span(figure: Estimate) -> str:
    """Return the interval of a ratio as changes."""
    if figure.low is None:
        return "one block"
    return f"{signed_percent(figure.low)} to {signed_percent(figure.high)}"
