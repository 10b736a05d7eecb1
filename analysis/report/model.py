"""The report as values: every text and table that the renderers show, and nothing about how they look."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.common_options import plain
from analysis.compare import MARGIN, Comparison, by_question
from analysis.estimates import CellResult
from analysis.finding import Finding
from analysis.lines import Figure
from analysis.load import Run, Trial
from analysis.metrics import BY_NAME, METRICS, Metric
from analysis.report.guide import limits, reading
from analysis.report.ledger_table import ledger_tables
from analysis.report.load_tables import step_table
from analysis.report.store_tables import command_tables, price_tables
from analysis.report.table import Entry, Table
from analysis.report.threshold_table import threshold_tables
from analysis.section import Section
from analysis.stop import asked_precision
from analysis.summary import Analysis
from analysis.unmeasurable import WORDS
from analysis.wording import NOTHING, count, interval, joined, label, number, options_text, percent, setting
from loadtests import load_words
from loadtests.pairs import QUESTIONS

RATIOS = ("refused_ratio", "error_ratio")


@dataclass(frozen=True)
class Report:
    """All that a report says, in the order it says it."""

    title: str
    subtitle: str
    answer: tuple[str, ...]
    findings: tuple[Finding, ...]
    asked: tuple[tuple[str, str], ...]
    metrics: tuple[Table, ...]
    comparisons: tuple[Table, ...]
    noise: Table
    validity: Table
    machine: tuple[tuple[str, str], ...]
    reading: tuple[tuple[str, str], ...]
    limits: tuple[str, ...]
    thresholds: tuple[Table, ...] = ()
    sections: tuple[Section, ...] = ()
    ledger: tuple[Table, ...] = ()

    def contents(self, figures: Sequence[Figure]) -> tuple[tuple[str, str], ...]:
        """Return id and name of every part that the page has, in its order."""
        parts: tuple[tuple[bool, str, str], ...] = (
            (bool(self.thresholds), "thresholds", "Thresholds"),
            (bool(self.findings), "findings", "Findings"),
            *((True, each.id, each.title) for each in self.sections),
            (True, "asked", "What was asked"),
            (bool(figures), "figures", "Figures"),
            (bool(self.metrics), "metrics", "Metrics"),
            (bool(self.metrics or self.comparisons), "comparisons", "Comparisons"),
            (bool(self.ledger), "claims", "Claims"),
            (bool(self.metrics or self.noise.rows), "noise-floor", "Noise"),
            (bool(self.validity.rows), "validity", "Validity"),
            (True, "machine", "Machine"),
            (True, "reading", "How to read it"),
            (True, "limits", "Limits"),
        )
        return tuple((name, title) for there, name, title in parts if there)


def build(analysis: Analysis) -> Report:
    """Return the report of an analysed run."""
    run, document = analysis.run, analysis.run.document
    names = {each.cell.id: _cell_name(each, analysis.results) for each in analysis.results}
    return Report(
        title="Sessions and tokens, when one server becomes many",
        subtitle=f"authscale · experiment {document.get('experiment')} · run {document.get('id')}",
        answer=analysis.answer,
        findings=analysis.findings,
        asked=tuple(_asked(run)),
        metrics=(
            *(_metric_tables(analysis.results) if analysis.results else ()),
            *step_table(run.load, analysis.steps, names),
            *command_tables(analysis.results),
            *price_tables(analysis.results),
        ),
        comparisons=tuple(_comparison_tables(analysis)),
        noise=_noise_table(analysis),
        validity=_validity_table(run, analysis.results),
        machine=tuple(_machine(document)),
        reading=reading(run),
        limits=limits(run),
        thresholds=threshold_tables(
            analysis.thresholds, {each.cell.id: _cell_name(each, analysis.results) for each in analysis.results}
        ),
        sections=analysis.sections,
        ledger=ledger_tables(analysis.rulings),
    )


def _asked(run: Run) -> Iterable[tuple[str, str]]:
    load, document = run.load, run.document
    cells = [cell for cell in run.cells if cell.duplicate_of is None]
    schemes = dict.fromkeys(cell.scheme for cell in cells)
    stores = dict.fromkeys(cell.store for cell in cells if cell.store != "none")
    yield "Experiment", f"{document.get('experiment')}, seed {document.get('seed')}"
    yield from (("Study", _study(run)),) if run.study["kind"] != "load" else ()
    yield "Schemes", joined(schemes)
    yield "Session stores", joined(stores) or NOTHING
    options = dict.fromkeys(options_text(cell.options) for cell in cells if cell.options)
    if options:
        yield "Options that differ from their defaults", "; ".join(options)
    yield "Replicas", joined(str(each) for each in sorted({cell.replicas for cell in cells}))
    yield "Balancing", joined(dict.fromkeys(cell.policy for cell in cells))
    yield (
        "Load",
        f"{load_words.of(load)}, scenario {load.get('scenario')}",
    )
    yield "Each trial", f"{setting(load.get('duration_s'))} s after {load_words.warm_up(load)}"
    yield (
        "Blocks",
        (
            f"{run.blocks_planned}, each with every cell once in random order "
            f"({len(run.trials)} of {run.trials_planned} trials are there)"
        ),
    )
    yield from ((("Precision", asked_precision(run)),) if run.document.get("precision") else ())
    yield from ((f"Setting {name}", _plain(value)) for name, value in document.get("settings", {}).items())


def _study(run: Run) -> str:
    settings = "; ".join(f"{name} {value}" for name, value in run.study.items() if name != "kind")
    return f"{run.study['kind']}: {settings}" if settings else run.study["kind"]


def _metric_tables(results: Sequence[CellResult]) -> Iterable[Table]:
    for group in dict.fromkeys(metric.group for metric in METRICS):
        metrics = [metric for metric in METRICS if metric.group == group]
        yield Table(
            title=group,
            columns=("cell", *(_heading(metric) for metric in metrics)),
            rows=tuple(
                (_cell_entry(each, results), *(_figure(each, metric) for metric in metrics)) for each in results
            ),
            note="; ".join(f"{metric.title}: {metric.meaning}" for metric in metrics) + ".",
        )


def _cell_entry(result: CellResult, results: Sequence[CellResult]) -> Entry:
    return Entry(_cell_name(result, results), "" if result.measurable else WORDS)


def _heading(metric: Metric) -> str:
    return f"{metric.title} ({metric.unit})" if metric.unit else metric.title


def _figure(result: CellResult, metric: Metric) -> Entry:
    found = result.estimates[metric.name]
    if not result.measurable:
        return Entry(NOTHING)
    if metric.name in RATIOS:
        return Entry(percent(found.value), _percent_interval(found.low, found.high))
    if metric.name == "store_commands_per_request" and result.in_process:
        return Entry("in process")
    return Entry(number(found.value), "" if found.low is None else interval(found.low, found.high))


def _percent_interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return "exact" if low == high else f"{percent(max(low, 0.0))} to {percent(min(high, 1.0))}"


def _cell_name(result: CellResult, results: Sequence[CellResult]) -> str:
    return label(
        plain(result.cell, [each.cell for each in results]), policy=len({each.cell.policy for each in results}) > 1
    )


def _comparison_tables(analysis: Analysis) -> Iterable[Table]:
    names = {each.cell.id: _cell_name(each, analysis.results) for each in analysis.results}
    for metric, question, made in by_question(analysis.comparisons):
        yield Table(
            title=f"{BY_NAME[metric].title}, {QUESTIONS[question]}: {count(len(made), 'comparison')}",
            columns=("cell against baseline", "verdict", "ratio (95 % interval)", "corrected p", "blocks"),
            rows=tuple((Entry(names[each.cell], f"against {names[each.baseline]}"), *_judged(each)) for each in made),
        )


def _judged(comparison: Comparison) -> tuple[Entry, ...]:
    costs = {"faster": "less", "slower": "more"} if "cpu" in comparison.metric else {}
    chance = NOTHING if comparison.p_holm is None else f"{comparison.p_holm:.2g}"
    return (
        Entry(costs.get(comparison.verdict, comparison.verdict), verdict=comparison.verdict),
        Entry(number(comparison.ratio), interval(comparison.low, comparison.high)),
        Entry(chance, "" if comparison.p is None else f"alone {comparison.p:.2g}"),
        Entry(str(comparison.blocks)),
    )


def _noise_table(analysis: Analysis) -> Table:
    return Table(
        title="Two identical cells against each other (A/A)",
        columns=("metric", "ratio", "95 % interval", "blocks"),
        rows=tuple(
            (
                Entry(BY_NAME[name].title),
                Entry(number(each.ratio)),
                Entry(interval(each.low, each.high)),
                Entry(str(each.blocks)),
            )
            for name, each in analysis.noise.items()
        ),
        note=f"The margin of equivalence is {percent(MARGIN)}.",
    )


def _validity_table(run: Run, results: Sequence[CellResult]) -> Table:
    return Table(
        title="Blocks that count, and the load generator",
        columns=(
            "cell",
            "valid",
            "invalid",
            "retried",
            "why",
            "dropped",
            "warm-up (s)",
            "late p99 (ms)",
            "generator CPU",
            "steal",
        ),
        rows=tuple(_validity(run, each, _cell_name(each, results)) for each in results),
        note="Retried: a first attempt was invalid, and its reason stands under why. Dropped: requests that fell due "
        "and were never sent, in all blocks. Warm-up: the longest that a block took to become steady. "
        "The worst block of each cell: lateness of an idle user's send, the generator's share of one core, and "
        "the machine's time stolen by others.",
    )


def _validity(run: Run, result: CellResult, name: str) -> tuple[Entry, ...]:
    trials = [trial for trial in run.trials if trial.cell == result.cell.id]
    retried = [trial for trial in trials if trial.earlier_attempt]
    told = [f"{reason} ({times})" for reason, times in result.invalid_reasons.items()]
    told += [f"block {trial.block} at first: {'; '.join(trial.earlier_attempt)}" for trial in retried]
    return (
        Entry(name, "" if result.measurable else WORDS),
        Entry(str(result.valid_blocks)),
        Entry(str(result.invalid_blocks)),
        Entry(str(len(retried))),
        Entry("; ".join(told) or NOTHING),
        Entry(str(sum(trial.dropped for trial in trials))),
        Entry(number(_worst(trials, "warm_up", "seconds"))),
        Entry(number(_worst(trials, "generator", "lateness_p99_ms"))),
        Entry(percent(_worst(trials, "generator", "cpu_share"))),
        Entry(percent(_worst(trials, "machine", "steal_share"))),
    )


def _worst(trials: Sequence[Trial], part: str, name: str) -> float | None:
    readings = [getattr(trial, part).get(name) for trial in trials]
    return max((reading for reading in readings if reading is not None), default=None)


def _machine(document: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    software = document.get("software", {})
    for name, value in document.get("machine", {}).items():
        if name == "memory_bytes":
            yield "memory", f"{number(value / 1e9)} GB" if value else NOTHING
        else:
            yield name.replace("_", " "), _plain(value)
    dirty = " with uncommitted changes" if software.get("git_dirty") else ""
    yield "authscale revision", f"{software.get('git_revision')}{dirty}"
    for name, binary in software.get("binaries", {}).items():
        yield name, f"{binary.get('version')} ({binary.get('source')})"
    if "engine" in software:
        yield "servers", f"in containers: engine {software['engine']}, Compose {software['compose']}"
    for name, image in software.get("images", {}).items():
        yield f"image of {name}", f"{image['name']} ({image['digest'] or image['id']})"
    packages = software.get("packages", {})
    if packages:
        yield "packages", ", ".join(f"{name} {version}" for name, version in packages.items())


def _plain(value: Any) -> str:
    if value in (None, {}, []):
        return NOTHING
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list, bool)) else str(value)
