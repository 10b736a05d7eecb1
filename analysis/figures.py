"""The figures of a report, each with what it shows in words, computed from the same data.

Every figure is a set of small panels (`analysis.drawing`); the key to its colours is text of the page.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.compare import MARGIN
from analysis.estimates import CellResult
from analysis.latency_figures import distribution, latency, latency_rows, recognising
from analysis.lines import Drawing, Figure, Line, at, crowded, lines, load_words, replica_counts, series_key
from analysis.load import Run
from analysis.metrics import BY_NAME
from analysis.palette import PARTS
from analysis.rows import Bar, Mark, marks_panel, stacked_panel
from analysis.summary import Analysis
from analysis.wording import at_replicas, count, joined, number, percent, replicas_text, signed_percent


def figures(analysis: Analysis) -> tuple[Figure, ...]:
    """Return the figures of a run, those without data left out."""
    drawn = lines(analysis.results)
    if not drawn:
        return ()
    if analysis.run.of_targets:
        return tuple(figure for figure in _of_targets(analysis, drawn) if figure.panels)
    times = (
        (latency_rows(analysis.run, drawn),)
        if crowded(drawn)
        else (latency(analysis.run, drawn), distribution(analysis.run, drawn))
    )
    made = (
        *times,
        recognising(analysis.run, drawn),
        octets(drawn),
        processor(analysis.run, drawn),
        *(() if all(each.in_process for line in drawn for each in line.results) else (commands(drawn),)),
        balance(drawn),
        noise(analysis),
    )
    return tuple(figure for figure in made if figure.panels)


def _of_targets(analysis: Analysis, drawn: Sequence[Line]) -> tuple[Figure, ...]:
    """Return what can be drawn of services that others started: no axis of replicas, CPU only where it was read."""
    run = analysis.run
    read = any(each.value("total_cpu_us_per_request") is not None for each in analysis.results)
    return (
        latency_rows(run, drawn),
        *(() if crowded(drawn) else (distribution(run, drawn),)),
        recognising(run, drawn),
        octets(drawn),
        *((processor(run, drawn),) if read else ()),
        noise(analysis),
    )


def octets(drawn: Sequence[Line]) -> Figure:
    """Return the bytes per request, stacked by what they are for: out and in."""
    out = _alike(drawn, [_mean(line, "credential", "request_head", "request_body") for line in drawn])
    back = _alike(drawn, [(0.0, *_mean(line, "response_head", "response_body")) for line in drawn])
    carried = joined(f"{bar.name} {number(bar.parts[0])}" for bar in out)
    replicas = joined(sorted({str(line.results[0].cell.replicas) for line in drawn} - {"0"}))
    where = f", at replicas = {replicas}" if replicas else ""
    return Figure(
        id="bytes",
        title="Bytes per request",
        caption=f"Counted on the socket{where}. Credential alone: {carried} bytes.",
        reading="The length of a bar is what one request costs on the wire; the number is the total.",
        key=_part_key("credential", "rest of the head", "body"),
        panels=(
            _stacked("bytes-out", "request (bytes)", f"Bytes of credential in a request: {carried}.", out),
            _stacked("bytes-in", "response (bytes)", f"Bytes of a response: {_totals(back)}.", back),
        ),
    )


def _alike(drawn: Sequence[Line], parts: Sequence[tuple[float, ...]]) -> list[Bar]:
    """Return a bar a line; of crowded lines one for all of a scheme that have the same parts."""
    if not crowded(drawn):
        return [Bar(line.name, each) for line, each in zip(drawn, parts, strict=True)]
    groups: dict[tuple[str, tuple[float, ...]], list[Line]] = {}
    for line, each in zip(drawn, parts, strict=True):
        rounded = tuple(round(part, 1) for part in each)
        groups.setdefault((line.results[0].cell.scheme, rounded), []).append(line)
    return [Bar(_common_name(drawn, alike), each) for (_, each), alike in groups.items()]


def _common_name(drawn: Sequence[Line], alike: Sequence[Line]) -> str:
    """Return the scheme where all its lines are alike, else the first name and how many more there are."""
    scheme = alike[0].results[0].cell.scheme
    if len(alike) == sum(line.results[0].cell.scheme == scheme for line in drawn):
        return f"{scheme}, all alike" if alike[1:] else alike[0].name
    return alike[0].name + (f" and {len(alike) - 1} more" if alike[1:] else "")


def _mean(line: Line, *parts: str) -> tuple[float, ...]:
    """Return the mean over blocks of parts of the octets, at the fewest replicas that the line has."""
    found = line.results[0].measurements
    return tuple(float(np.mean([getattr(each.octets, part) for each in found])) for part in parts)


def _stacked(name: str, heading: str, alt: str, bars: Sequence[Bar]) -> Drawing:
    return Drawing(heading, alt, stacked_panel(name, alt, bars))


def _part_key(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((ink.name, name) for ink, name in zip(PARTS, names, strict=False))


def _totals(bars: Sequence[Bar]) -> str:
    return joined(f"{bar.name} {bar.note or number(sum(bar.parts))}" for bar in bars)


def processor(run: Run, drawn: Sequence[Line]) -> Figure:
    """Return CPU time per request stacked by component, one panel per number of replicas."""
    panels = []
    for replicas in replica_counts(drawn):
        here = [(line, each) for line in drawn if (each := at(line, replicas))]
        bars = [_cpu_bar(line.name, each) for line, each in here]
        alt = f"CPU per request in us{at_replicas(replicas)}: {_totals(bars)}."
        panels.append(_stacked(f"cpu-{replicas}", f"{replicas_text(replicas)} (us)", alt, bars))
    return Figure(
        id="cpu",
        title="CPU per request, by component",
        caption=f"Scheduler clocks over the measured phase, {load_words(run)}.",
        reading="The length is the processor time one request takes in all; the line at its end is the 95 % interval "
        "of the total, with an arrow where it goes on.",
        key=_part_key("replicas", "balancer", "store"),
        panels=tuple(panels),
    )


def _cpu_bar(name: str, result: CellResult) -> Bar:
    if result.refused:
        return Bar(name, (), note=f"left out: {percent(result.value('refused_ratio'))} refused")
    parts = tuple(result.value(f"{kind}_cpu_us_per_request") or 0.0 for kind in ("replica", "balancer", "store"))
    total = result.estimates["total_cpu_us_per_request"]
    span = None if total.low is None or total.high is None else (total.low, total.high)
    return Bar(name, parts, span=span)


def commands(drawn: Sequence[Line]) -> Figure:
    """Return the store commands per request of every cell, one panel per number of replicas."""
    panels = []
    for replicas in replica_counts(drawn):
        here = [(line, each) for line in drawn if (each := at(line, replicas))]
        bars = [
            Bar(
                line.name,
                (each.value("store_commands_per_request") or 0.0,),
                span=_wide(each, "store_commands_per_request"),
                ink=line.ink,
                note="in process" if each.in_process else "",
            )
            for line, each in here
        ]
        alt = f"Store commands per request at {count(replicas, 'replica')}: {_totals(bars)}."
        panels.append(_stacked(f"commands-{replicas}", count(replicas, "replica"), alt, bars))
    return Figure(
        id="commands",
        title="Store commands per request",
        caption="By the store's own counters, connection set-up apart; a store in the replica's own process has none, "
        "and of one of several nodes all are counted, with what they copy to each other.",
        reading="1 means that every request waits for the shared store once; 0 means that it never does. A line at the "
        "end of a bar is the 95 % interval; a bar without one never varied.",
        key=series_key(drawn),
        panels=tuple(panels),
    )


def _wide(result: CellResult, metric: str) -> tuple[float, float] | None:
    """Return the interval of a metric; None of one that never varied."""
    found = result.estimates[metric]
    return None if found.low is None or found.high is None or found.low == found.high else (found.low, found.high)


def balance(drawn: Sequence[Line]) -> Figure:
    """Return each replica's share of the answered requests, where there are several replicas."""
    panels = []
    for replicas in [each for each in replica_counts(drawn) if each > 1]:
        here = [(line, each) for line in drawn if (each := at(line, replicas))]
        marks = [Mark(line.name, _shares(each), line.ink) for line, each in here]
        worst = max((abs(value - 1 / replicas) for mark in marks for value in mark.values), default=0.0)
        alt = f"Share of requests per replica at {replicas} replicas: within {percent(worst)} of 1/{replicas}."
        drawn_svg = marks_panel(f"balance-{replicas}", alt, marks, line=1 / replicas, shares=True)
        panels.append(Drawing(f"{replicas} replicas (share of requests)", alt, drawn_svg))
    return Figure(
        id="balance",
        title="Balance across replicas",
        caption="Share of the answered requests of all valid blocks, by the name in each answer.",
        reading="One mark per replica; the vertical line is an equal share, and marks on it hide one another.",
        key=series_key(drawn),
        panels=tuple(panels),
    )


