"""Scale-out: throughput at saturation against replicas, the fitted law, and predictions against what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.compare import Comparison
from analysis.estimates import CellResult, Estimate
from analysis.finding import Finding
from analysis.lines import Drawing, Figure
from analysis.load import Cell, Run
from analysis.replica_curves import Beside, Point, curves_panel
from analysis.replica_curves import Curve as Drawn
from analysis.scale_out import Busiest, Curve, curves
from analysis.scaling_document import document
from analysis.scaling_tables import (
    TARGET,
    bends_table,
    demands_table,
    law_table,
    named,
    predictions_table,
    shares,
    signed_span,
    throughput_table,
)
from analysis.section import Section
from analysis.wording import capital, count, joined, number, percent, signed_percent, subject
from loadtests import load_words

PLACE = 20
FEWEST_COUNTS = 3
"""Numbers of replicas under which there is no curve."""
LEAST_EFFICIENCY = 0.85
"""Under this, what was full is named."""


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:
    """Return how a closed loop's throughput grows with replicas; None of an open loop, or without three counts."""
    del comparisons
    drawn = [each for each in curves(run, results) if len(each.counts) >= FEWEST_COUNTS]
    if not load_words.is_closed(run.load) or not drawn:
        return None
    bends = [each for each in drawn if each.quota("store") or each.series.scheme in ("control", "token")]
    stores = any(each.quota("store") for each in drawn)
    return Section(
        id="scaling",
        title="Throughput against replicas",
        text=tuple(_method(run, drawn)),
        answer=tuple(_sentence(each) for each in drawn),
        findings=tuple(_findings(drawn)),
        tables=(
            throughput_table(drawn),
            *predictions_table(drawn),
            *law_table(drawn),
            demands_table(drawn),
            *((bends_table(bends),) if stores else ()),
        ),
        figures=(_figure(drawn, run),),
        document={"series": [document(each) for each in drawn]},
    )


def _figure(drawn: Sequence[Curve], run: Run) -> Figure:
    panels = []
    for place, each in enumerate(drawn):
        points = tuple(_point(n, each.results[n].estimates["throughput_rps"]) for n in each.counts)
        told = joined(f"{number(point.value)} at ×{point.replicas}" for point in points)  # noqa: RUF001
        alt = f"{each.series.name}: {told} requests/s."
        curve = Drawn(each.series.name, each.series.ink, points, _besides(each))
        panels.append(Drawing(f"{each.series.name} (requests/s)", alt, curves_panel(f"scaling-{place}", alt, [curve])))
    return Figure(
        id="scaling-curves",
        title="Throughput at saturation against replicas",
        caption=f"Answers per second, {load_words.of(run.load)}; the same load at every number of replicas.",
        reading="Marks are measured, with 95 % intervals over blocks. The dotted line is N times one replica; the "
        "dashed one is what the cells with fewest replicas predict, by the demands measured there.",
        key=tuple((each.series.ink.name, each.series.name) for each in drawn),
        panels=tuple(panels),
    )


def _point(replicas: int, figure: Estimate) -> Point:
    return Point(replicas, figure.value or 0.0, figure.low, figure.high)