def _shares(result: CellResult) -> tuple[float, ...]:
    sums: dict[str, int] = {}
    for each in result.measurements:
        for name, number_of in each.requests_by_replica.items():
            sums[name] = sums.get(name, 0) + number_of
    total = sum(sums.values())
    return tuple(each / total for each in sums.values()) if total else ()


def noise(analysis: Analysis) -> Figure:
    """Return the ratio of the duplicate cell to its original, by metric, over the margin of equivalence."""
    marks = [
        Mark(BY_NAME[name].title, (each.ratio,), PARTS[0], None if each.low is None else (each.low, each.high or 0.0))
        for name, each in analysis.noise.items()
    ]
    told = joined(f"{BY_NAME[name].title} {signed_percent(each.ratio)}" for name, each in analysis.noise.items())
    alt = f"Two identical cells differed by: {told}."
    drawn = [Drawing("A/A ratio", alt, marks_panel("noise-aa", alt, marks, line=1.0, shaded=MARGIN))] if marks else []
    return Figure(
        id="noise",
        title="Noise floor: two identical cells",
        caption=f"The baseline ran twice in every block, {load_words(analysis.run)}; its copies differ by noise alone.",
        reading=f"1 is no difference, the band is ±{100 * MARGIN:g} %; a comparison within its bar shows nothing.",
        key=(),
        panels=tuple(drawn),
    )