def _besides(each: Curve) -> tuple[Beside, ...]:
    one = each.results[each.counts[0]].value("throughput_rps") or 0.0
    last = float(each.counts[-1])
    linear = Beside((0.0, last), (0.0, last * one / each.counts[0]), dotted=True)
    bases = [basis for block in each.results[each.counts[0]].by_block("throughput_rps") if (basis := each.basis(block))]
    if not bases or not each.predictions():
        return (linear,)
    slope, corner = _mean([basis.one_replica_rps for basis in bases]), each.bend()
    at = corner.predicted.value if corner and corner.predicted.value else last
    places = (0.0, min(at, last), last)
    return linear, Beside(places, tuple(slope * min(place, at) for place in places))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _sentence(each: Curve) -> str:
    """Return throughput at the ends, efficiency, and how the last prediction did."""
    last, cell = each.counts[-1], next(iter(each.series.cells.values()))
    rps, scaled = each.results[last].estimates["throughput_rps"], each.efficiency(last)
    told = f"{capital(subject(_plain(cell)))}: {number(rps.value)} requests/s on {count(last, 'replica')}"
    told += f", {percent(scaled.value)} of {last} times one ({shares(scaled)})" if scaled else ""
    busiest = each.busiest(last)
    told += f"; {named(busiest.kind)} {_verb(busiest)} {percent(busiest.share)} busy"
    bend = each.bend() if each.quota("store") else None
    if bend and bend.observed:
        return (
            f"{told}. The curve bends at {number(bend.observed.value, 2)} replicas; the demands measured at "
            f"{joined(map(str, each.base))} said {number(bend.predicted.value, 2)}."
        )
    made = each.predictions()
    if made:
        told += f". From {joined(map(str, each.base))} replicas {number(made[-1].predicted.value)} were predicted "
        told += f"({signed_percent(made[-1].error.value)})"
    return told + "."


def _verb(busiest: Busiest) -> str:
    return "were" if named(busiest.kind).endswith("s") else "was"


def _plain(cell: Cell) -> Cell:
    """Return the cell without quotas: every cell of these runs has them."""
    return replace(cell, options={name: value for name, value in cell.options.items() if not name.endswith("_cpus")})


def _findings(drawn: Sequence[Curve]) -> list[Finding]:
    made = []
    for each in drawn:
        last = each.counts[-1]
        scaled, busiest, cell = each.efficiency(last), each.busiest(last), each.results[last].cell.id
        if scaled and scaled.value and scaled.value < LEAST_EFFICIENCY:
            why = (
                f"{named(busiest.kind)} {_verb(busiest)} {percent(busiest.share)} busy there (of {busiest.of})"
                if busiest.full
                else f"no component was full; the nearest, {named(busiest.kind)}, was {percent(busiest.share)} busy"
            )
            text = f"{capital(each.series.name)} at {last} replicas does {percent(scaled.value)} of {last} times one"
            text += f": {why}."
            text += _dearer(each, last)
            made.append(Finding(f"scaling-loss-{cell}", "finding", "What limits scale-out", text, (cell,)))
        for found in each.predictions():
            if found.error.value and abs(found.error.value - 1) > TARGET:
                text = (
                    f"{capital(each.series.name)} at {found.replicas} replicas: {number(found.predicted.value)} "
                    f"requests/s predicted, an error of {signed_percent(found.error.value)} "
                    f"({signed_span(found.error)})."
                )
                name = f"scaling-prediction-{cell}-{found.replicas}"
                made.append(Finding(name, "caution", "A prediction that was off", text, (cell,)))
    return made


def _dearer(each: Curve, replicas: int) -> str:
    """Return whether a request costs a replica more CPU there than on one: the same quota then serves fewer."""
    grown = each.grown(replicas)
    if grown is None or grown.low is None or grown.low <= 1:
        return ""
    first = each.counts[0]
    return (
        f" A request took {percent((grown.value or 1.0) - 1)} more CPU time of a replica there than at {first} "
        f"(95 % interval {number(grown.low)} to {number(grown.high)} times), as where many processes share a core."
    )


def _method(run: Run, drawn: Sequence[Curve]) -> list[str]:
    load = run.load
    closed = (
        f"Closed loop of {load['users']} users without a rate: throughput is what comes out, and the load is the same "
        "at every number of replicas. Response times are those of a full queue, and say nothing of a service in use."
    )
    quotas = {each.quota("replica") for each in drawn}
    if None in quotas:
        return [
            closed,
            "Replicas without a quota share the servers' cores: beyond their number this is contention, not scaling.",
        ]
    said = joined(sorted(f"{each:g}" for each in quotas if each))
    held = (
        f"Each replica may use {said} of a core, so that replicas are the limit and scaling shows on few cores. A "
        "quota stops a replica for the rest of its period: times are longer than on servers of one's own."
    )
    return [closed, held]
